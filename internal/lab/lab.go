// SPDX-License-Identifier: Apache-2.0

// Package lab builds small networks out of network namespaces and veth pairs
// on one machine, for tests, the demo and benchmarks: hosts, routers, links,
// routes, packet filters that count what they drop, delays, and a responder
// in XDP. Nothing in it runs a shell, and nothing outlives the process: Close
// removes everything, and Sweep what a killed process left.
//
// Methods that build (Host, Connect, AddRoute, Filter ...) return no error:
// the first one that fails is kept and later ones do nothing, so that a
// topology reads as one. ForTest fails the test at once instead. After New,
// ask Err. Methods that ask or run (Counts, Do, Command) return their error.
//
// A Lab is built by one goroutine; the doc comment of a method says where
// others may call it.
package lab

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"

	"github.com/netprobe-xdp/netprobe-xdp/internal/exitcode"
)

// Options says how a Lab names what it makes.
type Options struct {
	// Name tells whose namespaces these are: the package or the command,
	// lower-case letters only. "lab" when empty.
	Name string
}

// Lab is one network of namespaces. One goroutine builds and closes it.
type Lab struct {
	prefix string
	hosts  []*Host
	err    error
	test   TB

	mu      sync.Mutex
	closers []func() error // run last to first by Close
	closed  bool
}

// TB is the part of testing.TB that ForTest needs; this package is linked
// into the program by the demo, so it does not import testing.
type TB interface {
	Helper()
	Cleanup(func())
	Skipf(format string, args ...any)
	Fatalf(format string, args ...any)
	Errorf(format string, args ...any)
}

// labs counts the Labs of this process, for names that are unique.
var labs atomic.Uint32

// New returns an empty Lab, after sweeping what dead processes left. Without
// root every later call does nothing and Err says so.
func New(o Options) *Lab {
	name := o.Name
	if name == "" {
		name = "lab"
	}
	l := &Lab{prefix: fmt.Sprintf("%s%s%d", namePrefix, name, os.Getpid())}
	if n := labs.Add(1); n > 1 {
		l.prefix += fmt.Sprintf(".%d", n)
	}
	if !validName(name) {
		l.fail(fmt.Errorf("lab name %q: lower-case letters only, since the process id follows it in the namespaces' names", name))
		return l
	}
	if os.Geteuid() != 0 {
		l.fail(exitcode.With(exitcode.NoPermission, errors.New("making network namespaces needs root: run it with sudo")))
		return l
	}
	if err := Sweep(); err != nil {
		slog.Warn("leftovers of an earlier run stay", "error", err)
	}
	return l
}

// NeedRoot skips t, or fails it where CI=true, unless it runs as root, which it
// needs to do something.
func NeedRoot(t TB, to string) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("this test needs root to %s, and must not be skipped where CI=true", to)
	}
	t.Skipf("needs root to %s: run it with sudo", to)
}

// ForTest returns a Lab that fails t at the first error and is removed when t
// ends. Without root it skips t, or fails it where CI=true. Call it, and all
// that builds, from the test's goroutine.
func ForTest(t TB, name string) *Lab {
	t.Helper()
	NeedRoot(t, "make network namespaces")
	l := New(Options{Name: name})
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Errorf("removing the lab: %v", err)
		}
	})
	l.test = t
	if l.err != nil {
		t.Fatalf("%v", l.err)
	}
	return l
}

// Err returns the first error of what was built.
func (l *Lab) Err() error { return l.err }

// Host returns a new namespace with its loopback up and duplicate address
// detection off; name is at most 11 letters, digits and dashes.
func (l *Lab) Host(name string) *Host {
	if l.test != nil {
		l.test.Helper()
	}
	h := &Host{lab: l, Name: name, Netns: l.prefix + "-" + name, ns: -1}
	if l.err != nil {
		return h
	}
	for _, other := range l.hosts {
		if other.Name == name {
			l.fail(fmt.Errorf("host %s exists already in this lab: names are unique", name))
			return h
		}
	}
	if err := h.create(); err != nil {
		l.fail(fmt.Errorf("making host %s: %w", name, err))
		return h
	}
	l.hosts = append(l.hosts, h)
	return h
}

// Router is a Host that forwards IPv4 and IPv6.
func (l *Lab) Router(name string) *Host {
	if l.test != nil {
		l.test.Helper()
	}
	h := l.Host(name)
	h.Sysctl("net.ipv4.ip_forward", "1")
	h.Sysctl("net.ipv6.conf.all.forwarding", "1")
	return h
}

// Close ends the commands and servers and removes every namespace, all of it
// also after an error, and returns what could not be removed. Calling it
// again does nothing. Any goroutine may call it once building has ended.
func (l *Lab) Close() error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil
	}
	l.closed = true
	closers := l.closers
	l.closers = nil
	l.mu.Unlock()

	var errs []error
	for i := len(closers) - 1; i >= 0; i-- {
		errs = append(errs, closers[i]())
	}
	for _, h := range l.hosts {
		errs = append(errs, h.remove())
	}
	return errors.Join(errs...)
}

// onClose registers what Close runs, before the namespaces go. When the Lab
// is closed already it runs f at once.
func (l *Lab) onClose(f func() error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		_ = f()
		return
	}
	l.closers = append(l.closers, f)
}

// fail keeps the first error, or fails the test.
func (l *Lab) fail(err error) {
	if err == nil {
		return
	}
	if l.test != nil {
		l.test.Helper()
		l.test.Fatalf("lab: %v", err)
	}
	if l.err == nil {
		l.err = err
	}
}
