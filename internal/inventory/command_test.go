// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

const patience = 30 * time.Second

// script is a command that runs these lines of a shell.
func script(t *testing.T, lines string) Command {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "list.sh"), []byte("#!/bin/sh\n"+lines), 0o755); err != nil {
		t.Fatal(err)
	}
	return Command{Args: []string{"./list.sh"}, Dir: dir, MaxBytes: 1 << 20, Interval: time.Second, Timeout: patience}
}

// deliveries runs a source and hands on what it delivers until the test ends.
func deliveries(t *testing.T, s Source, answer func(Delivery) error) <-chan Delivery {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	all := make(chan Delivery)
	go func() {
		defer close(ended)
		s.Run(ctx, func(d Delivery) error {
			select {
			case all <- d:
			case <-ctx.Done():
			}
			if answer != nil {
				return answer(d)
			}
			return nil
		})
	}()
	t.Cleanup(func() {
		cancel()
		select {
		case <-ended:
		case <-time.After(patience):
			t.Error("the source goes on after its context ended")
		}
	})
	return all
}

func next(t *testing.T, all <-chan Delivery) Delivery {
	t.Helper()
	select {
	case d := <-all:
		return d
	case <-time.After(patience):
		t.Fatal("nothing is delivered")
		return Delivery{}
	}
}

// wantError checks that there is an error of one line that says all of these.
func wantError(t *testing.T, err error, says ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one that says %q", says)
	}
	for _, s := range says {
		if !strings.Contains(err.Error(), s) || strings.ContainsAny(err.Error(), "\n\r\x1b") {
			t.Errorf("error %q, want one line that says %q", err, s)
		}
	}
}

func TestCommandOnce(t *testing.T) {
	t.Parallel()
	c := script(t, `printf '[%s]\n' "$1"`)
	c.Args = append(c.Args, "a b'")
	if d := c.once(t.Context()); string(d.Data) != "[a b']\n" || d.Err != nil {
		t.Errorf("got %q, %v", d.Data, d.Err)
	}
	long := strings.Repeat("x", 1000)
	for name, tt := range map[string]struct {
		lines string
		says  []string
	}{
		"crash":           {"echo '[]'; echo went wrong >&2; exit 3", []string{"./list.sh", "exit status 3", `"went wrong"`}},
		"signal":          {"kill -SEGV $$", []string{"segmentation fault"}},
		"flood":           {"exec yes " + long, []string{"more than 1048576 bytes", "max_bytes"}},
		"flood of stderr": {"yes " + long + " | head -c 20000000 >&2; printf '\\033[1mend\n' >&2; exit 1", []string{"end", "exit status 1"}},
	} {
		t.Run(name, func(t *testing.T) {
			d := script(t, tt.lines).once(t.Context())
			wantError(t, d.Err, tt.says...)
			if len(d.Err.Error()) > 1000 || d.Data != nil {
				t.Errorf("%d bytes of error, %d of data", len(d.Err.Error()), len(d.Data))
			}
		})
	}
	c.Args = []string{"./nowhere.sh"}
	wantError(t, c.once(t.Context()).Err, "nowhere.sh", "no such file")
	c.Args = []string{"no-such-program"}
	wantError(t, c.once(t.Context()).Err, "no-such-program", "path")
}

// Ten megabytes and more are read when they are allowed.
func TestCommandLong(t *testing.T) {
	t.Parallel()
	c := script(t, "yes 0123456789 | head -c 12000000")
	c.MaxBytes = 12_000_000
	if d := c.once(t.Context()); len(d.Data) != 12_000_000 || d.Err != nil {
		t.Errorf("%d bytes, %v", len(d.Data), d.Err)
	}
}

// alive says whether a process runs; one that ended and waits for its parent
// does not.
func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, after, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(after, "Z")
}

func gone(t *testing.T, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for word := range strings.FieldsSeq(string(text)) {
		pid, err := strconv.Atoi(word)
		if err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(patience); alive(pid); time.Sleep(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				_ = syscall.Kill(pid, syscall.SIGKILL)
				t.Fatalf("process %d of the command still runs", pid)
			}
		}
	}
}

// A command that hangs is ended with all it started; so is what it leaves
// behind when it ends by itself.
func TestCommandHangs(t *testing.T) {
	t.Parallel()
	c := script(t, `trap '' TERM INT HUP
sleep 1000 & echo $$ $! > pids
wait`)
	c.Timeout = time.Second
	wantError(t, c.once(t.Context()).Err, "1s", "killed", "timeout")
	gone(t, filepath.Join(c.Dir, "pids"))

	c = script(t, "sleep 1000 & echo $! > pids; echo '[]'")
	if d := c.once(t.Context()); string(d.Data) != "[]\n" || d.Err != nil {
		t.Errorf("got %q, %v", d.Data, d.Err)
	}
	gone(t, filepath.Join(c.Dir, "pids"))

	c = script(t, "setsid sh -c 'echo > moved; exec sleep 20' & while ! [ -e moved ]; do sleep 0.01; done; echo '[]'")
	wantError(t, c.once(t.Context()).Err, "left behind")
}

// The child has no capability, cannot gain one, and sees nothing of ours.
func TestCommandRenounces(t *testing.T) {
	t.Setenv("PROM_PASSWORD", "secret-of-ours")
	pipe, other, err := os.Pipe() // a file that is not marked to be closed
	if err != nil {
		t.Fatal(err)
	}
	defer pipe.Close()
	defer other.Close()
	if _, _, errno := syscall.Syscall(syscall.SYS_FCNTL, other.Fd(), syscall.F_SETFD, 0); errno != 0 {
		t.Fatal(errno)
	}
	c := script(t, "cat /proc/self/status; env; ls /proc/$$/fd | tr '\\n' ' '; pwd")
	c.Environment = []string{"SITE=paris"}
	d := c.once(t.Context())
	if d.Err != nil {
		t.Fatal(d.Err)
	}
	text := string(d.Data)
	for _, set := range []string{"CapInh", "CapPrm", "CapEff", "CapAmb"} {
		if !strings.Contains(text, set+":\t0000000000000000\n") {
			t.Errorf("%s is not empty:\n%s", set, text)
		}
	}
	if os.Getuid() == 0 && !strings.Contains(text, "CapBnd:\t0000000000000000\n") {
		t.Errorf("CapBnd is not empty:\n%s", text)
	}
	for _, want := range []string{"NoNewPrivs:\t1\n", "SITE=paris\n", "\n0 1 10 2 ", c.Dir + "\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in:\n%s", want, text)
		}
	}
	for _, not := range []string{"secret-of-ours", "PROM_", "HOME="} {
		if strings.Contains(text, not) {
			t.Errorf("%q in:\n%s", not, text)
		}
	}
}

func TestCommandPolled(t *testing.T) {
	t.Parallel()
	c := script(t, `n=$(cat n 2>/dev/null || echo 0); echo $((n+1)) > n
case $n in 0|1) echo '[1]';; 2) exit 1;; *) echo "[$n]";; esac`)
	all := deliveries(t, c, nil)
	if d := next(t, all); string(d.Data) != "[1]\n" {
		t.Errorf("first: %q, %v", d.Data, d.Err)
	}
	if d := next(t, all); !d.Same || d.Err != nil {
		t.Errorf("the same again: %+v", d)
	}
	wantError(t, next(t, all).Err, "exit status 1")
	if d := next(t, all); string(d.Data) != "[3]\n" {
		t.Errorf("after a failure: %q, %v", d.Data, d.Err)
	}
}

// A list that was refused is handed over again.
func TestCommandRefused(t *testing.T) {
	t.Parallel()
	refused := errors.New("refused")
	all := deliveries(t, script(t, "echo '[1]'"), func(Delivery) error { return refused })
	for range 2 {
		if d := next(t, all); string(d.Data) != "[1]\n" {
			t.Errorf("got %+v", d)
		}
	}
}

func TestCommandStreams(t *testing.T) {
	t.Parallel()
	c := script(t, `echo '[1]'; echo; echo '[1]'; echo '[2]'; printf '[3]'; sleep 0.2; printf '\n'; exit 4`)
	c.Streaming, c.Timeout = true, 0
	all := deliveries(t, c, nil)
	for range 2 { // it is started again when it has ended
		if d := next(t, all); string(d.Data) != "[1]" {
			t.Errorf("got %+v", d)
		}
		if d := next(t, all); !d.Same {
			t.Errorf("got %+v", d)
		}
		for _, want := range []string{"[2]", "[3]"} {
			if d := next(t, all); string(d.Data) != want {
				t.Errorf("got %q, %v; want %s", d.Data, d.Err, want)
			}
		}
		wantError(t, next(t, all).Err, "exit status 4")
	}
}

func TestCommandStreamFails(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		lines string
		says  string
	}{
		"ends":   {"exit 0", "it ended"},
		"silent": {"sleep 1000 & echo $$ $! > pids; wait", "no list for 1s"},
		"flood":  {"echo $$ > pids; tr '\\0' x < /dev/zero", "more than 1048576 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			c := script(t, tt.lines)
			c.Streaming, c.Timeout = true, time.Second
			wantError(t, c.stream(t.Context(), func(d Delivery) error {
				t.Errorf("delivered %q", d.Data)
				return nil
			}), tt.says)
			if name != "ends" {
				gone(t, filepath.Join(c.Dir, "pids"))
			}
		})
	}
}
