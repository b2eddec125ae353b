// SPDX-License-Identifier: Apache-2.0

package prober

import (
	"context"
	"fmt"
	"math"
	"net/netip"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/probe"
	"github.com/netprobe-xdp/netprobe-xdp/internal/result"
)

// A Linux host limits the ICMP errors that it sends to one peer
// (net/ipv4/icmp.c: icmpv4_xrlim_allow, net/ipv6/icmp.c: icmpv6_xrlim_allow): to
// one per icmp_ratelimit, 1 s unless changed. Over IPv6 the time is halved for
// every 32 bits by which the route back is wider than a host. A UDPunreachable
// target that is asked more often answers one probe in n, for ever and
// steadily, and looks like a lossy path.

// steady are the rates of answers, per second, that such a limit makes.
var steady = map[string][]float64{"ipv4": {1}, "ipv6": {1, 2, 4, 8, 16}}

// lookAgain is how often at most the targets are looked at.
const lookAgain = 2 * time.Second

// tally is what the targets at one address have answered.
type tally struct {
	family   string
	name     string // of one of the targets
	sent     uint64
	answered uint64
	other    uint64 // lost for another reason than time
	rounds   uint64
}

// limitWatch knows which addresses answer as if they were limited. One
// goroutine uses it.
type limitWatch struct {
	began map[string]tally // by address: where its span began
	hits  map[string]int   // spans in a row that look limited
	said  map[string]bool
}

const (
	// spanAnswers is how many answers a span must have to be judged.
	spanAnswers = 10
	// maxLimited is how many targets are watched.
	maxLimited = 10_000
	// hitsToSay is how many spans in a row must look limited.
	hitsToSay = 2
)

// judge takes what an address has answered in all, and says whether it now
// looks limited for the first time, and to how many answers per second.
func (w *limitWatch) judge(addr string, now tally, interval time.Duration) (rate float64, limited bool) {
	then, known := w.began[addr]
	if w.said[addr] {
		return 0, false
	}
	if !known || now.sent < then.sent || now.answered < then.answered || now.rounds < then.rounds { // targets came or went
		w.began[addr] = now
		w.hits[addr] = 0
		return 0, false
	}
	answered, seconds := float64(now.answered-then.answered), float64(now.rounds-then.rounds)*interval.Seconds()
	sent := float64(now.sent - then.sent)
	if answered < spanAnswers || seconds == 0 {
		return 0, false
	}
	w.began[addr] = now
	for _, r := range steady[now.family] {
		// The span and the limit's own time do not fit exactly.
		if math.Abs(answered-r*seconds) <= 1+answered/20 && sent >= 1.5*answered && now.other == then.other {
			if w.hits[addr]++; w.hits[addr] < hitsToSay {
				return 0, false
			}
			w.said[addr] = true
			return r, true
		}
	}
	w.hits[addr] = 0
	return 0, false
}

// forget drops what is known of addresses that are not probed any more.
func (w *limitWatch) forget(still map[string]tally) {
	for addr := range w.began {
		if _, probed := still[addr]; !probed {
			delete(w.began, addr)
			delete(w.hits, addr)
			delete(w.said, addr)
		}
	}
}

// watchLimits says once of each address that seems to limit its ICMP errors
// what to do about it, until ctx ends.
func (p *prober) watchLimits(ctx context.Context) {
	w := limitWatch{began: map[string]tally{}, hits: map[string]int{}, said: map[string]bool{}}
	for {
		interval := p.current.Load().Global.Interval
		select {
		case <-ctx.Done():
			return
		case <-time.After(max(interval, lookAgain)):
		}
		all := p.unreachables()
		w.forget(all)
		for addr, t := range all {
			if rate, limited := w.judge(addr, t, interval); limited {
				p.Log.Warn("target answers steadily, and fewer probes than it is sent: a Linux host that limits its ICMP errors does so. It is probably no loss",
					"target", t.name, "address", addr, "answers_per_second", rate, "advice", adviceFor(t.family))
			}
		}
	}
}

func adviceFor(family string) string {
	change := "net.ipv4.icmp_ratemask=6160 (no limit for unreachable) or lower net.ipv4.icmp_ratelimit"
	if family == "ipv6" {
		change = "net.ipv6.icmp.ratemask=0,3-127 (no limit for unreachable) or lower net.ipv6.icmp.ratelimit"
	}
	return fmt.Sprintf("on the target set %s; or send it fewer probes by nb_packets; see docs/netprobify.md", change)
}

// unreachables returns what the UDPunreachable targets have answered, by
// address.
func (p *prober) unreachables() map[string]tally {
	addrs := map[string]string{}
	for _, t := range p.names.shown() {
		if t.Type != probe.UDPunreachable || len(addrs) == maxLimited {
			continue
		}
		if _, err := netip.ParseAddr(t.Address); err == nil { // of a subnet each address has a limit of its own
			addrs[t.Destination] = t.Address
		}
	}
	if len(addrs) == 0 {
		return nil
	}
	all := map[string]tally{}
	var snap result.Snapshot
	for _, s := range p.store.Series() {
		l := s.Labels()
		addr, known := addrs[l.Destination]
		if !known || l.Metric != probe.UDPunreachable.Metric {
			continue
		}
		s.Snapshot(&snap)
		t := all[addr]
		t.family, t.name = l.Family, l.Destination
		t.sent += snap.Sent
		t.answered += snap.Sent - snap.Lost
		t.other += snap.Lost - snap.Causes[result.Timeout]
		t.rounds = max(t.rounds, snap.Rounds)
		all[addr] = t
	}
	return all
}
