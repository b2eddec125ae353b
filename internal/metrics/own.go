// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"runtime"

	"github.com/netprobe-xdp/netprobe-xdp/internal/result"
)

// Our own families. A per-target series appears once it is not zero; addresses
// and ports are labels of netprobe_target_info only.
var (
	notSent       = family{"netprobe_not_sent_total", counter, "Probes that our own side could not send, by reason; never counted as loss."}
	lost          = family{"netprobe_lost_total", counter, "Lost probes by cause: no answer in time, no neighbour to send to, or an ICMP error."}
	buildInfo     = family{"netprobe_build_info", gauge, "The program's version, the Go version it was built with, and the revision of its source."}
	targetInfo    = family{"netprobe_target_info", gauge, "What is probed of a target: its type, address and port."}
	seriesDropped = family{"netprobe_series_dropped", gauge, "Per-target series left out of this page because of metrics.max_series."}
)

// targetCounters are our counters of a target in a group that need no further
// label.
var targetCounters = []struct {
	family
	value func(*result.Snapshot) uint64
}{
	{family{"netprobe_duplicates_total", counter, "Second answers to one probe."},
		func(s *result.Snapshot) uint64 { return s.Duplicates }},
	{family{"netprobe_late_total", counter, "Answers that came after the timeout; their probes are counted as lost."},
		func(s *result.Snapshot) uint64 { return s.Late }},
	{family{"netprobe_icmp_errors_total", counter, "ICMP errors that quote one of our probes and are no answer."},
		func(s *result.Snapshot) uint64 { return s.ICMPErrors }},
	{family{"netprobe_samples_marked_total", counter, "Round trips kept out of the percentiles because the time of sending was unusually uncertain."},
		func(s *result.Snapshot) uint64 { return s.Marked }},
}

// ownSeries is how many time series of our own a target in a group has.
func ownSeries(snap *result.Snapshot) int {
	n := 0
	for i := range targetCounters {
		n += int(oneIf(targetCounters[i].value(snap) > 0))
	}
	for _, v := range snap.NotSent {
		n += int(oneIf(v > 0))
	}
	for _, v := range snap.Causes {
		n += int(oneIf(v > 0))
	}
	return n
}

// ownCounters renders our own counters of each target in each group.
func (p *page) ownCounters() {
	e := &p.enc
	for _, c := range targetCounters {
		e.family(c.family)
		for i := range p.own {
			if n := c.value(&p.snaps[i]); n > 0 {
				p.begin(c.name, i)
				e.uint(n)
			}
		}
	}
	e.family(notSent)
	for i := range p.own {
		for why, n := range p.snaps[i].NotSent {
			if n > 0 {
				p.begin(notSent.name, i)
				e.label("reason", result.Reason(why).String())
				e.uint(n)
			}
		}
	}
	e.family(lost)
	for i := range p.own {
		for why, n := range p.snaps[i].Causes {
			if n > 0 {
				p.begin(lost.name, i)
				e.label("cause", result.Cause(why).String())
				e.uint(n)
			}
		}
	}
}

// infos renders what describes targets and program.
func (p *page) infos(version, revision string) {
	e := &p.enc
	e.family(targetInfo)
	for _, t := range p.targets[:p.info] {
		p.beginTarget(targetInfo.name, t)
		e.label("type", t.Type.Name)
		e.label("address", t.Address)
		if t.Port != 0 {
			e.labelInt("port", int(t.Port))
		}
		e.uint(1)
	}
	e.family(buildInfo)
	e.begin(buildInfo.name)
	e.label("version", version)
	e.label("goversion", runtime.Version())
	e.label("revision", revision)
	e.uint(1)

	e.family(seriesDropped)
	e.begin(seriesDropped.name)
	e.uint(uint64(p.dropped))
}
