// SPDX-License-Identifier: Apache-2.0

package notify

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// manager is a service manager that reads what it is told.
func manager(t *testing.T, socket string) *net.UnixConn {
	t.Helper()
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func read(t *testing.T, c *net.UnixConn) string {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 4096)
	n, err := c.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return string(b[:n])
}

func TestMessages(t *testing.T) {
	for _, socket := range []string{filepath.Join(t.TempDir(), "notify"), "@netprobe-xdp-test-" + strconv.Itoa(os.Getpid())} {
		c := manager(t, socket)
		t.Setenv("NOTIFY_SOCKET", socket)
		t.Setenv("WATCHDOG_USEC", "3000000")
		t.Setenv("WATCHDOG_PID", "")
		n := FromEnv(slog.Default())
		if n.watchdog != 3*time.Second || os.Getenv("NOTIFY_SOCKET")+os.Getenv("WATCHDOG_USEC") != "" {
			t.Errorf("watchdog %v; left in the environment: %q", n.watchdog, os.Getenv("NOTIFY_SOCKET"))
		}
		n.Ready("all\nis well")
		if got, want := read(t, c), "READY=1\nSTATUS=all is well"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		n.Reloading()
		if got := read(t, c); !regexp.MustCompile(`^RELOADING=1\nMONOTONIC_USEC=[1-9][0-9]*$`).MatchString(got) {
			t.Errorf("got %q", got)
		}
		n.Stopping()
		if got := read(t, c); got != "STOPPING=1" {
			t.Errorf("got %q", got)
		}
	}
}

// What is alive is said while all is well, and again after it was not.
func TestWatch(t *testing.T) {
	c := manager(t, filepath.Join(t.TempDir(), "notify"))
	var log bytes.Buffer
	n := &Notifier{addr: *c.LocalAddr().(*net.UnixAddr), watchdog: 4 * time.Millisecond, log: slog.New(slog.NewTextHandler(&log, nil))}
	ctx, cancel := context.WithCancel(t.Context())
	looks := make(chan struct{})
	var sick atomic.Bool
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		n.Watch(ctx, func() error {
			select {
			case looks <- struct{}{}:
			case <-ctx.Done():
			}
			if sick.Load() {
				return errors.New("stalled")
			}
			return nil
		})
	}()
	<-looks
	if got := read(t, c); got != "WATCHDOG=1" {
		t.Errorf("got %q", got)
	}
	sick.Store(true)
	for range 5 { // the first of these looks may have been under way
		<-looks
	}
	for c.SetReadDeadline(time.Now().Add(50 * time.Millisecond)); ; { // what was said before
		if _, err := c.Read(make([]byte, 100)); err != nil {
			break
		}
	}
	for range 3 {
		<-looks
	}
	c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if n, err := c.Read(make([]byte, 100)); err == nil {
		t.Errorf("told that all is well while it is not (%d bytes)", n)
	}
	sick.Store(false)
	<-looks
	<-looks
	if got := read(t, c); got != "WATCHDOG=1" {
		t.Errorf("got %q", got)
	}
	cancel()
	<-ended
	if strings.Count(log.String(), "\n") != 1 || !strings.Contains(log.String(), "stalled") {
		t.Errorf("log:\n%s", log.String())
	}
}

func TestNobodyAsks(t *testing.T) {
	for _, c := range []struct {
		socket, usec, pid string
		none              bool
		watchdog          time.Duration
		warns             bool
	}{
		{"", "1000", "", true, 0, false},
		{"vsock:2:1234", "", "", true, 0, true},
		{"/nowhere/notify", "", "", false, 0, false},
		{"/nowhere/notify", "x", "", false, 0, false},
		{"/nowhere/notify", "1000", "1", false, 0, false},
		{"/nowhere/notify", "1000", fmt.Sprint(os.Getpid()), false, time.Millisecond, false},
	} {
		t.Setenv("NOTIFY_SOCKET", c.socket)
		t.Setenv("WATCHDOG_USEC", c.usec)
		t.Setenv("WATCHDOG_PID", c.pid)
		var log bytes.Buffer
		n := FromEnv(slog.New(slog.NewTextHandler(&log, nil)))
		if (n == nil) != c.none || n != nil && n.watchdog != c.watchdog || (log.Len() > 0) != c.warns {
			t.Errorf("%+v: %+v, log %q", c, n, log.String())
		}
		if n != nil && n.watchdog == 0 {
			n.Watch(t.Context(), func() error { t.Error("looked"); return nil })
		}
		n.Ready("")
		n.Stopping()
		if lines := strings.Count(log.String(), "\n"); n != nil && lines != 1 {
			t.Errorf("%+v: a socket that is not there is said %d times", c, lines)
		}
	}
}
