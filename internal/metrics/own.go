// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"runtime"
	"strconv"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/result"
)

// Our own families. A per-target series appears once it is not zero; addresses
// and ports are labels of netprobe_target_info only.
var (
	notSent       = family{"netprobe_not_sent_total", counter, "Probes that this machine could not send, by reason; never counted as loss."}
	lost          = family{"netprobe_lost_total", counter, "Lost probes by cause."}
	unknown       = family{"netprobe_unknown_total", counter, "Probes without an answer that this machine may have lost itself, by reason; neither sent nor lost in the ratio."}
	icmpErrors    = family{"netprobe_icmp_errors_total", counter, "ICMP errors that quote one of our probes and are no answer, by type and code."}
	shortest      = family{"netprobe_round_trip_min_seconds", gauge, "The shortest round trip of the last round, where several probes were answered."}
	longest       = family{"netprobe_round_trip_max_seconds", gauge, "The longest round trip of the last round, where several probes were answered."}
	jitter        = family{"netprobe_jitter_seconds", gauge, "The mean difference between consecutive round trips of the last round, where it has several."}
	distribution  = family{"netprobe_round_trip_seconds", "histogram", "Round trips since the start of targets in metrics.histograms, marked ones left out."}
	uncertain     = family{"netprobe_round_trip_uncertain", gauge, "1 while every round trip of the last round was too uncertain; they are published all the same."}
	buildInfo     = family{"netprobe_build_info", gauge, "The program's version, the Go version it was built with, and the revision of its source."}
	targetInfo    = family{"netprobe_target_info", gauge, "What is probed of a target: its type, address and port; labels that an inventory gives it have label_ before their names."}
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
	{family{"netprobe_reordered_total", counter, "Answers that came after the answer to a later probe of the same path."},
		func(s *result.Snapshot) uint64 { return s.Reordered }},
	{family{"netprobe_ttl_changes_total", counter, "Answers whose TTL or hop limit differs from the one before on the same path."},
		func(s *result.Snapshot) uint64 { return s.TTLChanges }},
	{family{"netprobe_samples_marked_total", counter, "Round trips kept out of the percentiles because the moment of sending was too uncertain."},
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
	for _, v := range snap.Unknown {
		n += int(oneIf(v > 0))
	}
	for i := range snap.ICMPErrors {
		n += int(oneIf(snap.ICMPErrors[i].Count > 0))
	}
	if spread(snap) {
		n += 3
	}
	if snap.Histogram.Counts != nil {
		n += len(snap.Histogram.Counts) + 2
	}
	return n + int(oneIf(snap.Uncertain))
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
	p.reasons(notSent, "reason", func(s *result.Snapshot) []uint64 { return s.NotSent[:] }, func(i int) string { return result.Reason(i).String() })
	p.reasons(lost, "cause", func(s *result.Snapshot) []uint64 { return s.Causes[:] }, func(i int) string { return result.Cause(i).String() })
	p.reasons(unknown, "reason", func(s *result.Snapshot) []uint64 { return s.Unknown[:] }, func(i int) string { return result.Doubt(i).String() })
	e.family(icmpErrors)
	for i := range p.own {
		for _, k := range p.snaps[i].ICMPErrors {
			if k.Count > 0 {
				p.begin(icmpErrors.name, i)
				e.labelInt("type", int(k.Type))
				e.labelInt("code", int(k.Code))
				e.uint(k.Count)
			}
		}
	}
}

// reasons renders a counter that is kept by reason: one series for each that is
// not zero.
func (p *page) reasons(f family, label string, counts func(*result.Snapshot) []uint64, name func(int) string) {
	p.enc.family(f)
	for i := range p.own {
		for why, n := range counts(&p.snaps[i]) {
			if n > 0 {
				p.begin(f.name, i)
				p.enc.label(label, name(why))
				p.enc.uint(n)
			}
		}
	}
}

// spread reports whether the last round has several round trips, whose extremes
// and jitter say something.
func spread(snap *result.Snapshot) bool { return snap.RoundAnswered > 1 && snap.Max > 0 }

// ownRounds renders our own figures of each target's last round.
func (p *page) ownRounds() {
	e := &p.enc
	for _, g := range [...]struct {
		family
		value func(*result.Snapshot) time.Duration
	}{
		{shortest, func(s *result.Snapshot) time.Duration { return s.Min }},
		{longest, func(s *result.Snapshot) time.Duration { return s.Max }},
		{jitter, func(s *result.Snapshot) time.Duration { return s.Jitter }},
	} {
		e.family(g.family)
		for i := range p.own {
			if spread(&p.snaps[i]) {
				p.begin(g.name, i)
				e.float(seconds(g.value(&p.snaps[i])))
			}
		}
	}
	e.family(uncertain)
	for i := range p.own {
		if p.snaps[i].Uncertain {
			p.begin(uncertain.name, i)
			e.uint(1)
		}
	}
}

// histograms renders the distributions of targets that were asked for: buckets
// count what lies at or below their bound, as Prometheus expects.
func (p *page) histograms() {
	e := &p.enc
	e.family(distribution)
	for i := range p.own {
		h := &p.snaps[i].Histogram
		if h.Counts == nil {
			continue
		}
		total := uint64(0)
		for b, n := range h.Counts {
			total += n
			p.begin(distribution.name+"_bucket", i)
			if b < len(result.Bounds) {
				e.label("le", strconv.FormatFloat(seconds(result.Bounds[b]), 'g', -1, 64))
			} else {
				e.label("le", "+Inf")
			}
			e.uint(total)
		}
		p.begin(distribution.name+"_sum", i)
		e.float(seconds(h.Sum))
		p.begin(distribution.name+"_count", i)
		e.uint(total)
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
		for _, l := range t.Labels { // prefixed, so that none is one of ours or of the scraper's
			e.label("label_"+l.Name, l.Value)
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
