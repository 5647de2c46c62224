// Command lvm measures backups of LVM volumes in the guest of
// devstack/lvm-guest, beside dd of the same snapshot and beside the way
// cinder-backup goes about it. It prints one table. bench/lvm/run runs it.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"slices"
	"syscall"
	"time"
)

const (
	mib = int64(1) << 20
	gib = int64(1) << 30
)

func main() {
	size := flag.Int64("gib", 1, "size of the volume")
	rounds := flag.Int("rounds", 3, "how often each is measured; the median counts")
	quick := flag.Bool("quick", false, "measure Stowage alone")
	flag.Parse()
	if err := measure(context.Background(), *size*gib, *rounds, *quick); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func measure(ctx context.Context, size int64, rounds int, quick bool) error {
	r, err := newRig(ctx, size)
	if err != nil {
		return err
	}
	t := &table{gib: float64(size) / float64(gib), rounds: rounds, quick: quick}
	fmt.Printf("| what | wall s | MiB/s | CPU s | CPU s / GiB | read MiB | stored MiB |\n|---|---|---|---|---|---|---|\n")
	for _, kind := range []string{"thin", "thick"} {
		if err := r.measure(ctx, t, kind); err != nil {
			return fmt.Errorf("%s: %w", kind, err)
		}
	}
	return nil
}

// cost is what something took.
type cost struct {
	wall, cpu    float64 // seconds
	read, stored int64
}

// table prints a row for everything.
type table struct {
	gib    float64
	rounds int
	quick  bool
}

// row measures something as often as is asked for and prints the medians. prepare,
// if any, is not measured.
func (t *table) row(what string, prepare func() error, work func() (read, stored int64, err error)) error {
	var all []cost
	for range t.rounds {
		if prepare != nil {
			if err := prepare(); err != nil {
				return fmt.Errorf("%s: %w", what, err)
			}
		}
		begun, used := time.Now(), cpu()
		read, stored, err := work()
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		all = append(all, cost{time.Since(begun).Seconds(), cpu() - used, read, stored})
	}
	mid := func(of func(cost) float64) float64 {
		var list []float64
		for _, c := range all {
			list = append(list, of(c))
		}
		slices.Sort(list)
		return list[len(list)/2]
	}
	wall, used := mid(func(c cost) float64 { return c.wall }), mid(func(c cost) float64 { return c.cpu })
	bytesRead, stored := mid(func(c cost) float64 { return float64(c.read) }), mid(func(c cost) float64 { return float64(c.stored) })
	speed := "" // of the whole volume, where any of it is read
	if bytesRead > 0 {
		speed = fmt.Sprintf("%.0f", t.gib*1024/wall)
	}
	fmt.Printf("| %s | %.2f | %s | %.2f | %.2f | %.1f | %.1f |\n", what, wall, speed, used, used/t.gib, bytesRead/float64(mib), stored/float64(mib))
	return nil
}

// cpu is what this process and its children have used, in seconds.
func cpu() (sum float64) {
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var u syscall.Rusage
		if err := syscall.Getrusage(who, &u); err != nil {
			panic(err) // there are no others to ask
		}
		sum += float64(u.Utime.Sec+u.Stime.Sec) + float64(u.Utime.Usec+u.Stime.Usec)/1e6
	}
	return sum
}
