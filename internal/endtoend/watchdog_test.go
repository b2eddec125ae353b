// SPDX-License-Identifier: Apache-2.0

package endtoend

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/netprobe-xdp/netprobe-xdp/internal/exitcode"
)

// serviceManager collects what a service tells it. Any goroutine may use it.
type serviceManager struct {
	socket string
	mu     sync.Mutex
	told   []string
}

func newServiceManager(t *testing.T) *serviceManager {
	t.Helper()
	m := &serviceManager{socket: filepath.Join(folder(t, nil), "notify")}
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: m.socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	go func() {
		for b := make([]byte, 4096); ; {
			n, err := c.Read(b)
			if err != nil {
				return
			}
			m.mu.Lock()
			m.told = append(m.told, string(b[:n]))
			m.mu.Unlock()
		}
	}()
	return m
}

// count says how many messages begin with text.
func (m *serviceManager) count(text string) (n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range m.told {
		if strings.HasPrefix(s, text) {
			n++
		}
	}
	return n
}

// lastCPU is the last CPU that this process may use.
func lastCPU(t *testing.T) int {
	t.Helper()
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		t.Fatal(err)
	}
	last := -1
	for cpu, found := 0, 0; found < set.Count(); cpu++ {
		if set.IsSet(cpu) {
			last = cpu
			found++
		}
	}
	if set.Count() < 2 {
		if os.Getenv("CI") == "true" {
			t.Fatal("needs two CPUs")
		}
		t.Skip("needs two CPUs: a worker is known by the one it is pinned to")
	}
	return last
}

// pinnedThread returns the thread of the program that only this CPU runs.
func (p *program) pinnedThread(cpu int) int {
	p.t.Helper()
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", p.pid()))
	if err != nil {
		p.t.Fatal(err)
	}
	var found []int
	for _, task := range tasks {
		var tid int
		fmt.Sscan(task.Name(), &tid)
		var set unix.CPUSet
		if err := unix.SchedGetaffinity(tid, &set); err != nil {
			if errors.Is(err, unix.ESRCH) {
				continue
			}
			p.t.Fatal(err)
		}
		if set.Count() == 1 && set.IsSet(cpu) {
			found = append(found, tid)
		}
	}
	if len(found) != 1 {
		p.t.Fatalf("threads %v are pinned to CPU %d, want one", found, cpu)
	}
	return found[0]
}

// hold stops one thread by ptrace while f runs. It stops it in a system call:
// anywhere else Go's garbage collector would wait for it, and all others with
// it.
func hold(t *testing.T, tid int, f func()) {
	t.Helper()
	runtime.LockOSThread() // the kernel knows the tracer by its thread
	defer runtime.UnlockOSThread()
	stopped := func() bool {
		if err := unix.PtraceSeize(tid); err != nil {
			t.Fatalf("seize thread %d: %v", tid, err)
		}
		if err := unix.PtraceInterrupt(tid); err != nil {
			t.Fatalf("interrupt thread %d: %v", tid, err)
		}
		var status unix.WaitStatus
		if _, err := unix.Wait4(tid, &status, unix.WALL, nil); err != nil || !status.Stopped() {
			t.Fatalf("wait for thread %d: %v, %v", tid, status, err)
		}
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/syscall", tid))
		if err != nil {
			t.Fatal(err)
		}
		return strings.HasPrefix(string(b), fmt.Sprintf("%d ", unix.SYS_PPOLL))
	}
	release := func() {
		if err := unix.PtraceDetach(tid); err != nil {
			t.Errorf("let thread %d go: %v", tid, err)
		}
	}
	eventually(t, "the thread stops while it waits", func() bool {
		if stopped() {
			return true
		}
		release()
		return false
	})
	defer release()
	f()
}

// TestWatchdog: the service manager is told of start, reload and end, and that
// the program is alive, but not while a worker stands still; /-/healthy says so
// too.
func TestWatchdog(t *testing.T) {
	t.Parallel()
	cpu := lastCPU(t)
	a, _ := pair(t)
	manager := newServiceManager(t)
	w := place{host: a.Host, env: []string{"NOTIFY_SOCKET=" + manager.socket, "WATCHDOG_USEC=200000"}}
	p := w.start(t, "run", "--iface", a.Name, "--config", file(t, "netprobe.yaml", pings(usual)+fmt.Sprintf("engine: {pinning: [%d]}\n", cpu)))
	p.waitFor("msg=probing")
	eventually(t, "told of the start", func() bool {
		return manager.count("READY=1\nSTATUS=probing 2 targets every 1s through "+a.Name) == 1
	})
	eventually(t, "told that it is alive", func() bool { return manager.count("WATCHDOG=1") > 3 })

	hold(t, p.pinnedThread(cpu), func() {
		var said string
		eventually(t, "not healthy", func() bool {
			_, err := fetch(a.Host, usual, "/-/healthy")
			said = fmt.Sprint(err)
			return err != nil
		})
		if !strings.HasPrefix(said, "503 Service Unavailable: not healthy: a worker of interface "+a.Name+" has not made its tick for ") {
			t.Errorf("unhealthy: %s", said)
		}
		p.waitFor("the service manager is no longer told that all is well")
		before := manager.count("WATCHDOG=1")
		for range 5 { // each takes as long as a tick of the watchdog, at least
			if _, err := fetch(a.Host, usual, "/-/healthy"); err == nil {
				t.Error("healthy while a worker stands still")
			}
			unix.Nanosleep(&unix.Timespec{Nsec: 60_000_000}, nil)
		}
		if n := manager.count("WATCHDOG=1"); n != before {
			t.Errorf("told %d times more that it is alive", n-before)
		}
	})
	eventually(t, "healthy again", func() bool {
		_, err := fetch(a.Host, usual, "/-/healthy")
		return err == nil
	})
	alive := manager.count("WATCHDOG=1")
	eventually(t, "told again that it is alive", func() bool { return manager.count("WATCHDOG=1") > alive })

	if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	eventually(t, "told of the reload and its end", func() bool {
		return manager.count("RELOADING=1\nMONOTONIC_USEC=") == 1 && manager.count("READY=1") == 2
	})
	if code := p.signal(syscall.SIGTERM); code != exitcode.OK {
		t.Errorf("exit code %d", code)
	}
	eventually(t, "told of the end", func() bool { return manager.count("STOPPING=1") == 1 })
}
