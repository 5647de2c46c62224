//go:build ceph

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// env is a setting of the stack, from its file or from our own environment.
func env(name string) string { return os.Getenv(name) }

// login gets a token of the demo user and the URL of his account.
func login(ctx context.Context) (token, account string, err error) {
	body := map[string]any{"auth": map[string]any{
		"identity": map[string]any{"methods": []string{"password"}, "password": map[string]any{"user": map[string]any{
			"name": "demo", "password": env("DEMO_PASSWORD"), "domain": map[string]string{"name": "Default"},
		}}},
		"scope": map[string]any{"project": map[string]any{"id": env("DEMO_PROJECT_ID")}},
	}}
	data, err := json.Marshal(body)
	if err != nil {
		return "", "", err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, env("KEYSTONE_URL")+"/auth/tokens", bytes.NewReader(data))
	if err != nil {
		return "", "", err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", "", err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusCreated {
		return "", "", fmt.Errorf("log in to Keystone: %s", res.Status)
	}
	return res.Header.Get("X-Subject-Token"), env("SWIFT_URL") + "/v1/AUTH_" + env("DEMO_PROJECT_ID"), nil
}

// call asks an OpenStack service, and reads its JSON into answer if that is not nil.
func call(ctx context.Context, method, url string, request, answer any) error {
	var body io.Reader
	if request != nil {
		data, err := json.Marshal(request)
		if err != nil {
			return err
		}
		body = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		return err
	}
	req.Header.Set("X-Auth-Token", env("BENCH_TOKEN"))
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	if res.StatusCode >= 300 {
		return fmt.Errorf("%s %s: %s: %.300s", method, url, res.Status, data)
	}
	if answer == nil {
		return nil
	}
	return json.Unmarshal(data, answer)
}

// daemons gives the CPU seconds that the stack's daemons have used, by name. A
// daemon carries its stack's directory and its name in its environment.
func daemons() map[string]float64 {
	seconds := map[string]float64{}
	files, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		return nil
	}
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			continue // gone, or not ours
		}
		_, rest, ours := strings.Cut("\x00"+string(data), "\x00STOWAGE_STACK="+env("STACK_DIR")+":")
		if !ours {
			continue
		}
		name, _, _ := strings.Cut(rest, "\x00")
		stat, err := os.ReadFile(filepath.Join(filepath.Dir(f), "stat"))
		if err != nil {
			continue
		}
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		if len(fields) < 13 {
			continue
		}
		for _, ticks := range fields[11:13] {
			n, err := strconv.ParseFloat(ticks, 64)
			if err == nil {
				seconds[name] += n / 100
			}
		}
	}
	return seconds
}

// cost is what a command cost.
type cost struct {
	Wall, CPU, PeakMiB float64
	Daemons            map[string]float64
}

// run runs a command to its end and gives what it and its children cost.
func run(cmd *exec.Cmd) (cost, error) {
	var failure bytes.Buffer
	if cmd.Stderr == nil {
		cmd.Stderr = &failure
	}
	before, begun := daemons(), time.Now()
	err := cmd.Run()
	c := cost{Wall: time.Since(begun).Seconds(), Daemons: map[string]float64{}}
	for name, s := range daemons() {
		c.Daemons[name] = s - before[name]
	}
	if err != nil {
		return c, fmt.Errorf("%v: %w: %.2000s", cmd.Args, err, failure.String())
	}
	usage := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	c.CPU = cmd.ProcessState.UserTime().Seconds() + cmd.ProcessState.SystemTime().Seconds()
	c.PeakMiB = float64(usage.Maxrss) / 1024
	return c, nil
}

// do gives an order to a process of its own.
func do(ctx context.Context, o order) (outcome, error) {
	data, err := json.Marshal(o)
	if err != nil {
		return outcome{}, err
	}
	self, err := os.Executable()
	if err != nil {
		return outcome{}, err
	}
	cmd := exec.CommandContext(ctx, self, "work")
	var answer bytes.Buffer
	cmd.Stdin, cmd.Stdout = bytes.NewReader(data), &answer
	c, err := run(cmd)
	if err != nil {
		return outcome{}, err
	}
	var out outcome
	if err := json.Unmarshal(answer.Bytes(), &out); err != nil {
		return out, err
	}
	out.CPU, out.DaemonsS = c.CPU, c.Daemons
	return out, nil
}

// rbd makes a command of Ceph's own tool.
func rbdTool(ctx context.Context, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, "rbd", append([]string{
		"--conf", env("CEPH_CONF"), "--keyring", env("CEPH_KEYRING"), "--id", env("CEPH_USER"), "--pool", env("CEPH_POOL"), "--no-progress",
	}, args...)...)
}

// shell runs a line of shell in which $RBD is Ceph's own tool.
func shell(ctx context.Context, line string, more ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "sh", "-c", line)
	cmd.Env = append(os.Environ(), "RBD="+strings.Join(rbdTool(ctx).Args, " "))
	cmd.Env = append(cmd.Env, more...)
	return cmd
}
