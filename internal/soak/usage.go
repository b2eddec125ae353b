// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// use is what the process has needed by the time of a look, and what it had marked
// by then.
type use struct {
	at      time.Duration
	rss     float64 // bytes
	fds     int
	cpu     time.Duration // of all threads so far
	waiting time.Duration // of all threads for a CPU, so far

	workersWaiting time.Duration // the same of the threads that probe
	preempted      float64       // how often those were taken off their CPU while they had work
	stolen         time.Duration // that the machine's CPUs were with another machine, so far

	sent, marked float64
}

// usage reads it from /proc (proc_pid_status(5)).
func usage(pid, workers int) (use, error) {
	var u use
	proc := filepath.Join("/proc", strconv.Itoa(pid))
	status, err := os.ReadFile(filepath.Join(proc, "status"))
	if err != nil {
		return u, fmt.Errorf("read the process's memory: %w", err)
	}
	kb, err := statusField(status, "VmRSS")
	if err != nil {
		return u, fmt.Errorf("read the process's memory: %w", err)
	}
	u.rss = kb * 1024
	fds, err := os.ReadDir(filepath.Join(proc, "fd"))
	if err != nil {
		return u, fmt.Errorf("count the process's descriptors: %w", err)
	}
	u.fds = len(fds)
	threads, err := threadsOf(pid)
	if err != nil {
		return u, err
	}
	for i, t := range threads {
		u.cpu, u.waiting = u.cpu+t.ran, u.waiting+t.waited
		if i < workers {
			u.workersWaiting += t.waited
			u.preempted += t.preempted
		}
	}
	cpus, err := cpusSoFar()
	u.stolen = cpus.stolen
	return u, err
}

// thread is what one thread has had so far.
type thread struct {
	id          string
	ran, waited time.Duration // waited for a CPU
	preempted   float64       // how often it was taken off its CPU while it had work
}

// threadsOf reads what the threads of a process have had (proc_pid_status(5),
// Documentation/scheduler/sched-stats.rst), that which used the CPU most first: the
// threads that probe are the first ones.
func threadsOf(pid int) (all []thread, err error) {
	tasks, err := filepath.Glob(filepath.Join("/proc", strconv.Itoa(pid), "task/*"))
	if err != nil {
		return nil, err
	}
	for _, task := range tasks {
		stat, err := os.ReadFile(filepath.Join(task, "schedstat"))
		if err != nil {
			continue // the thread ended
		}
		status, err := os.ReadFile(filepath.Join(task, "status"))
		if err != nil {
			continue
		}
		t := thread{id: filepath.Base(task)}
		if _, err := fmt.Sscan(string(stat), &t.ran, &t.waited); err != nil {
			return nil, fmt.Errorf("%s/schedstat: %q: %w", task, stat, err)
		}
		if t.preempted, err = statusField(status, "nonvoluntary_ctxt_switches"); err != nil {
			return nil, fmt.Errorf("%s/status: %w", task, err)
		}
		all = append(all, t)
	}
	slices.SortFunc(all, func(a, b thread) int { return cmp.Compare(b.ran, a.ran) })
	return all, nil
}

// statusField is a number of /proc/PID/status, in the unit that is given there.
func statusField(status []byte, name string) (float64, error) {
	_, rest, _ := strings.Cut(string(status), "\n"+name+":")
	line, _, _ := strings.Cut(rest, "\n")
	return strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(line, " kB")), 64)
}

// cpus is what all CPUs together have done so far.
type cpus struct {
	stolen     time.Duration // that they were with other virtual machines
	interrupts float64       // that they served, those of their timers included
}

// cpusSoFar reads it from /proc/stat (proc_stat(5)).
func cpusSoFar() (c cpus, err error) {
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return c, fmt.Errorf("read the CPUs' time: %w", err)
	}
	var name string
	var ticks [8]int64 // of 10 ms (USER_HZ): user, nice, system, idle, iowait, irq, softirq, steal
	if _, err := fmt.Sscan(string(stat), &name, &ticks[0], &ticks[1], &ticks[2], &ticks[3], &ticks[4], &ticks[5], &ticks[6], &ticks[7]); err != nil {
		return c, fmt.Errorf("/proc/stat: %w", err)
	}
	c.stolen = time.Duration(ticks[7]) * 10 * time.Millisecond
	_, rest, _ := strings.Cut(string(stat), "\nintr ")
	if _, err := fmt.Sscan(rest, &c.interrupts); err != nil {
		return c, fmt.Errorf("/proc/stat: intr: %w", err)
	}
	return c, nil
}
