// SPDX-License-Identifier: Apache-2.0

package main

import (
	"slices"
	"strings"
	"time"
)

const (
	contestTargets = 1000
	fewTargets     = 32
	pacedPPS       = 10 * contestTargets
	fastPPS        = 150_000
	dropEvery      = 10

	// firstGuess is how fast a contestant is taken to be, probes/s, before its
	// first run as fast as it goes.
	firstGuess = 300_000
)

// settings are what is asked of the contestants. Paced rounds have one probe
// more than the duration holds: then the percentiles that ours publishes are its samples.
func (o *opts) settings(p phases) []setting {
	a, b := &bare{batch: o.batch}, &ours{phases: p}
	z, m, f, burst := &zmap{}, &masscan{}, &fping{}, &fping{bursts: true}
	paced := func(proto string, pps int) load {
		each := int(o.duration.Seconds()*float64(pps))/contestTargets + 1
		return load{Proto: proto, Targets: contestTargets, PPS: pps, Probes: each * contestTargets}
	}
	flat := func(proto string, targets int) load {
		return load{Proto: proto, Targets: targets, Probes: int(firstGuess * o.duration.Seconds())}
	}
	all := []setting{
		{"flat-icmp", "ICMP echo as fast as it goes", flat(icmp, contestTargets), 0, []contestant{a, b, z, m, f}},
		{"flat-tcp", "TCP SYN as fast as it goes", flat(tcp, contestTargets), 0, []contestant{a, b, z, m}},
		{"few-icmp", "ICMP echo as fast as it goes, to 32 targets", flat(icmp, fewTargets), 0, []contestant{a, b}},
		{"few-tcp", "TCP SYN as fast as it goes, to 32 targets", flat(tcp, fewTargets), 0, []contestant{a, b}},
		{"paced-icmp", "ICMP echo to 1,000 targets, 10 probes/s each", paced(icmp, pacedPPS), 0, []contestant{a, b, z, m, f, burst}},
		{"paced-tcp", "TCP SYN to 1,000 targets, 10 probes/s each", paced(tcp, pacedPPS), 0, []contestant{a, b, z, m}},
		{"drop-icmp", "the same ICMP echo, 10 % dropped by the far end", paced(icmp, pacedPPS), dropEvery, []contestant{a, b, z, m, f}},
		{"drop-tcp", "the same TCP SYN, 10 % dropped by the far end", paced(tcp, pacedPPS), dropEvery, []contestant{a, b, z, m}},
		{"fast-icmp", "ICMP echo at 150,000 probes/s", paced(icmp, fastPPS), 0, []contestant{a, b}},
		{"fast-tcp", "TCP SYN at 150,000 probes/s", paced(tcp, fastPPS), 0, []contestant{a, b}},
	}
	var some []setting
	for _, s := range all {
		if o.among != nil {
			s.field = slices.DeleteFunc(s.field, func(c contestant) bool { return !slices.Contains(o.among, c.name()) })
		}
		if strings.Contains(s.name, o.only) && len(s.field) > 0 {
			some = append(some, s)
		}
	}
	return some
}

// contest runs every contestant once per round in each setting, in turn, so that what
// drifts hits all.
func (o *opts) contest(settings []setting) ([]*entry, error) {
	if err := lacks("zmap", "masscan", "fping"); err != nil {
		return nil, err
	}
	var all []*entry
	for _, s := range settings {
		var field []*entry
		for _, c := range s.field {
			field = append(field, &entry{Setting: s.name, Contestant: c.name()})
		}
		for round := range o.rounds {
			for i, c := range s.field {
				mine := s
				if f, ok := c.(*fping); ok && s.load.PPS == 0 && !f.bursts {
					mine.load.Probes = fpingBurst
				} else if n := len(field[i].runs); n > 0 {
					mine.load = fit(s.load, field[i].runs[n-1], o.duration)
				} else {
					mine.load = fit(s.load, run{Rate: firstGuess}, o.duration)
				}
				began := time.Now()
				got, err := contest(c, mine, o.queues)
				if err != nil {
					return nil, err
				}
				progress("%s %d/%d %s: %s/s, %s us of CPU, %s matched (%v)", s.name, round+1, o.rounds, c.name(),
					thousands(got.Rate), digits(got.CPU), percent(got.Matched), time.Since(began).Round(100*time.Millisecond))
				field[i].runs = append(field[i].runs, got)
			}
		}
		all = append(all, field...)
	}
	return all, nil
}

// writeProfiles runs ours once more for each protocol, under the profiler.
func (o *opts) writeProfiles(p phases) error {
	for _, proto := range []string{icmp, tcp} {
		s := setting{name: "profile", load: load{Proto: proto, Targets: contestTargets, Probes: firstGuess * 5}}
		if _, err := contest(&ours{phases: p, profile: o.profile + "." + proto}, s, o.queues); err != nil {
			return err
		}
	}
	return nil
}
