//go:build ceph

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/google/uuid"
)

// peers measures other programs on the same bytes, those that are installed.
// They read the raw file, which the page cache holds: nothing of Ceph's work is
// in their figures.
func (t *table) peers(ctx context.Context, name, raw, image string, size float64) error {
	for _, p := range []struct{ program, what, init, line string }{
		{"restic", "restic, to Swift", `restic -q -r swift:$CONTAINER:/$REPO init`, `restic -q -r swift:$CONTAINER:/$REPO backup "$RAW"`},
		{"kopia", "kopia zstd-fastest, to a directory", `mkdir -p "$DIR/$REPO" && kopia repository create filesystem --path "$DIR/$REPO" &&
			kopia policy set --global --compression zstd-fastest`, `kopia snapshot create --no-progress "$RAW"`},
		{"borg", "borg zstd,1, to a directory", `borg init -e repokey-blake2 "$DIR/$REPO"`, `borg create -C zstd,1 --chunker-params fixed,262144 "$DIR/$REPO"::$(date +%s%N) "$RAW"`},
	} {
		if _, err := exec.LookPath(p.program); err != nil {
			fmt.Printf("| %s: %s | not installed | | | | | |\n", name, p.what)
			continue
		}
		repo := p.program + "-" + uuid.NewString()
		settings := []string{
			"CONTAINER=" + t.container, "REPO=" + repo, "DIR=" + t.dir, "RAW=" + raw, "HOME=" + t.dir,
			"RESTIC_PASSWORD=bench", "BORG_PASSPHRASE=bench", "KOPIA_PASSWORD=bench", "KOPIA_CHECK_FOR_UPDATES=false", "OS_STORAGE_URL=" + env("BENCH_ACCOUNT"), "OS_AUTH_TOKEN=" + env("BENCH_TOKEN"),
		}
		first := func(int) *exec.Cmd {
			settings[1] = "REPO=" + p.program + "-" + uuid.NewString()
			return shell(ctx, p.init+" >/dev/null && "+p.line, settings...)
		}
		if err := t.command(name+": "+p.what+", full", size, first); err != nil {
			return err
		}
		// The file is made new from the changed image, so that its times are new.
		changed := filepath.Join(t.dir, "changed")
		if err := rbdTool(ctx, "export", image, changed).Run(); err != nil {
			return fmt.Errorf("export the changed image: %w", err)
		}
		again := func(int) *exec.Cmd {
			return shell(ctx, `cp --sparse=always "$CHANGED" "$RAW.next" && mv "$RAW.next" "$RAW" && `+p.line, append(settings, "CHANGED="+changed)...)
		}
		if err := t.command(name+": "+p.what+", 3 % changed", size, again); err != nil {
			return err
		}
		if err := os.Remove(changed); err != nil {
			return err
		}
	}
	return t.cinder(ctx, name, "zlib", raw, size)
}

// cinder measures cinder-backup, if the stack has it: through Cinder's API, as
// its users have it. CPU is that of its daemon.
func (t *table) cinder(ctx context.Context, name, compression, raw string, size float64) error {
	if _, there := daemons()["cinder-backup"]; !there {
		fmt.Printf("| %s: cinder-backup | not running | | | | | |\n", name)
		return nil
	}
	base := env("CINDER_URL") + "/" + env("DEMO_PROJECT_ID")
	var volume struct{ Volume struct{ ID, Status string } }
	if err := call(ctx, "POST", base+"/volumes", map[string]any{"volume": map[string]any{"size": int(size)}}, &volume); err != nil {
		return err
	}
	id := volume.Volume.ID
	if err := await(ctx, base+"/volumes/"+id, "volume"); err != nil {
		return err
	}
	load := t.order("load", "volume-"+id)
	load.File = raw
	if _, err := do(ctx, load); err != nil {
		return err
	}
	var made []string
	_, err := t.times(name+": cinder-backup, full, "+compression, size, func(int) (outcome, error) {
		before, begun := daemons(), time.Now()
		var backup struct{ Backup struct{ ID string } }
		request := map[string]any{"backup": map[string]any{"volume_id": id, "container": t.container}}
		if err := call(ctx, "POST", base+"/backups", request, &backup); err != nil {
			return outcome{}, err
		}
		made = append(made, backup.Backup.ID)
		if err := await(ctx, base+"/backups/"+backup.Backup.ID, "backup"); err != nil {
			return outcome{}, err
		}
		out := outcome{Seconds: time.Since(begun).Seconds(), DaemonsS: map[string]float64{}}
		for name, s := range daemons() {
			out.DaemonsS[name] = s - before[name]
		}
		out.CPU = out.DaemonsS["cinder-backup"]
		return out, nil
	})
	for _, b := range made {
		err = errors.Join(err, call(ctx, "DELETE", base+"/backups/"+b, nil, nil), gone(ctx, base+"/backups/"+b))
	}
	return errors.Join(err, call(ctx, "DELETE", base+"/volumes/"+id, nil, nil))
}

// await waits until what is at the URL is available.
func await(ctx context.Context, url, what string) error {
	for {
		var body map[string]struct{ Status, FailReason string }
		if err := call(ctx, "GET", url, nil, &body); err != nil {
			return err
		}
		switch body[what].Status {
		case "available":
			return nil
		case "error":
			return fmt.Errorf("%s is in error", url)
		}
		if err := pause(ctx); err != nil {
			return err
		}
	}
}

// gone waits until there is nothing at the URL any more.
func gone(ctx context.Context, url string) error {
	for call(ctx, "GET", url, nil, nil) == nil {
		if err := pause(ctx); err != nil {
			return err
		}
	}
	return nil
}

func pause(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(100 * time.Millisecond):
		return nil
	}
}

// memory measures what several jobs take, and a volume of 16 TiB.
func (t *table) memory(ctx context.Context) error {
	image, err := t.image(ctx, filepath.Join(t.dir, "mixed"), "")
	if err != nil {
		return err
	}
	for _, jobs := range []int{2, 4} {
		o := t.order("backup", image)
		o.Jobs = jobs
		if _, err := t.times(fmt.Sprintf("mixed: %d full backups at once", jobs), 4*float64(jobs), func(int) (outcome, error) { return do(ctx, o) }); err != nil {
			return err
		}
	}
	huge, err := t.image(ctx, "", "16T")
	if err != nil {
		return err
	}
	dirty := t.order("scatter", huge)
	if _, err := do(ctx, dirty); err != nil {
		return err
	}
	_, err = t.times("16 TiB with 4 GiB in 1,024 places: full backup", 16384, func(int) (outcome, error) { return do(ctx, t.order("backup", huge)) })
	return err
}
