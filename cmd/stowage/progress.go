package main

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stowage/stowage/engine"
)

// show tells on a terminal, in one line that is written over, how far a job is
// that counts bytes. It is called at the end, and the line is gone.
func show(out *os.File, p *engine.Progress, doing string) (stop func()) {
	if _, err := unix.IoctlGetTermios(int(out.Fd()), unix.TCGETS); err != nil {
		return func() {} // no terminal
	}
	quit, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		defer fmt.Fprint(out, "\r\x1b[K")
		began, tick := time.Now(), time.NewTicker(time.Second/2)
		defer tick.Stop()
		for {
			select {
			case <-quit:
				return
			case now := <-tick.C:
				done, all := p.Get()
				fmt.Fprintf(out, "\r\x1b[K%s: %s", doing, progressLine(done, all, now.Sub(began)))
			}
		}
	}()
	return func() { close(quit); <-ended }
}

// progressLine is percent, speed, and an estimate of what is left.
func progressLine(done, all int64, took time.Duration) string {
	if all <= 0 || done <= 0 || took <= 0 {
		return "looking at the objects"
	}
	done = min(done, all)
	speed := float64(done) / took.Seconds()
	left := time.Duration(float64(all-done) / speed * float64(time.Second)).Round(time.Second)
	return fmt.Sprintf("%2d %%  %.1f MiB/s  %s left", min(done*100/all, 99), speed/(1<<20), left)
}
