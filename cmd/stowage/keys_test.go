package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestAMasterKeyIsMadeOnceAndForItsOwnerAlone(t *testing.T) {
	dir := t.TempDir()
	key, conf := filepath.Join(dir, "master.key"), filepath.Join(dir, "stowage.conf")
	text := "[DEFAULT]\nenabled_backends = a\n[a]\nvolume_driver = file\nvolumes_dir = " + dir + "\n[encryption]\nmaster_key_file = " + key + "\n"
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) (string, bool) {
		out, err := exec.Command(program, append(args, "--config-file", conf)...).CombinedOutput()
		return string(out), err == nil
	}
	if out, good := run("config", "check"); !good || !strings.Contains(out, "stowage keys create") {
		t.Errorf("without a key the check says %s", out)
	}
	if out, good := run("keys", "create"); !good {
		t.Fatal(out)
	}
	made, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(key); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key: %v %v", info, err)
	}
	if out, good := run("config", "check"); !good || strings.Contains(out, "warning") {
		t.Errorf("with a key the check says %s", out)
	}
	if out, good := run("keys", "create"); good {
		t.Errorf("it makes another: %s", out)
	}
	if now, err := os.ReadFile(key); err != nil || !bytes.Equal(now, made) {
		t.Errorf("the key changed: %v", err)
	}
	if err := os.Chmod(key, 0o640); err != nil {
		t.Fatal(err)
	}
	if out, good := run("config", "check"); !good || !strings.Contains(out, "must be 0600") {
		t.Errorf("with a key that others read the check says %s", out)
	}
	if left, err := filepath.Glob(filepath.Join(dir, ".*")); err != nil || len(left) > 0 {
		t.Errorf("it leaves %v %v", left, err)
	}
}
