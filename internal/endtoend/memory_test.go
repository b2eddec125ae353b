// SPDX-License-Identifier: Apache-2.0

package endtoend

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/netprobe-xdp/netprobe-xdp/internal/exitcode"
	"github.com/netprobe-xdp/netprobe-xdp/internal/lab"
)

// memoryGroup makes a control group below that of the tests, of whichever
// version has the memory controller here, and returns its folder and the file that
// takes its limit.
func memoryGroup(t *testing.T) (dir, limit string) {
	t.Helper()
	groups, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(groups)) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		parent, file := "/sys/fs/cgroup", "memory.max"
		switch {
		case f[1] == "memory":
			parent, file = "/sys/fs/cgroup/memory", "memory.limit_in_bytes"
		case f[1] != "":
			continue
		}
		dir = filepath.Join(parent, f[2], fmt.Sprintf("npx%d-%s", os.Getpid(), strings.ToLower(strings.ReplaceAll(t.Name(), "/", "-"))))
		if err := os.Mkdir(dir, 0o755); err != nil {
			continue
		}
		t.Cleanup(func() { eventually(t, "the control group is removed", func() bool { return os.Remove(dir) == nil }) })
		if _, err := os.Stat(filepath.Join(dir, file)); err == nil {
			return dir, filepath.Join(dir, file)
		}
	}
	if os.Getenv("CI") == "true" {
		t.Fatal("no control group with the memory controller can be made here, and the test must not be skipped where CI=true")
	}
	t.Skip("no control group with the memory controller can be made here: run it as root, with cgroup memory")
	return "", ""
}

// TestMemoryLimit: with less memory than its sockets need, the program says how
// much that is and leaves nothing behind; with little more than that, it probes.
func TestMemoryLimit(t *testing.T) {
	t.Parallel()
	dir, limit := memoryGroup(t)
	l := lab.ForTest(t, "endtoend")
	a, _ := l.Connect(l.Host("a"), l.Host("b"), lab.Link{
		Queues: 4, A: []string{"192.0.2.1/24", "2001:db8::1/64"}, B: []string{"192.0.2.2/24", "2001:db8::2/64"}})
	config := file(t, "netprobe.yaml", pings(usual))
	start := func(mib int) *program {
		if err := os.WriteFile(limit, []byte(strconv.Itoa(mib<<20)), 0); err != nil {
			t.Fatal(err)
		}
		return place{host: a.Host, group: dir}.start(t, "run", "--iface", a.Name, "--config", config)
	}
	// Four queues take 24 MiB; the program itself is larger than what is left.
	for _, mib := range []int{24, 28, 32} {
		p := start(mib)
		refused(t, outcome{p.wait(), p.stdout.String(), p.stderr.String()}, exitcode.Unavailable,
			a.Name, "on 4 queues: they need 32 MiB", fmt.Sprintf("the control group allows %d MiB", mib), "MemoryMax")
		nothingLeft(t, a, a.Host, usual)
	}
	p := start(40)
	p.waitFor("the heap is bounded by what the control group allows")
	p.waitFor("msg=probing")
	measured(t, a.Host, usual, "icmp", "four", "six")
	for range 20 {
		scrape(t, a.Host, usual)
	}
	if code := p.signal(syscall.SIGTERM); code != exitcode.OK {
		t.Errorf("SIGTERM: exit code %d", code)
	}
	nothingLeft(t, a, a.Host, usual)
}
