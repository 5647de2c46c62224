//go:build ceph

// Command bench measures the engine on a real Ceph and a real Swift, beside
// other programs that do the like and beside the raw limit, all in one run on
// one machine. It prints one table; doc/performance.md tells how to read it.
//
//	bench [-rounds N] [-only WHAT]   run in the environment of a stack
//	bench work                       one order, from standard input
package main

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/google/uuid"

	"github.com/stowage/stowage/engine/seal"
)

func main() {
	rounds := flag.Int("rounds", 3, "how often each is measured; the median counts")
	only := flag.String("only", "mixed,ext4,memory", "what to measure, with commas")
	profile := flag.String("profile", "", "where to write the profile of a full backup")
	quick := flag.Bool("quick", false, "measure full backups only")
	peer := flag.String("cinder", "", "measure cinder-backup only, which compresses with this")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	var err error
	if flag.Arg(0) == "work" {
		err = child(ctx)
	} else {
		err = bench(ctx, &table{rounds: *rounds, quick: *quick, profile: *profile, cinderOnly: *peer}, strings.Split(*only, ","))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// table is the measurement as it grows.
type table struct {
	profile        string
	quick          bool
	cinderOnly     string
	rounds         int
	dir, container string
	master         string
	key            *storedKey
	images         []string
}

func bench(ctx context.Context, t *table, only []string) (err error) {
	token, account, err := login(ctx)
	if err != nil {
		return err
	}
	for k, v := range map[string]string{"BENCH_TOKEN": token, "BENCH_ACCOUNT": account} {
		if err := os.Setenv(k, v); err != nil {
			return err
		}
	}
	t.container, t.master = "bench-"+uuid.NewString(), string(seal.NewMaster())
	master, err := seal.ParseMaster([]byte(t.master))
	if err != nil {
		return err
	}
	key, err := master.NewKey(project)
	if err != nil {
		return err
	}
	t.key = &storedKey{key.ID, key.Wrapped}
	if t.dir, err = os.MkdirTemp("/var/tmp", "stowage-bench-"); err != nil {
		return err
	}
	defer t.takeAway(context.WithoutCancel(ctx))
	if err := call(ctx, http.MethodPut, account+"/"+t.container, nil, nil); err != nil {
		return err
	}
	fmt.Printf("| what | wall s | CPU s | CPU s / GiB | peak MiB | stored MiB | daemons' CPU s |\n|---|---|---|---|---|---|---|\n")
	raw := filepath.Join(t.dir, "mixed")
	// A process that was large once would lend its size to its children.
	if _, err := do(ctx, order{Do: "data", File: raw}); err != nil {
		return err
	}
	if t.cinderOnly != "" {
		return t.cinder(ctx, "mixed", t.cinderOnly, raw, 4)
	}
	if slices.Contains(only, "mixed") {
		if err := t.measure(ctx, "mixed", raw, 4); err != nil {
			return err
		}
	}
	if slices.Contains(only, "ext4") {
		raw := filepath.Join(t.dir, "ext4")
		if err := ext4(ctx, raw); err != nil {
			return err
		}
		if err := t.measure(ctx, "ext4", raw, 8); err != nil {
			return err
		}
	}
	if t.quick || !slices.Contains(only, "memory") {
		return nil
	}
	return t.memory(ctx)
}

// takeAway leaves nothing of what was measured with.
func (t *table) takeAway(ctx context.Context) {
	for len(t.images) > 0 {
		t.drop(ctx)
	}
	line := `for name in $(curl -sf -H "X-Auth-Token: $BENCH_TOKEN" "$BENCH_ACCOUNT/$1?limit=10000"); do
		curl -sf -X DELETE -H "X-Auth-Token: $BENCH_TOKEN" "$BENCH_ACCOUNT/$1/$name"; done
		curl -sf -X DELETE -H "X-Auth-Token: $BENCH_TOKEN" "$BENCH_ACCOUNT/$1"`
	if out, err := exec.CommandContext(ctx, "sh", "-c", line, "sh", t.container).CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "bench: container %s not taken away: %v: %.200s\n", t.container, err, out)
	}
	if err := os.RemoveAll(t.dir); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
	}
}

// drop removes the image that was made last: the stack's Ceph is small.
func (t *table) drop(ctx context.Context) {
	last := t.images[len(t.images)-1]
	t.images = t.images[:len(t.images)-1]
	for _, line := range []*exec.Cmd{rbdTool(ctx, "snap", "purge", last), rbdTool(ctx, "rm", last)} {
		if out, err := line.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "bench: image %s: %v: %.200s\n", last, err, out)
		}
	}
}

// image imports a raw file, or makes an empty image of a size.
func (t *table) image(ctx context.Context, raw, size string) (string, error) {
	name := "volume-" + uuid.NewString()
	features := "layering,exclusive-lock,object-map,fast-diff,deep-flatten"
	cmd := rbdTool(ctx, "create", "--image-feature", features, "--size", size, name)
	if raw != "" {
		cmd = rbdTool(ctx, "import", "--image-feature", features, raw, name)
	}
	t.images = append(t.images, name)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%v: %w: %s", cmd.Args, err, out)
	}
	return name, nil
}

// row prints the medians of some runs.
func (t *table) row(what string, size float64, runs []outcome) {
	mid := func(of func(outcome) float64) float64 {
		var all []float64
		for _, r := range runs {
			all = append(all, of(r))
		}
		slices.Sort(all)
		return all[len(all)/2]
	}
	cpu := mid(func(o outcome) float64 { return o.CPU })
	fmt.Printf("| %s | %.2f | %.2f | %.2f | %.0f | %.1f | osd %.1f, swift %.1f |\n", what,
		mid(func(o outcome) float64 { return o.Seconds }), cpu, cpu/size, mid(func(o outcome) float64 { return o.PeakMiB }),
		mid(func(o outcome) float64 { return float64(o.Stored) })/float64(mib),
		mid(func(o outcome) float64 { return o.DaemonsS["ceph-osd"] }), mid(swiftSeconds))
}

func swiftSeconds(o outcome) (sum float64) {
	for name, s := range o.DaemonsS {
		if strings.HasPrefix(name, "swift") {
			sum += s
		}
	}
	return sum
}

// times measures something as often as is asked for, and prints the row.
func (t *table) times(what string, size float64, one func(round int) (outcome, error)) ([]outcome, error) {
	var runs []outcome
	for i := range t.rounds {
		out, err := one(i)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", what, err)
		}
		runs = append(runs, out)
	}
	t.row(what, size, runs)
	return runs, nil
}

// command measures a command as a process of its own.
func (t *table) command(what string, size float64, cmd func(round int) *exec.Cmd) error {
	_, err := t.times(what, size, func(i int) (outcome, error) {
		c, err := run(cmd(i))
		return outcome{Seconds: c.Wall, CPU: c.CPU, PeakMiB: c.PeakMiB, DaemonsS: c.Daemons}, err
	})
	return err
}

func (t *table) order(what, image string) order {
	return order{Do: what, Image: image, Container: t.container, Master: t.master, Key: t.key}
}

// measure measures everything on one image.
func (t *table) measure(ctx context.Context, name, raw string, size float64) error {
	image, err := t.image(ctx, raw, "")
	if err != nil {
		return err
	}
	time.Sleep(5 * time.Second) // the store is done with what was imported
	fulls, err := t.times(name+": full backup", size, func(int) (outcome, error) {
		o := t.order("backup", image)
		o.Profile = t.profile
		return do(ctx, o)
	})
	if err != nil {
		return err
	}
	if t.quick {
		return nil
	}
	last := fulls[len(fulls)-1]
	puts, err := t.times(name+": plain PUT of the same bytes", size, func(int) (outcome, error) {
		o := t.order("put", image)
		o.Bytes = last.Stored
		return do(ctx, o)
	})
	if err != nil {
		return err
	}
	if err := t.command(name+": rbd export", size, func(int) *exec.Cmd { return shell(ctx, "$RBD export "+image+" - >/dev/null") }); err != nil {
		return err
	}
	if err := t.command(name+": rbd export, zstd -1", size, func(int) *exec.Cmd {
		return shell(ctx, "$RBD export "+image+" - | zstd -1 -q -c >/dev/null")
	}); err != nil {
		return err
	}
	if err := t.increments(ctx, name, image, size, last); err != nil {
		return err
	}
	if err := t.restores(ctx, name, raw, size, last, puts[0].Names); err != nil {
		return err
	}
	return t.peers(ctx, name, raw, image, size)
}

func (t *table) increments(ctx context.Context, name, image string, size float64, parent outcome) error {
	before := parent.Point.Snapshot.Name
	_, err := t.times(name+": increment, 1 % changed", size, func(i int) (outcome, error) {
		dirty := t.order("dirty", image)
		dirty.Seed = uint64(i) + 1
		if _, err := do(ctx, dirty); err != nil {
			return outcome{}, err
		}
		o := t.order("backup", image)
		o.Parent = &parent.Point
		before = parent.Point.Snapshot.Name
		out, err := do(ctx, o)
		parent = out
		return out, err
	})
	if err != nil {
		return err
	}
	if err := t.command(name+": rbd export-diff of the same", size, func(int) *exec.Cmd {
		return shell(ctx, fmt.Sprintf("$RBD export-diff --from-snap %s %s@%s - >/dev/null", before, image, parent.Point.Snapshot.Name))
	}); err != nil {
		return err
	}
	_, err = t.times(name+": increment, nothing changed", size, func(int) (outcome, error) {
		o := t.order("backup", image)
		o.Parent = &parent.Point
		out, err := do(ctx, o)
		parent = out
		return out, err
	})
	return err
}

func (t *table) restores(ctx context.Context, name, raw string, size float64, from outcome, names []string) error {
	if _, err := t.times(name+": restore to a new volume", size, func(int) (outcome, error) {
		target, err := t.image(ctx, "", fmt.Sprintf("%.0fG", size))
		if err != nil {
			return outcome{}, err
		}
		defer t.drop(ctx)
		o := t.order("restore", target)
		o.Parent = &from.Point
		return do(ctx, o)
	}); err != nil {
		return err
	}
	if _, err := t.times(name+": plain GET of as many bytes", size, func(int) (outcome, error) {
		o := t.order("get", "volume-none")
		o.Names = names
		return do(ctx, o)
	}); err != nil {
		return err
	}
	if err := t.command(name+": rbd import", size, func(round int) *exec.Cmd {
		if round > 0 {
			t.drop(ctx)
		}
		target := "volume-" + uuid.NewString()
		t.images = append(t.images, target)
		return shell(ctx, fmt.Sprintf("$RBD import --image-feature layering,exclusive-lock,object-map,fast-diff %s %s", raw, target))
	}); err != nil {
		return err
	}
	t.drop(ctx)
	_, err := t.times(name+": verify, every byte", size, func(int) (outcome, error) {
		o := t.order("verify", "volume-none")
		o.Parent = &from.Point
		return do(ctx, o)
	})
	return err
}
