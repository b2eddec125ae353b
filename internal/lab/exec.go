// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/vishvananda/netns"
)

// Process is a command that runs inside a host. Any goroutine may call its
// methods.
type Process struct {
	cmd  *exec.Cmd
	done chan struct{}
	err  error // valid once done is closed
	out  Buffer
	errs Buffer
}

// Start starts a command inside the host's namespace. It gets no standard
// input, dies with this process however that ends, and is ended by Stop, by
// ctx, or by the lab's Close. What it prints is kept. Any goroutine may call
// it.
func (h *Host) Start(ctx context.Context, name string, args ...string) (*Process, error) {
	if !h.ns.IsOpen() {
		return nil, fmt.Errorf("starting %s: host %s is not there: it could not be made, or its lab is closed", name, h.Name)
	}
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.WaitDelay = 5 * time.Second // a grandchild may hold the output open
	p := &Process{cmd: cmd, done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = &p.out, &p.errs

	started := make(chan error)
	// The death signal is sent when the *thread* that started the child ends,
	// so this goroutine keeps its thread until the child has ended. It never
	// unlocks: its thread, which is in the namespace, ends with it.
	go func() {
		runtime.LockOSThread()
		err := netns.Set(h.ns)
		if err == nil {
			err = cmd.Start()
		}
		started <- err
		if err != nil {
			return
		}
		p.err = cmd.Wait()
		close(p.done)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("starting %s on host %s: %w", name, h.Name, err)
	}
	h.lab.onClose(func() error { return p.kill() })
	return p, nil
}

// Exec runs a command inside the host to its end and returns its standard
// output. The error of a command that failed quotes its standard error.
func (h *Host) Exec(ctx context.Context, name string, args ...string) (string, error) {
	p, err := h.Start(ctx, name, args...)
	if err != nil {
		return "", err
	}
	if err := p.Wait(); err != nil {
		return p.Stdout(), fmt.Errorf("%s %s on host %s: %w: %s", name, strings.Join(args, " "), h.Name, err, strings.TrimSpace(p.Stderr()))
	}
	return p.Stdout(), nil
}

// PID returns the command's process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Wait waits for the command's end and returns how it ended, as
// exec.Cmd.Wait does.
func (p *Process) Wait() error {
	<-p.done
	return p.err
}

// Stop asks the command to end by SIGINT, as Ctrl-C would, kills it after
// five seconds, and returns how it ended.
func (p *Process) Stop() error {
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("interrupting process %d: %w", p.PID(), err)
	}
	select {
	case <-p.done:
		return p.err
	case <-time.After(5 * time.Second):
		return errors.Join(fmt.Errorf("process %d did not end within 5 s of SIGINT and was killed", p.PID()), p.kill())
	}
}

func (p *Process) kill() error {
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("killing process %d: %w", p.PID(), err)
	}
	<-p.done
	return nil
}

// Stdout returns what the command has printed so far.
func (p *Process) Stdout() string { return p.out.String() }

// Stderr returns what the command has printed on standard error so far.
func (p *Process) Stderr() string { return p.errs.String() }

// WaitFor waits until the command has printed text on standard output or
// standard error, as tcpdump does once it listens.
func (p *Process) WaitFor(ctx context.Context, text string) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if strings.Contains(p.Stdout(), text) || strings.Contains(p.Stderr(), text) {
			return nil
		}
		select {
		case <-p.done:
			if strings.Contains(p.Stdout(), text) || strings.Contains(p.Stderr(), text) {
				return nil
			}
			return fmt.Errorf("%s ended (%v) without printing %q: %s", p.cmd.Path, p.err, text, p.Stderr())
		case <-ctx.Done():
			return fmt.Errorf("%s has not printed %q: %w: %s", p.cmd.Path, text, ctx.Err(), p.Stderr())
		case <-tick.C:
		}
	}
}
