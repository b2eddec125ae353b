// SPDX-License-Identifier: Apache-2.0

package truth

import (
	"strings"
	"testing"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/result"
)

// ip runs one command of ip(8) per line in the prober's namespace.
func (p *pair) ip(t *testing.T, lines ...string) {
	t.Helper()
	for _, l := range lines {
		must(t, p.prober, "ip", strings.Fields(l)...)
	}
}

// addresses gives the near end its addresses and sets it up.
func (p *pair) addresses(t *testing.T) {
	t.Helper()
	name := p.nearEnd.Name
	p.ip(t, "addr add "+near4+"/24 dev "+name, "addr add "+near6+"/64 dev "+name+" nodad", "link set "+name+" up")
}

// remake makes the link again after it was deleted: another veth pair of the
// same names.
func (p *pair) remake(t *testing.T, attributes string) {
	t.Helper()
	p.ip(t, "link add "+p.nearEnd.Name+" "+attributes+" type veth peer name "+p.farEnd.Name+" "+attributes+" netns "+p.host.Netns)
	name := p.farEnd.Name
	for _, l := range []string{"addr add " + far4 + "/24 dev " + name, "addr add " + far6 + "/64 dev " + name + " nodad", "link set " + name + " up"} {
		must(t, p.host, "ip", strings.Fields(l)...)
	}
	p.addresses(t)
}

// attached says whether an XDP program is on the near end.
func (p *pair) attached(t *testing.T) bool {
	t.Helper()
	return strings.Contains(must(t, p.prober, "ip", "-details", "link", "show", "dev", p.nearEnd.Name), "xdp")
}

// The interface goes and comes back, as another one of the same name. What is
// planned meanwhile is not sent, what was under way is unknown, nothing is lost.
// Then probing goes on by itself, counters and all, and at the end nothing is left.
func TestInterfaceMadeAgain(t *testing.T) {
	t.Parallel()
	const packets = 100
	for name, c := range map[string]struct {
		queues  int
		away    func(*pair, *testing.T)
		back    func(*pair, *testing.T)
		sockets int // afterwards
	}{
		"deleted": {2,
			func(p *pair, t *testing.T) { p.ip(t, "link del "+p.nearEnd.Name) },
			func(p *pair, t *testing.T) { p.remake(t, "numrxqueues 2 numtxqueues 2") }, 2},
		"fewer queues, larger MTU": {2,
			func(p *pair, t *testing.T) { p.ip(t, "link del "+p.nearEnd.Name) },
			func(p *pair, t *testing.T) { p.remake(t, "mtu 3000 numrxqueues 1 numtxqueues 1") }, 1},
		"more queues, another MAC": {1,
			func(p *pair, t *testing.T) { p.ip(t, "link del "+p.nearEnd.Name) },
			func(p *pair, t *testing.T) {
				p.remake(t, "numrxqueues 4 numtxqueues 4")
				p.ip(t, "link set "+p.nearEnd.Name+" address 02:00:00:00:00:77")
			}, 4},
		"moved to another namespace": {2,
			func(p *pair, t *testing.T) { p.ip(t, "link set "+p.nearEnd.Name+" netns "+p.host.Netns) },
			func(p *pair, t *testing.T) {
				must(t, p.host, "ip", "link", "set", p.nearEnd.Name, "netns", p.prober.Netns)
				p.addresses(t)
			}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPair(t, c.queues)
			s := setup{on: p.prober, hosts: nil, ifaces: []string{p.nearEnd.Name}, interval: 7 * time.Second, gap: 50 * time.Millisecond,
				groups: []group{{name: "g", a: 20000, z: 20255}}, targets: everyType("", packets, 300*time.Millisecond, far)}
			all := uint64(len(s.targets) * packets)
			r := start(t, s)
			r.wait(func() bool { return arrived(t, p.host) > all/10 }, 15*time.Second, func() string { return "no probes arrive" })
			c.away(p, t)
			r.wait(func() bool { return strings.Contains(r.log.String(), "is gone") }, 10*time.Second, func() string { return "nobody notices" })
			time.Sleep(300 * time.Millisecond)
			before := arrived(t, p.host)
			c.back(p, t)
			there := time.Now()
			r.wait(func() bool { return arrived(t, p.host) > before }, 10*time.Second, func() string { return "probing does not go on: " + show(r.all()) })
			t.Logf("probing went on %v after the interface was back", time.Since(there).Round(time.Millisecond))
			r.quiet(1, func() {
				got := r.all()
				t.Logf("round of the change: %s; the host saw %d", show(got), arrived(t, p.host))
				if got.Lost != 0 || got.NotSent[result.LinkDown] == 0 || got.Sent+notSent(got)+unknown(got) != all || unknown(got) != got.Unknown[result.Detached]+got.Unknown[result.WentDown] {
					t.Errorf("%s; want none lost, some not sent, link_down, and %d in all", show(got), all)
				}
			})
			first := r.all()
			r.quiet(2, func() {
				got := r.all()
				if got.Sent-first.Sent != all || got.Lost != 0 || notSent(got) != notSent(first) || unknown(got) != unknown(first) {
					t.Errorf("the round after it is not whole: %s, then %s", show(first), show(got))
				}
				pg := r.page()
				_, queues := pg.sum(t, "netprobe_ring_dropped_total", `ring="rx"`)
				if want := max(c.queues, c.sockets); queues != want {
					t.Errorf("counters of %d queues, want %d", queues, want)
				}
				if !p.attached(t) {
					t.Error("no XDP program is attached")
				}
			})
			r.stop()
			if p.attached(t) {
				t.Error("left behind: an XDP program")
			}
		})
	}
}
