// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/netprobe-xdp/netprobe-xdp/internal/lab"
)

const (
	holdTime = 50 * time.Microsecond
	holdPPS  = 500 // one probe a wake-up

	// The prober and the responder each have a CPU.
	proberCPU, responderCPU = 0, 1
)

// holdWas is by how much the median moved when the responder held each reply
// back for holdTime.
type holdWas struct {
	HoldUS  float64 `json:"hold_us"`
	Without spread  `json:"p50_without_us"`
	With    spread  `json:"p50_with_us"`
	Error   spread  `json:"moved_less_hold_us"` // round by round
	Marked  spread  `json:"marked_share"`
}

func (h *holdWas) table() *table {
	t := &table{title: fmt.Sprintf("A responder on the other CPU that takes %v, %d probes/s", holdTime, holdPPS),
		note:    "To reach: the median moves by exactly that, within 2 µs.",
		columns: []string{"p50 µs without", "p50 µs with", "moved by, less what it took, µs", "marked"}}
	t.add(h.Without.show(digits), h.With.show(digits), h.Error.show(digits), h.Marked.show(percent))
	return t
}

// hold measures with and without the hold, in turn.
func (o *opts) hold(p phases) (*holdWas, error) {
	if runtime.NumCPU() < 2 {
		return nil, fmt.Errorf("the responder needs a CPU of its own; this machine has one")
	}
	var without, with, moved, marked []float64
	for range o.rounds {
		a, err := o.held(p, 0)
		if err != nil {
			return nil, err
		}
		b, err := o.held(p, holdTime)
		if err != nil {
			return nil, err
		}
		progress("hold: p50 %s us, with %v %s us", digits(a.P50), holdTime, digits(b.P50))
		without, with = append(without, a.P50), append(with, b.P50)
		moved = append(moved, b.P50-a.P50-float64(holdTime)/1e3)
		marked = append(marked, b.Marked/b.Matched)
	}
	return &holdWas{HoldUS: float64(holdTime) / 1e3, Without: spreadOf(without), With: spreadOf(with), Error: spreadOf(moved), Marked: spreadOf(marked)}, nil
}

// held is one run against a responder on the other CPU.
func (o *opts) held(p phases, hold time.Duration) (claims, error) {
	r, err := newRig(rigOptions{queues: 1, reflector: lab.ReflectorOptions{Hold: hold}})
	if err != nil {
		return claims{}, err
	}
	defer r.close()
	if err := r.moveResponder(responderCPU); err != nil {
		return claims{}, err
	}
	// A CPU that sleeps takes as long to wake as the answer takes, and another
	// time each time: the responder's is kept awake.
	awake, err := startSelf(where{r.responder, "", responderCPU}, roleBurn, burnSpec{Yield: true})
	if err != nil {
		return claims{}, err
	}
	defer awake.kill()
	each := int(holdPPS*o.duration.Seconds()) + 1
	return r.ours(p, load{Proto: icmp, Targets: 1, PPS: holdPPS, Probes: each}, proberCPU)
}

// ours runs our prober on a rig once and returns what it says.
func (r *rig) ours(p phases, l load, cpu int) (claims, error) {
	dir, err := os.MkdirTemp("", "netprobe-bench-")
	if err != nil {
		return claims{}, err
	}
	defer os.RemoveAll(dir)
	our := &ours{phases: p}
	children, err := our.startLate(r, dir, l, 1500*time.Millisecond, cpu)
	if err != nil {
		return claims{}, err
	}
	if _, err := watch(r, children, l); err != nil {
		children[0].kill()
		return claims{}, err
	}
	return our.finish(l)
}

// moveResponder makes a kernel thread on one CPU work for the far end: a veth
// pair otherwise works on the CPU of whoever sends.
func (r *rig) moveResponder(cpu int) error {
	prefix := "napi/" + r.far.Name + "-"
	before, err := threadsCalled(prefix)
	if err != nil {
		return err
	}
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread has mounts of its own and ends with this goroutine
		done <- r.responder.Do(func() error { return setThreaded(r.far.Name) })
	}()
	if err := <-done; err != nil {
		return fmt.Errorf("give %s a kernel thread: %w", r.far.Name, err)
	}
	after, err := threadsCalled(prefix)
	if err != nil {
		return err
	}
	moved := 0
	for pid := range after {
		if before[pid] {
			continue
		}
		if err := pin(pid, cpu); err != nil {
			return err
		}
		// Nothing else on its CPU may keep it waiting.
		attr := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: 50}
		if err := unix.SchedSetAttr(pid, &attr, 0); err != nil {
			return fmt.Errorf("put the responder before everything else: %w", err)
		}
		moved++
	}
	if moved == 0 {
		return fmt.Errorf("the kernel made no thread %s* for the responder", prefix)
	}
	return nil
}

// setThreaded switches on threaded NAPI (Documentation/networking/napi.rst) of
// an interface of the thread's network namespace, which a sysfs mounted there shows.
func setThreaded(iface string) error {
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return err
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	if err := unix.Mount("sysfs", "/sys", "sysfs", 0, ""); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join("/sys/class/net", iface, "threaded"), []byte("1"), 0)
}

// threadsCalled finds the processes whose name begins with prefix.
func threadsCalled(prefix string) (map[int]bool, error) {
	files, err := filepath.Glob("/proc/[0-9]*/comm")
	if err != nil {
		return nil, err
	}
	all := map[int]bool{}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			continue // it ended
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(f))); err == nil && strings.HasPrefix(string(b), prefix) {
			all[pid] = true
		}
	}
	return all, nil
}
