// Package logging makes the program's slog.Logger: lines in oslo.log's form,
// or JSON, to a file that can be reopened, to standard error or to both.
//
//	2026-11-20 23:29:11.123 4711 INFO stowage-manager [- req-1 user project - -] backup done backup=7
//
// The brackets hold who asked: the request that the context carries (see
// WithRequest), or a dash. Secrets are masked, by the names of attributes and
// by the look of their values: that is a net, and no leave to log them.
//
// Everything else is plain log/slog.
package logging

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
)

// Options say what to log and where.
type Options struct {
	Program string // "stowage-manager": shown in each line, and names the file in Dir
	PID     int
	Debug   bool // DEBUG lines, too
	JSON    bool // one JSON object per line

	File string // relative to Dir; empty: Program.log if there is a Dir
	Dir  string
	// Stderr gets the lines when there is no file, and AlsoStderr when there
	// is one. It is not closed.
	Stderr     io.Writer
	AlsoStderr bool
}

// New makes the logger. The Output is for SIGHUP and for the end.
func New(o Options) (*slog.Logger, *Output, error) {
	out := &Output{path: o.path()}
	out.SetDebug(o.Debug)
	if out.path == "" || o.AlsoStderr {
		out.stderr = o.Stderr
	}
	if err := out.Reopen(); err != nil {
		return nil, nil, err
	}
	var write sink = &lines{out: out, program: o.Program, pid: o.PID}
	if o.JSON {
		write = newJSONLines(out, o.Program, o.PID)
	}
	return slog.New(&handler{level: &out.level, sink: write}), out, nil
}

// path is the log file, "" for none.
func (o Options) path() string {
	switch {
	case o.File == "" && o.Dir == "":
		return ""
	case o.File == "":
		return filepath.Join(o.Dir, o.Program+".log")
	case filepath.IsAbs(o.File):
		return o.File
	}
	return filepath.Join(o.Dir, o.File)
}

// Output is where the lines go. Its methods may be called at any time.
type Output struct {
	path   string
	stderr io.Writer
	level  slog.LevelVar

	mu   sync.Mutex
	file *os.File
}

// fileMode lets the administrators' group read: lines name users and projects.
const fileMode = 0o640

// Reopen opens the log file again, after logrotate moved the old one away.
// When it cannot, the old file stays in use.
func (o *Output) Reopen() error {
	if o.path == "" {
		return nil
	}
	file, err := os.OpenFile(o.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, fileMode)
	if err != nil {
		return fmt.Errorf("log file: %w", err)
	}
	o.mu.Lock()
	old := o.file
	o.file = file
	o.mu.Unlock()
	if old != nil {
		_ = old.Close() // every line was written when it was logged
	}
	return nil
}

// SetDebug begins, or ends, to log DEBUG lines.
func (o *Output) SetDebug(on bool) {
	o.level.Set(slog.LevelInfo)
	if on {
		o.level.Set(slog.LevelDebug)
	}
}

// Write writes one line, whole.
func (o *Output) Write(line []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	var err error
	if o.file != nil {
		_, err = o.file.Write(line)
	}
	if o.stderr != nil {
		if _, more := o.stderr.Write(line); err == nil {
			err = more
		}
	}
	return len(line), err
}

// Close closes the file. Lines that come later go nowhere, or to standard
// error where that is used.
func (o *Output) Close() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.file == nil {
		return nil
	}
	file := o.file
	o.file = nil
	return file.Close()
}
