// SPDX-License-Identifier: Apache-2.0

package truth

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/lab"
	"github.com/netprobe-xdp/netprobe-xdp/internal/result"
)

// everyType returns a target of each type at the addresses of both families.
// TCP goes to a closed port, where no reset follows: what arrives are the
// probes.
func everyType(prefix string, packets int, timeout time.Duration, addrs map[string]string) []target {
	var all []target
	for family, addr := range addrs {
		for _, tg := range []target{
			{name: "tcp", kind: "TCPsyn", port: 81},
			{name: "echo", kind: "ICMPping"},
			{name: "udp", kind: "UDPunreachable", port: 33434},
		} {
			tg.name, tg.addr, tg.packets, tg.timeout = prefix+tg.name+"-"+family, addr, packets, timeout
			all = append(all, tg)
		}
	}
	return all
}

// everyPort returns targets of each type at the host of a pair, over both
// families: TCP goes to an open port, 80, too.
func everyPort(packets int, timeout time.Duration) []target {
	all := everyType("", packets, timeout, far)
	for i, tg := range all {
		if tg.kind == "TCPsyn" {
			all[i].name = "closed-" + strings.TrimPrefix(tg.name, "tcp-")
			tg.name, tg.port = "open-"+strings.TrimPrefix(tg.name, "tcp-"), 80
			all = append(all, tg)
		}
	}
	return all
}

// arrived is how many probes of everyType the host's kernel has seen.
func arrived(t *testing.T, h *lab.Host) (n uint64) {
	t.Helper()
	for _, name := range []string{"Tcp:OutRsts", "Icmp:InEchos", "Icmp6InEchos", "Udp:NoPorts", "Udp6NoPorts"} {
		n += kernelCounter(t, h, name)
	}
	return n
}

// published says whether a target has the series, on the page, that a round
// without anything sent takes away.
func published(t *testing.T, r *run, tg target) (ratio, roundTrip bool) {
	t.Helper()
	metric := map[string]string{"TCPsyn": "tcpsyn", "ICMPping": "icmp", "UDPunreachable": "udp_unreachable"}[tg.kind]
	p, label := r.page(), `destination="`+r.names[tg.name]+`"`
	_, ratios := p.sum(t, metric+"_loss_ratio", label)
	_, trips := p.sum(t, metric+"_round_trip_seconds", label)
	return ratios > 0, trips > 0
}

// A neighbour that does not answer is a loss at once, and nothing is sent in
// its place; a target without a route is not sent to, and has no loss ratio.
// Neither costs another target anything. When a route comes, probing begins.
func TestLostOrNotSent(t *testing.T) {
	t.Parallel()
	const packets = 100
	p := newPair(t, 2)
	behind := map[string]string{"ipv4": "203.0.113.9", "ipv6": "2001:db8:9::9"}
	p.farEnd.AddAddr(behind["ipv4"] + "/32")
	p.farEnd.AddAddr(behind["ipv6"] + "/128")
	dead := map[string]string{"ipv4": "192.0.2.99", "ipv6": "2001:db8::99"}
	live := everyType("live-", packets, 0, far)
	nobody := everyType("nobody-", packets, 0, dead)
	noRoute := everyType("away-", packets, 0, behind)
	// The lead is longer than a neighbour has to answer.
	s := setup{on: p.prober, hosts: []*lab.Host{p.host}, ifaces: []string{p.nearEnd.Name}, interval: 5 * time.Second, gap: 10 * time.Millisecond, lead: 4 * time.Second}
	s.groups = []group{{name: "g", a: 20000, z: 20255}}
	s.targets = append(append(append(s.targets, live...), nobody...), noRoute...)
	c := startCapture(t, p.farEnd, fmt.Sprintf("dst host %s or dst host %s", dead["ipv4"], dead["ipv6"]))
	r := start(t, s)
	r.quiet(1, func() {
		c.stop()
		if sent := c.packets("!arp && !(icmpv6.type == 135)", "frame.number"); len(sent) != 0 {
			t.Errorf("%d probes left for a neighbour that does not exist", len(sent))
		}
		for _, tg := range live {
			r.whole(tg.name, packets)
		}
		for _, tg := range nobody {
			got := r.of(tg.name)
			ratio, _ := got.LossRatio()
			if got.Sent != packets || got.Causes[result.NoNeighbour] != packets || got.Lost != packets || notSent(got) != 0 || ratio != 1 {
				t.Errorf("%s: %s; want %d lost, no_neighbour", tg.name, show(got), packets)
			}
			// Nobody waits for an answer to what was not sent: the round ends with its last probe.
			if lead := r.of(live[0].name).RoundEnd.Sub(got.RoundEnd).Abs(); lead > time.Second/2 {
				t.Errorf("%s: its round ended %v apart from that of a target that answers", tg.name, lead)
			}
		}
		for _, tg := range noRoute {
			got := r.of(tg.name)
			ratio, trip := published(t, r, tg)
			if got.Sent != 0 || got.Lost != 0 || got.NotSent[result.NoRoute] != packets || notSent(got) != packets || ratio || trip {
				t.Errorf("%s: %s, loss ratio %v, round trip %v; want %d not sent, no_route, and no such series", tg.name, show(got), ratio, trip, packets)
			}
		}
		if ratio, trip := published(t, r, live[0]); !ratio || !trip {
			t.Errorf("a target that answers has a loss ratio %v, a round trip %v", ratio, trip)
		}
		if got, want := arrived(t, p.host), uint64(len(live)*packets); got != want {
			t.Errorf("the host saw %d probes, want %d", got, want)
		}
		r.accounted()
		p.prober.SetRoute(lab.Default4, lab.Hop{Via: far4})
		p.prober.SetRoute(lab.Default6, lab.Hop{Via: far6})
	})
	r.quiet(2, func() {
		for _, tg := range noRoute {
			got := r.of(tg.name)
			if got.Sent != packets || got.Lost > r.unable() || notSent(got) != packets {
				t.Errorf("%s: %s; want %d sent since there is a route, and none lost", tg.name, show(got), packets)
			}
			if ratio, trip := published(t, r, tg); !ratio || !trip {
				t.Errorf("%s has a loss ratio %v, a round trip %v", tg.name, ratio, trip)
			}
		}
		r.accounted()
	})
}

// While the link is down nothing is sent, which is no loss; when it is up again
// probing goes on. It makes no difference whether the carrier goes or
// somebody sets the interface down.
func TestLinkDown(t *testing.T) {
	t.Parallel()
	const packets = 100
	for name, end := range map[string]func(*pair) *lab.End{
		"carrier":   func(p *pair) *lab.End { return p.farEnd },
		"interface": func(p *pair) *lab.End { return p.nearEnd },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPair(t, 2)
			for _, h := range []*lab.Host{p.prober, p.host} {
				h.Sysctl("net.ipv6.conf.all.keep_addr_on_down", "1")
			}
			s := setup{on: p.prober, hosts: []*lab.Host{p.host}, ifaces: []string{p.nearEnd.Name}, interval: 4 * time.Second, gap: 15 * time.Millisecond,
				groups: []group{{name: "g", a: 20000, z: 20255}}, targets: everyType("", packets, 300*time.Millisecond, far)}
			all := uint64(len(s.targets) * packets)
			r := start(t, s)
			r.quiet(1, func() {
				for _, tg := range s.targets {
					r.whole(tg.name, packets)
				}
				end(p).SetUp(false)
			})
			r.quiet(2, func() { // down all the time
				got := r.all()
				if got.Sent != all || got.Lost != r.unable() || got.NotSent[result.LinkDown] != all || notSent(got) != all {
					t.Errorf("while the link was down: %s; want another %d not sent, link_down", show(got), all)
				}
				for _, tg := range s.targets {
					if ratio, trip := published(t, r, tg); ratio || trip {
						t.Errorf("%s: nothing was sent, but there is a loss ratio %v, a round trip %v", tg.name, ratio, trip)
					}
				}
				end(p).SetUp(true)
			})
			r.quiet(3, func() { // up since some seconds
				if got := r.all(); got.Sent != 2*all || got.Lost != r.unable() || notSent(got) != all {
					t.Errorf("after the link came back: %s; want %d more sent, none lost", show(got), all)
				}
			})
			before := arrived(t, p.host)
			r.wait(func() bool { return arrived(t, p.host) > before+all/4 }, 15*time.Second, func() string { return "no probes arrive" })
			end(p).SetUp(false)
			time.Sleep(300 * time.Millisecond)
			end(p).SetUp(true)
			r.quiet(4, func() { // down for a moment of it
				got, seen := r.all(), arrived(t, p.host)
				t.Logf("round with a gap: %s; the host saw %d", show(got), seen)
				if got.Sent+notSent(got)+unknown(got) != 4*all || got.NotSent[result.LinkDown] <= all {
					t.Errorf("%s; want %d in all, and more than %d not sent, link_down", show(got), 4*all, all)
				}
				// Unknown is what was on the wire just then: either the host never saw it, or
				// its answer met a dead link. The kernel takes some milliseconds
				// from the first to the last step of setting a link down, more when it is busy.
				if got.Lost > r.unable() || unknown(got) != got.Unknown[result.WentDown] || unknown(got) > all/6 || seen < got.Sent {
					t.Errorf("%s; the host saw %d: no more may be unknown than was on the wire, and nothing is lost", show(got), seen)
				}
				r.accounted()
			})
			last, silent := r.all(), r.unable()
			r.quiet(5, func() {
				if got := r.all(); got.Sent != last.Sent+all || got.Lost-last.Lost != r.unable()-silent || notSent(got) != notSent(last) {
					t.Errorf("the last round is not whole: %s, then %s", show(last), show(got))
				}
				r.accounted()
			})
		})
	}
}
