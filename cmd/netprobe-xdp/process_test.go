// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// asProgram makes this test binary behave as the program itself, so that tests
// can give it signals and another user.
const asProgram = "TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
	}
	os.Exit(m.Run())
}

// program returns a command that runs the program in a process of its own.
func program(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, args...)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	cmd.Dir = t.TempDir()
	return cmd
}

// asNobody makes cmd run without privileges. The test binary lies in a folder
// that only its owner can enter, so a copy is run.
func asNobody(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if os.Geteuid() != 0 {
		return
	}
	dir, err := os.MkdirTemp("", "netprobe-xdp-test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	in, err := os.Open(cmd.Path)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.OpenFile(filepath.Join(dir, "netprobe-xdp"), os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(out, in); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	cmd.Path, cmd.Dir = out.Name(), dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
}

// patience bounds every wait for something that happens in milliseconds on an
// idle machine.
const patience = 30 * time.Second

// running is a program under test.
type running struct {
	t   *testing.T
	cmd *exec.Cmd
	// seen is what it wrote to stdout and stderr until now, line by line.
	lines chan string
	seen  strings.Builder
}

// start runs the program until the test ends it.
func start(t *testing.T, args ...string) *running {
	t.Helper()
	return startCommand(t, program(t, args...), func(f func() error) error { return f() })
}

// startCommand starts cmd by calling in, which may enter a namespace.
func startCommand(t *testing.T, cmd *exec.Cmd, in func(func() error) error) *running {
	t.Helper()
	r := &running{t: t, cmd: cmd, lines: make(chan string, 1000)}
	out, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.cmd.Stdout, r.cmd.Stderr = w, w
	if err := in(r.cmd.Start); err != nil {
		t.Fatal(err)
	}
	w.Close()
	go func() {
		defer close(r.lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			r.lines <- s.Text()
		}
		out.Close()
	}()
	t.Cleanup(func() {
		_ = r.cmd.Process.Kill() // fails when it has ended, which is well
		_ = r.cmd.Wait()
	})
	return r
}

// waitFor returns the first match of pattern in the output.
func (r *running) waitFor(pattern string) string {
	r.t.Helper()
	re := regexp.MustCompile(pattern)
	deadline := time.After(patience)
	for {
		select {
		case line, ok := <-r.lines:
			if !ok {
				r.t.Fatalf("ended before %q:\n%s", pattern, r.seen.String())
			}
			fmt.Fprintln(&r.seen, line)
			if m := re.FindString(line); m != "" {
				return m
			}
		case <-deadline:
			r.t.Fatalf("no %q in time:\n%s", pattern, r.seen.String())
		}
	}
}

// end sends a signal and returns the exit code.
func (r *running) end(s os.Signal) int {
	r.t.Helper()
	if err := r.cmd.Process.Signal(s); err != nil {
		r.t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- r.cmd.Wait() }()
	select {
	case err := <-ended:
		for line := range r.lines {
			fmt.Fprintln(&r.seen, line)
		}
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			return exit.ExitCode()
		}
		if err != nil {
			r.t.Fatal(err)
		}
		return 0
	case <-time.After(patience):
		r.t.Fatalf("did not end at %v:\n%s", s, r.seen.String())
		return -1
	}
}

// freePort returns a TCP port of 127.0.0.1 that nobody listens on.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

func get(t *testing.T, url string) string {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func waitForPage(t *testing.T, url, pattern string) {
	t.Helper()
	want := regexp.MustCompile(pattern)
	for deadline := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		page := get(t, url)
		if want.MatchString(page) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("no %q on the page:\n%s", pattern, page)
		}
	}
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatal("this test needs root, and must not be skipped where CI=true")
	}
	t.Skip("needs root: run it with sudo")
}
