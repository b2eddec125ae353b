// SPDX-License-Identifier: Apache-2.0

package endtoend

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/netprobe-xdp/netprobe-xdp/internal/exitcode"
	"github.com/netprobe-xdp/netprobe-xdp/internal/lab"
)

// TestFewDescriptors: a run that may not open as many files as it needs says so
// in one line and leaves nothing behind, whichever it is that it lacks.
func TestFewDescriptors(t *testing.T) {
	t.Parallel()
	a, _ := pair(t)
	config := file(t, "netprobe.yaml", pings(usual))
	started := 0
	for files := 10; started < 3; files++ {
		p := place{host: a.Host, files: files}.start(t, "run", "--iface", a.Name, "--config", config)
		eventually(t, "the program probes or ends", func() bool {
			return p.hasEnded() || strings.Contains(p.stderr.String(), "msg=probing")
		})
		if !p.hasEnded() {
			started++
			p.signal(syscall.SIGTERM)
			continue
		}
		if files > 60 {
			t.Fatalf("it does not start with %d descriptors", files)
		}
		refused(t, outcome{p.wait(), p.stdout.String(), p.stderr.String()}, exitcode.Unavailable, fmt.Sprintf("the limit of open files, now %d", files), "LimitNOFILE")
		nothingLeft(t, a, a.Host, usual)
	}
}

// TestNoDescriptorLeft: a run that can open no more files while it probes cannot
// be scraped, and goes on probing.
func TestNoDescriptorLeft(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	p := place{host: a.Host}.start(t, "run", "--iface", a.Name, "--config", file(t, "netprobe.yaml", pings(usual)))
	p.waitFor("msg=probing")
	measured(t, a.Host, usual, "icmp", "four", "six")
	sent := scrape(t, a.Host, usual).sum("icmp_sent_total")

	open := func() uint64 {
		all, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.pid()))
		if err != nil {
			t.Fatal(err)
		}
		return uint64(len(all))
	}
	limit := func(n uint64) {
		if err := unix.Prlimit(p.pid(), unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: n, Max: 1024}, nil); err != nil {
			t.Fatal(err)
		}
	}
	arrived := b.Host.DropShare(lab.Input, lab.Match{}, 0, 1) // drops nothing
	seen := func() uint64 {
		c, err := arrived.Counts()
		if err != nil {
			t.Fatal(err)
		}
		return c.Seen
	}
	limit(1)
	eventually(t, "several rounds of probes", func() bool { return seen() > 100 })
	c := client(a.Host)
	c.Timeout = time.Second
	if r, err := c.Get(fmt.Sprintf("http://127.0.0.1:%d/metrics", usual)); err == nil {
		r.Body.Close()
		t.Errorf("it can be scraped with %d descriptors open: the test is void", open())
	}
	limit(1024)
	page := measured(t, a.Host, usual, "icmp", "four", "six")
	if now := page.sum("icmp_sent_total"); now < sent+100 {
		t.Errorf("%v probes sent before, %v after", sent, now)
	}
	if n := page.sum("netprobe_unknown_total"); n != 0 {
		t.Errorf("%v probes are unknown", n)
	}
	if code := p.signal(syscall.SIGTERM); code != exitcode.OK {
		t.Errorf("SIGTERM: exit code %d", code)
	}
	nothingLeft(t, a, a.Host, usual)
}
