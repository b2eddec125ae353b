// SPDX-License-Identifier: Apache-2.0

package truth

import (
	"net"
	"regexp"
	"testing"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/lab"
	"github.com/netprobe-xdp/netprobe-xdp/internal/result"
)

// gateways is a prober with two gateways on its link, and a host behind both:
//
//	prober ── switch ─┬─ one ─┬─ host
//	                  └─ two ─┘
type gateways struct {
	prober, one, two, host  *lab.Host
	nearEnd, oneEnd, twoEnd *lab.End
	arrived                 *lab.Filter // TCP and UDP at the host
	throughOne, throughTwo  *lab.Filter // from the prober
}

// The addresses of gateways. The host has its own beside those of its links.
const (
	one4, one6   = "192.0.2.253", "2001:db8::fd"
	two4, two6   = "192.0.2.254", "2001:db8::fe"
	host4, host6 = "203.0.113.10", "2001:db8:9::10"
)

func newGateways(t *testing.T) *gateways {
	t.Helper()
	l := lab.ForTest(t, "truth")
	g := &gateways{prober: l.Host("prober"), one: l.Router("one"), two: l.Router("two"), host: l.Host("host")}
	sw := l.Host("switch")
	g.nearEnd, _ = l.Connect(g.prober, sw, lab.Link{Queues: 2, A: []string{near4 + "/24", near6 + "/64"}})
	g.oneEnd, _ = l.Connect(g.one, sw, lab.Link{A: []string{one4 + "/24", one6 + "/64"}})
	g.twoEnd, _ = l.Connect(g.two, sw, lab.Link{A: []string{two4 + "/24", two6 + "/64"}})
	must(t, sw, "ip", "link", "add", "name", "bridge0", "type", "bridge")
	for _, port := range []string{"to-prober", "to-one", "to-two"} {
		must(t, sw, "ip", "link", "set", port, "master", "bridge0")
	}
	must(t, sw, "ip", "link", "set", "bridge0", "up")

	l.Connect(g.one, g.host, lab.Link{A: []string{"198.51.100.1/30", "2001:db8:1::1/64"}, B: []string{"198.51.100.2/30", "2001:db8:1::2/64"}})
	_, last := l.Connect(g.two, g.host, lab.Link{A: []string{"198.51.100.5/30", "2001:db8:2::1/64"}, B: []string{"198.51.100.6/30", "2001:db8:2::2/64"}})
	last.AddAddr(host4 + "/32")
	last.AddAddr(host6 + "/128")
	for _, r := range []struct {
		gw        *lab.Host
		via, via6 string
	}{{g.one, "198.51.100.2", "2001:db8:1::2"}, {g.two, "198.51.100.6", "2001:db8:2::2"}} {
		r.gw.SetRoute(host4+"/32", lab.Hop{Via: r.via})
		r.gw.SetRoute(host6+"/128", lab.Hop{Via: r.via6})
	}
	// Answers come back through gateway two, whatever the way there: what
	// is lost is lost on the way there.
	g.host.SetRoute(lab.Default4, lab.Hop{Via: "198.51.100.5"})
	g.host.SetRoute(lab.Default6, lab.Hop{Via: "2001:db8:2::1"})
	g.prober.SetRoute(lab.Default4, lab.Hop{Via: one4})
	g.prober.SetRoute(lab.Default6, lab.Hop{Via: one6})
	// A second address of a network outlives the first.
	g.prober.Sysctl("net.ipv4.conf.all.promote_secondaries", "1")
	g.host.UnlimitedICMP()
	g.arrived = count(g.host, lab.Input, lab.Match{})
	g.throughOne = count(g.one, lab.Forward, lab.Match{})
	g.throughTwo = count(g.two, lab.Forward, lab.Match{To: "203.0.113.0/24"})
	return g
}

// targets probes the host by each type and family. A closed port gets SYNs
// only, and so what arrives are the probes.
func (g *gateways) setup(packets int) setup {
	s := setup{on: g.prober, hosts: []*lab.Host{g.host}, ifaces: []string{g.nearEnd.Name}, interval: 6 * time.Second, gap: 10 * time.Millisecond,
		groups: []group{{name: "g", a: 20000, z: 20255}}}
	for family, addr := range map[string]string{"ipv4": host4, "ipv6": host6} {
		for _, tg := range []target{
			{name: "closed", kind: "TCPsyn", port: 81},
			{name: "echo", kind: "ICMPping"},
			{name: "udp", kind: "UDPunreachable", port: 33434},
		} {
			tg.name, tg.addr, tg.packets, tg.timeout = tg.name+"-"+family, addr, packets, 500*time.Millisecond
			s.targets = append(s.targets, tg)
		}
	}
	return s
}

// Routes, gateways and addresses change while probing goes on. Nothing is
// reported lost but what the host never saw, and the next round is whole.
func TestChangesWhileRunning(t *testing.T) {
	t.Parallel()
	const packets = 400 // a round takes 4 s
	for name, c := range map[string]struct {
		change func(*gateways)
		loses  bool                                    // the change itself costs probes
		after  func(g *gateways, t *testing.T, r *run) // in quiet time after the second round
	}{
		"gateway has a new MAC": {
			change: func(g *gateways) { g.oneEnd.SetMAC(net.HardwareAddr{2, 0, 0, 0, 0, 0x99}) },
			loses:  true,
		},
		"route moves to another gateway": {
			change: func(g *gateways) {
				g.prober.SetRoute(lab.Default4, lab.Hop{Via: two4})
				g.prober.SetRoute(lab.Default6, lab.Hop{Via: two6})
			},
			after: (*gateways).usesTwo,
		},
		"route becomes one of equal cost": {
			change: func(g *gateways) {
				g.prober.SetRoute(lab.Default4, lab.Hop{Via: one4}, lab.Hop{Via: two4})
				// The kernel adds to an IPv6 route where it replaces an IPv4 one.
				g.prober.DelRoute(lab.Default6)
				g.prober.SetRoute(lab.Default6, lab.Hop{Via: one6}, lab.Hop{Via: two6})
			},
			after: func(_ *gateways, t *testing.T, r *run) {
				log := r.log.String()
				for _, either := range []string{"taken=(" + one4 + "|" + two4 + ") ", "taken=(" + one6 + "|" + two6 + ") "} {
					if !regexp.MustCompile("next hops of equal cost.*" + either).MatchString(log) {
						t.Errorf("the log does not say which next hop is taken, %s", either)
					}
				}
			},
		},
		"gateway is link-local": {
			change: func(g *gateways) {
				g.prober.SetRoute(lab.Default4, lab.Hop{Via: two4})
				g.prober.SetRoute(lab.Default6, lab.Hop{Via: g.twoEnd.LinkLocal().String(), On: g.nearEnd})
			},
			after: (*gateways).usesTwo,
		},
		"source address changes": {
			change: func(g *gateways) {
				g.nearEnd.AddAddr("192.0.2.7/24")
				g.nearEnd.AddAddr("2001:db8::7/64")
				g.nearEnd.DelAddr(near4 + "/24")
				g.nearEnd.DelAddr(near6 + "/64")
				// With the address goes the route that it stood for.
				g.prober.SetRoute(lab.Default4, lab.Hop{Via: one4})
				g.prober.SetRoute(lab.Default6, lab.Hop{Via: one6})
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGateways(t)
			s := g.setup(packets)
			r := start(t, s)
			seen := func() uint64 {
				return counts(t, g.arrived).Seen
			}
			r.wait(func() bool { return seen() > packets }, 15*time.Second, func() string { return "no probes arrive" })
			c.change(g)
			r.quiet(1, func() {
				got := r.all()
				t.Logf("round of the change: %s", show(got))
				arrived := arrived(t, g.host)
				if got.Lost != got.Sent-arrived+r.unable() || unknown(got) != 0 || got.Causes[result.NoNeighbour] != 0 {
					t.Errorf("%s; the host saw %d: want %d lost", show(got), arrived, got.Sent-arrived)
				}
				if (got.Sent > arrived) != c.loses {
					t.Errorf("%s; does the change cost probes? %v", show(got), c.loses)
				}
				if all := uint64(len(s.targets) * packets); got.Sent+notSent(got) != all {
					t.Errorf("%s; want %d in all", show(got), all)
				}
				r.accounted()
			})
			before, silent := r.all(), r.unable()
			r.quiet(2, func() {
				got := r.all()
				if got.Sent-before.Sent != uint64(len(s.targets)*packets) || got.Lost-before.Lost != r.unable()-silent || notSent(got) != notSent(before) {
					t.Errorf("the round after the change is not whole: %s, then %s", show(before), show(got))
				}
				r.accounted()
				if c.after != nil {
					c.after(g, t, r)
				}
			})
		})
	}
}

// usesTwo checks that the probes took gateway two since the last round at least.
func (g *gateways) usesTwo(t *testing.T, r *run) {
	t.Helper()
	one, two := counts(t, g.throughOne).Seen, counts(t, g.throughTwo).Seen
	t.Logf("gateway one forwarded %d packets, gateway two %d over IPv4", one, two)
	if perRound := uint64(len(r.setup.targets) * r.setup.targets[0].packets); one >= perRound || two < perRound/2 {
		t.Errorf("gateway one forwarded %d packets and gateway two %d over IPv4; a round is %d", one, two, perRound)
	}
}
