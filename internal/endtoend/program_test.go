// SPDX-License-Identifier: Apache-2.0

package endtoend

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/lab"
)

// patience bounds every wait for something that takes moments on an idle
// machine.
const patience = 60 * time.Second

// place is where and as whom the program runs. The zero value is here, as this
// user.
type place struct {
	host    *lab.Host         // nil: the namespace of the tests
	program string            // a copy of the program to run; "": the program
	dir     string            // working folder; "": an empty one
	env     []string          // beyond PATH
	etc     map[string]string // files for become, by name
	caps    []uintptr         // not nil: as an ordinary user, with these capabilities
	lock    int               // bytes of memory that may be locked; 0: as here
	files   int               // descriptors that may be open; 0: as here
	group   string            // folder of the control group to run in; "": that of the tests
	hidden  string            // folder in whose place it sees an empty one; "": none

	terminal *os.File // what stdin and stdout are; nil: nothing, and a buffer
}

// firstUser is the first of the ids of users that nobody is.
const firstUser = 1 << 30

// users counts the users of this process.
var users atomic.Uint32

// program is one process of the program. The test's goroutine uses it.
type program struct {
	t      *testing.T
	cmd    *exec.Cmd
	stdout lab.Buffer
	stderr lab.Buffer
	ended  chan struct{}
}

// start starts the program. It is killed when the test ends, or this process.
func (w place) start(t *testing.T, args ...string) *program {
	t.Helper()
	p := &program{t: t, ended: make(chan struct{})}
	attr := &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	program := binary
	if w.program != "" {
		program = w.program
	}
	p.cmd = exec.Command(program, args...)
	// Of many programs at a time one could have the usual socket.
	p.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "NETPROBE_API__SOCKET="}, w.env...)
	if w.etc != nil {
		self, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		p.cmd.Path, p.cmd.Args = self, append([]string{self, binary}, args...)
		p.cmd.Env = append(p.cmd.Env, etcVar+"="+folder(t, w.etc))
		attr.Unshareflags = syscall.CLONE_NEWNS
	}
	for limit, n := range map[string]int{"memlock": w.lock, "nofile": w.files} {
		if n != 0 {
			prlimit := lab.Tool(t, "prlimit", "util-linux")
			p.cmd.Path, p.cmd.Args = prlimit, append([]string{prlimit, fmt.Sprintf("--%s=%d:%d", limit, n, n)}, p.cmd.Args...)
		}
	}
	if w.hidden != "" {
		p.cmd.Path, p.cmd.Args = "/bin/sh", append([]string{"sh", "-c", `mount --make-rprivate / && { [ ! -d "$0" ] || mount -t tmpfs none "$0"; } && exec "$@"`, w.hidden}, p.cmd.Args...)
		attr.Unshareflags = syscall.CLONE_NEWNS
	}
	if w.group != "" { // it has to be in the group before it takes any memory
		p.cmd.Path, p.cmd.Args = "/bin/sh", append([]string{"sh", "-c", `echo $$ >"$0"/cgroup.procs && exec "$@"`, w.group}, p.cmd.Args...)
	}
	if w.caps != nil {
		// Locked memory is counted by user, and given back a moment after its end.
		uid := firstUser + uint32(os.Getpid()%1000)*1000 + users.Add(1)
		attr.Credential = &syscall.Credential{Uid: uid, Gid: uid}
		attr.AmbientCaps = w.caps
	}
	if p.cmd.Dir = w.dir; w.dir == "" {
		p.cmd.Dir = folder(t, nil)
	}
	p.cmd.SysProcAttr = attr
	p.cmd.Stdout, p.cmd.Stderr = &p.stdout, &p.stderr
	if w.terminal != nil {
		p.cmd.Stdin, p.cmd.Stdout = w.terminal, w.terminal
	}
	p.cmd.WaitDelay = 5 * time.Second

	started := make(chan error)
	// The death signal comes when the thread that started the child ends: this
	// goroutine keeps it until the child has ended.
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		var err error
		if w.host != nil {
			err = w.host.Do(p.cmd.Start)
		} else {
			err = p.cmd.Start()
		}
		started <- err
		if err == nil {
			_ = p.cmd.Wait() // the state says how it ended
			close(p.ended)
		}
	}()
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("netprobe-xdp %s\nstdout:\n%s\nstderr:\n%s", strings.Join(args, " "), p.stdout.String(), p.stderr.String())
		}
	})
	return p
}

// folder makes a folder that everybody may enter, with these files.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "npxendtoend")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// file writes one file and returns its path.
func file(t *testing.T, name, text string) string {
	t.Helper()
	return filepath.Join(folder(t, map[string]string{name: text}), name)
}

func (p *program) pid() int { return p.cmd.Process.Pid }

// waitFor waits until the program has written text on stdout or stderr.
func (p *program) waitFor(text string) {
	p.t.Helper()
	eventually(p.t, fmt.Sprintf("the program writes %q", text), func() bool {
		ended := p.hasEnded()
		if strings.Contains(p.stdout.String(), text) || strings.Contains(p.stderr.String(), text) {
			return true
		}
		if ended {
			p.t.Fatalf("ended (%v) without writing %q", p.cmd.ProcessState, text)
		}
		return false
	})
}

func (p *program) hasEnded() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// wait waits for the end and returns the exit code, -1 after a signal.
func (p *program) wait() int {
	p.t.Helper()
	select {
	case <-p.ended:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(patience):
		p.t.Fatalf("still runs after %v", patience)
		return 0
	}
}

// signal sends a signal to the program, waits for its end and returns the exit
// code, -1 if the signal killed it.
func (p *program) signal(s os.Signal) int {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.t.Fatal(err)
	}
	return p.wait()
}

func (p *program) kill() {
	_ = p.cmd.Process.Kill() // fails when it has ended, which is well
	<-p.ended
}

// outcome is how one command line ended.
type outcome struct {
	code           int
	stdout, stderr string
}

// run runs the program to its end.
func (w place) run(t *testing.T, args ...string) outcome {
	t.Helper()
	p := w.start(t, args...)
	code := p.wait()
	return outcome{code, p.stdout.String(), p.stderr.String()}
}

// errorLines returns what is on stderr besides the log, whose every line begins
// with its time. All else must be an error: it begins with the program's name or
// with the place of a fault, which is a file, "environment" or "flags".
func (o outcome) errorLines(t *testing.T, places ...string) []string {
	t.Helper()
	var lines []string
	for line := range strings.Lines(o.stderr) {
		if strings.HasPrefix(line, "time=") {
			continue
		}
		known := strings.HasPrefix(line, "netprobe-xdp: ")
		for _, p := range append(places, "environment", "flags") {
			known = known || strings.HasPrefix(line, p+":")
		}
		if !known {
			t.Errorf("line of stderr that is neither log nor error: %q", line)
		}
		lines = append(lines, strings.TrimSuffix(line, "\n"))
	}
	return lines
}

// eventually waits for ok.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("after %v still not: %s", patience, what)
		}
	}
}
