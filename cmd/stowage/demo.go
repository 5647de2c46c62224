package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/google/uuid"

	"github.com/stowage/stowage"
)

const demoToken = "demo:demo"

// demo plays the main job through the HTTP API, as a tenant would: it makes a
// sample volume, backs it up, restores it to a new volume and compares. It
// prints each request with its answer.
func demo(ctx context.Context, out io.Writer, base, data string) error {
	d := &demonstration{out: out, base: base, client: &http.Client{Timeout: time.Minute}}
	volumes := filepath.Join(data, "volumes")
	id, err := sampleVolume(volumes)
	if err != nil {
		return fmt.Errorf("make the sample volume: %w", err)
	}
	fmt.Fprintf(out, "\nA sample volume of 1 GiB, mostly never written: %s/volume-%s\n", volumes, id)

	var made struct {
		Backup struct {
			ID string `json:"id"`
		} `json:"backup"`
	}
	request := map[string]any{"backup": map[string]string{
		"volume_id": id, "display_name": "backup-001", "display_description": "My first backup", "container": "nightlybackups",
	}}
	if err := d.call(ctx, http.MethodPost, "/v1.1/demo/hp-volume-backups", request, &made); err != nil {
		return err
	}
	show := "/v1.1/demo/hp-volume-backups/" + made.Backup.ID
	if err := d.await(ctx, show, "available"); err != nil {
		return err
	}
	var restored struct {
		Restore struct {
			VolumeID string `json:"volume_id"`
		} `json:"restore"`
	}
	if err := d.call(ctx, http.MethodPost, show+"/restore", map[string]any{"restore": struct{}{}}, &restored); err != nil {
		return err
	}
	if err := d.await(ctx, show, "available"); err != nil {
		return err
	}
	if err := compare(out, filepath.Join(volumes, "volume-"+id), filepath.Join(volumes, "volume-"+restored.Restore.VolumeID)); err != nil {
		return err
	}
	d.next(volumes, id)
	return nil
}

// demonstration calls the API and shows it.
type demonstration struct {
	out    io.Writer
	base   string
	client *http.Client
}

func (d *demonstration) call(ctx context.Context, method, path string, request, answer any) error {
	body, err := json.Marshal(request)
	if err != nil {
		return err
	}
	fmt.Fprintf(d.out, "\n$ curl -X %s -H 'X-Auth-Token: %s' -d '%s' %s%s\n", method, demoToken, body, d.base, path)
	data, err := d.do(ctx, method, path, body)
	// The manager begins together with the demo, and may not have reported itself yet.
	for begun := time.Now(); errors.Is(err, errNotYet) && time.Since(begun) < time.Minute; {
		if err := pause(ctx); err != nil {
			return err
		}
		data, err = d.do(ctx, method, path, body)
	}
	fmt.Fprintf(d.out, "%s\n", bytes.TrimSpace(data))
	if err != nil {
		return err
	}
	return json.Unmarshal(data, answer)
}

var errNotYet = errors.New("the service is not there yet")

func pause(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(100 * time.Millisecond):
		return nil
	}
}

func (d *demonstration) do(ctx context.Context, method, path string, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, d.base+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("X-Auth-Token", demoToken)
	res, err := d.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	data, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err == nil && res.StatusCode >= 300 {
		err = fmt.Errorf("%s %s: %s", method, path, res.Status)
		if res.StatusCode == http.StatusServiceUnavailable {
			err = fmt.Errorf("%w: %w", err, errNotYet)
		}
	}
	return data, err
}

// await looks at the backup until it has the status, and shows the last look.
func (d *demonstration) await(ctx context.Context, path, status string) error {
	for {
		data, err := d.do(ctx, http.MethodGet, path, nil)
		if err != nil {
			return err
		}
		var seen struct {
			Backup struct {
				Status stowage.BackupStatus `json:"status"`
				Reason string               `json:"fail_reason"`
			} `json:"backup"`
		}
		if err := json.Unmarshal(data, &seen); err != nil {
			return err
		}
		switch string(seen.Backup.Status) {
		case status:
			fmt.Fprintf(d.out, "\n$ curl -H 'X-Auth-Token: %s' %s%s\n%s\n", demoToken, d.base, path, bytes.TrimSpace(data))
			if seen.Backup.Reason != "" {
				return errors.New(seen.Backup.Reason)
			}
			return nil
		case "error":
			return fmt.Errorf("the backup failed: %s", seen.Backup.Reason)
		}
		if err := pause(ctx); err != nil {
			return err
		}
	}
}

func (d *demonstration) next(volumes, id string) {
	fmt.Fprintf(d.out, `
It stays up for you until Ctrl-C. Try, in another terminal:

  curl -H 'X-Auth-Token: %[1]s' %[2]s/v1.1/demo/hp-volume-backups/detail
  printf changed | dd of=%[4]s/volume-%[3]s bs=1 seek=300000000 conv=notrunc
  curl -H 'X-Auth-Token: %[1]s' -d '{"backup": {"volume_id": "%[3]s", "container": "nightlybackups"}}' %[2]s/v1.1/demo/hp-volume-backups
  curl -H 'X-Auth-Token: %[1]s' %[2]s/v1.1/demo/hp-volume-backups/2     # is_incremental: it stored one chunk
  truncate -s 2G %[4]s/volume-9     # every file volume-<number or UUID> there is a volume
  curl -H 'X-Auth-Token: %[1]s' -d '{"backup": {"volume_id": 9}}' %[2]s/v1.1/demo/hp-volume-backups
  curl -H 'X-Auth-Token: %[1]s' -d '{"restore": {"volume_id": 9}}' %[2]s/v1.1/demo/hp-volume-backups/1/restore
  curl -X DELETE -H 'X-Auth-Token: %[1]s' %[2]s/v1.1/demo/hp-volume-backups/1
`, demoToken, d.base, id, volumes)
}

// sampleVolume makes the demo's volume: 1 GiB, with 24 MiB of text, 8 MiB of
// random bytes, and holes. A second start makes another.
func sampleVolume(dir string) (id string, err error) {
	id = uuid.NewString()
	temp, err := os.CreateTemp(dir, ".sample-*")
	if err != nil {
		return "", err
	}
	defer func() {
		if gone := os.Remove(temp.Name()); gone != nil && !errors.Is(gone, fs.ErrNotExist) {
			err = errors.Join(err, gone)
		}
	}()
	random := rand.NewChaCha8(sha256.Sum256([]byte(id)))
	buf := make([]byte, 8<<20)
	err = temp.Truncate(stowage.GiB)
	for i := range int64(4) {
		if i < 3 {
			fillText(buf, i)
		} else if _, rerr := random.Read(buf); rerr != nil {
			err = errors.Join(err, rerr)
		}
		_, werr := temp.WriteAt(buf, i*200<<20+12345)
		err = errors.Join(err, werr)
	}
	if err = errors.Join(err, temp.Sync(), temp.Close()); err != nil {
		return "", err
	}
	return id, os.Rename(temp.Name(), filepath.Join(dir, "volume-"+id))
}

func fillText(buf []byte, seed int64) {
	for n := 0; n < len(buf); {
		n += copy(buf[n:], fmt.Sprintf("line %d of text %d: stowage keeps what you cannot lose\n", n, seed))
	}
}

// compare shows the checksums and the real sizes of two volumes.
func compare(out io.Writer, source, target string) error {
	sums := make([]string, 2)
	fmt.Fprintln(out)
	for i, name := range []string{source, target} {
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		h := sha256.New()
		_, err = io.Copy(h, f)
		if err = errors.Join(err, f.Close()); err != nil {
			return err
		}
		sums[i] = hex.EncodeToString(h.Sum(nil))
		fmt.Fprintf(out, "sha256 %s  %s\n", sums[i], name)
	}
	if sums[0] != sums[1] {
		return errors.New("the restored volume is not equal to the source")
	}
	fmt.Fprintln(out, "Equal: every byte came back.")
	return nil
}
