// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/netprobe-xdp/netprobe-xdp/internal/lab"
)

// child is a process of its own in a namespace, so that its CPU and memory are
// of it alone. The goroutine that started it uses it; its output is kept.
type child struct {
	cmd   *exec.Cmd
	in    io.WriteCloser
	lines chan string // of standard output, closed at its end
	errs  lab.Buffer
	done  chan struct{}
	err   error // valid once done is closed
}

// maxLines is how many lines of a child's output are kept for it to be read.
const maxLines = 1 << 16

// where says where a child runs.
type where struct {
	host *lab.Host
	dir  string // working directory
	cpu  int    // the only CPU it may use; -1: any
}

// anyCPU is for a where without a CPU of its own.
const anyCPU = -1

// start starts a command. It dies with this process, however that ends.
func start(w where, name string, args ...string) (*child, error) {
	c := &child{cmd: exec.Command(name, args...), lines: make(chan string, maxLines), done: make(chan struct{})}
	c.cmd.Dir = w.dir
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	c.cmd.Stderr = &c.errs
	var err error
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	started := make(chan error)
	// The death signal comes when the thread that started the child ends, so
	// this one stays in the namespace until the child has ended.
	go func() {
		err := w.host.Do(func() error {
			if w.cpu >= 0 {
				runtime.LockOSThread() // never unlocked: the thread ends with this goroutine, and its affinity too
				if err := pin(0, w.cpu); err != nil {
					return err
				}
			}
			if err := c.cmd.Start(); err != nil {
				return err
			}
			started <- nil
			scan := bufio.NewScanner(out)
			scan.Buffer(nil, 1<<20)
			for scan.Scan() {
				select {
				case c.lines <- scan.Text():
				default: // nobody asked for that much
				}
			}
			close(c.lines)
			c.err = c.cmd.Wait()
			close(c.done)
			return nil
		})
		if err != nil {
			started <- err
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	return c, nil
}

// startSelf starts this binary in one of its child roles.
func startSelf(w where, role string, spec any) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	b, err := json.Marshal(spec)
	if err != nil {
		return nil, err
	}
	return start(w, self, roleFlag, role, string(b))
}

// pin binds a thread, 0 for the calling one, to one CPU.
func pin(tid, cpu int) error {
	var set unix.CPUSet
	set.Set(cpu)
	if err := unix.SchedSetaffinity(tid, &set); err != nil {
		return fmt.Errorf("bind thread %d to CPU %d: %w", tid, cpu, err)
	}
	return nil
}

// line returns the child's next line of output.
func (c *child) line(limit time.Duration) (string, error) {
	select {
	case l, ok := <-c.lines:
		if ok {
			return l, nil
		}
		<-c.done
		return "", c.failed("ended early")
	case <-time.After(limit):
		return "", c.failed(fmt.Sprintf("has said nothing for %v", limit))
	}
}

// answer reads the child's next line as JSON.
func (c *child) answer(limit time.Duration, v any) error {
	l, err := c.line(limit)
	if err != nil {
		return err
	}
	if err := json.Unmarshal([]byte(l), v); err != nil {
		return fmt.Errorf("%s answered %q: %w", filepath.Base(c.cmd.Path), l, err)
	}
	return nil
}

func (c *child) failed(what string) error {
	said := strings.TrimSpace(c.errs.String())
	if n := 600; len(said) > n {
		said = "... " + said[len(said)-n:]
	}
	return fmt.Errorf("%s %s (%v): %s", filepath.Base(c.cmd.Path), what, c.err, said)
}

// wait waits for the child's end; how it ended is an error unless it is 0.
func (c *child) wait(limit time.Duration) error {
	select {
	case <-c.done:
	case <-time.After(limit):
		c.kill()
		return c.failed(fmt.Sprintf("had to be killed after %v", limit))
	}
	if c.err != nil {
		return c.failed("ended badly")
	}
	return nil
}

func (c *child) kill() {
	_ = c.cmd.Process.Kill() // ended already: fine
	<-c.done
}

// life returns the CPU that a child used from start to end, by wait4, and how
// much of it in user space. The child must have ended. What wait4 says of memory
// includes this process's own, as it was when the child was forked: see peak.
func (c *child) life() (all, user time.Duration) {
	ru := c.cmd.ProcessState.SysUsage().(*syscall.Rusage)
	user = time.Duration(ru.Utime.Nano())
	return user + time.Duration(ru.Stime.Nano()), user
}

// peak is the most memory that a running process has had so far, bytes: VmHWM
// (proc_pid_status(5)), 0 once it has ended.
func (c *child) peak() (uint64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.cmd.Process.Pid))
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ESRCH) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read a process's memory: %w", err)
	}
	_, rest, ok := strings.Cut(string(b), "\nVmHWM:")
	if !ok {
		return 0, nil // it has ended, and is not yet waited for
	}
	value, _, _ := strings.Cut(rest, " kB")
	kb, err := strconv.ParseUint(strings.TrimSpace(value), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("read a process's memory: VmHWM %q: %w", value, err)
	}
	return kb << 10, nil
}

// cpu is the time all threads of a running process have had a CPU so far.
// Interrupts that the kernel works off on its time are in it. It counts ns,
// where /proc/PID/stat has ticks.
func (c *child) cpu() (time.Duration, error) {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", c.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	var sum time.Duration
	for _, f := range files {
		b, err := os.ReadFile(f)
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ESRCH) {
			continue // the thread ended
		}
		if err != nil {
			return 0, fmt.Errorf("read what a process used: %w", err)
		}
		ns, _, _ := strings.Cut(string(b), " ")
		n, err := strconv.ParseInt(ns, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("%s: %q: %w", f, b, err)
		}
		sum += time.Duration(n)
	}
	return sum, nil
}
