// SPDX-License-Identifier: Apache-2.0

package truth

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/lab"
)

// paced is a prober's setup against a host that answers for many addresses,
// where the far side's kernel stamps what arrives.
func paced(t *testing.T, targets, packets int, interval, gap time.Duration) (setup, *lab.End) {
	t.Helper()
	l := lab.ForTest(t, "truth")
	prober, host := l.Host("prober"), l.Host("host")
	near, farEnd := l.Connect(prober, host, lab.Link{Queues: 2, A: []string{near4 + "/24"}, B: []string{far4 + "/24"}})
	prober.SetRoute("198.18.0.0/16", lab.Hop{Via: far4})
	must(t, host, "ip", "route", "add", "local", "198.18.0.0/16", "dev", "lo")
	host.UnlimitedICMP()
	s := setup{on: prober, ifaces: []string{near.Name}, interval: interval, gap: gap}
	for i := range targets {
		s.targets = append(s.targets, target{name: fmt.Sprintf("t%d", i), kind: "ICMPping", addr: fmt.Sprintf("198.18.%d.%d", i/250, 1+i%250), packets: packets, timeout: 300 * time.Millisecond})
	}
	return s, farEnd
}

// arrivals are when the probes of each address arrived, in the order of their
// arrival, by the far side's wall clock.
func arrivals(c *capture) map[string][]time.Time {
	c.t.Helper()
	all := map[string][]time.Time{}
	for _, p := range c.packets("icmp.type == 8", "frame.time_epoch", "ip.dst") {
		sec, err := strconv.ParseFloat(p["frame.time_epoch"], 64) // exact to a quarter of a microsecond
		if err != nil {
			c.t.Fatal(err)
		}
		whole, part := math.Modf(sec)
		all[p["ip.dst"]] = append(all[p["ip.dst"]], time.Unix(int64(whole), int64(part*1e9)))
	}
	return all
}

// most returns the largest number of arrivals within any window.
func most(all map[string][]time.Time, window time.Duration) (n int, at time.Time) {
	var times []time.Time
	for _, one := range all {
		times = append(times, one...)
	}
	slices.SortFunc(times, time.Time.Compare)
	first := 0
	for i, tm := range times {
		for tm.Sub(times[first]) >= window {
			first++
		}
		if i-first+1 > n {
			n, at = i-first+1, times[first]
		}
	}
	return n, at
}

// phaseOf returns when in the interval a target's first probe leaves: the
// circular median of arrivals modulo the time between two of them, since an odd
// one may be late.
func phaseOf(times []time.Time, interval time.Duration) time.Duration {
	base := times[0]
	var off []time.Duration
	for _, tm := range times {
		d := tm.Sub(base) % interval
		if d > interval/2 {
			d -= interval
		}
		off = append(off, d)
	}
	slices.Sort(off)
	p := (time.Duration(base.UnixNano()%int64(interval)) + off[len(off)/2]) % interval
	return (p + interval) % interval
}

// apart is how far two moments of an interval are from each other.
func apart(a, b, interval time.Duration) time.Duration {
	d := (a - b).Abs()
	return min(d, interval-d)
}

// Probes are spread evenly over the interval, targets against each other, and a
// restart moves none of them. A single probe may be late on a busy machine; the
// median over many is not.
func TestPacingSpreadsAndSurvivesARestart(t *testing.T) {
	t.Parallel()
	const (
		targets, packets = 40, 4
		interval         = time.Second
		step             = interval / packets
		within           = 10 * time.Millisecond
	)
	s, farEnd := paced(t, targets, packets, interval, 0)
	var phases [2]map[string]time.Duration
	for i := range phases {
		far := startCapture(t, farEnd, "icmp[icmptype] == icmp-echo")
		c := startChild(t, s, nil, false)
		c.reach(5 * targets * packets)
		c.end()
		far.stop()
		phases[i] = map[string]time.Duration{}
		for dst, times := range arrivals(far) {
			phases[i][dst] = phaseOf(times, step)
			var gaps []time.Duration
			for j := 1; j < len(times); j++ {
				gaps = append(gaps, times[j].Sub(times[j-1]))
			}
			slices.Sort(gaps)
			if m := gaps[len(gaps)/2]; (m - step).Abs() > within {
				t.Errorf("%s: a probe every %v; want %v: %d an interval", dst, m, step, packets)
			}
		}
		if len(phases[i]) != targets {
			t.Fatalf("%d targets were probed, want %d", len(phases[i]), targets)
		}
	}
	var moved time.Duration
	eighths := [8]int{}
	for dst, p := range phases[0] {
		moved = max(moved, apart(p, phases[1][dst], step))
		eighths[p*8/step]++
	}
	t.Logf("phases within %v, by eighths of it: %v; the restart moved one by at most %v", step, eighths, moved)
	if moved > within {
		t.Errorf("the restart moved a target's probes by %v", moved)
	}
	// 40 targets at random: an eighth has 5; 20 in one of them happens in less
	// than one set of names in a million.
	if slices.Max(eighths[:]) >= targets/2 {
		t.Errorf("the targets begin together: %v by eighths of %v", eighths, step)
	}
}

// interval_packets is the time between the probes of a target; bursts leave at once.
func TestPacingGapAndBurst(t *testing.T) {
	t.Parallel()
	const targets, packets, interval = 8, 10, 2 * time.Second
	for _, k := range []struct {
		name     string
		gap      time.Duration
		settings map[string]any
		within   time.Duration // all gaps are in [gap, gap+within] for the median round
	}{
		{"interval_packets", 20 * time.Millisecond, map[string]any{}, 5 * time.Millisecond},
		{"burst", 0, map[string]any{"engine": map[string]any{"pacing": "burst"}}, 5 * time.Millisecond},
	} {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			s, farEnd := paced(t, targets, packets, interval, k.gap)
			far := startCapture(t, farEnd, "icmp[icmptype] == icmp-echo")
			c := startChild(t, s, k.settings, false)
			c.reach(3 * targets * packets)
			c.end()
			far.stop()
			for dst, times := range arrivals(far) {
				var gaps, spans []time.Duration
				start := times[0]
				for j := 1; j < len(times); j++ {
					if d := times[j].Sub(times[j-1]); d < interval/4 {
						gaps = append(gaps, d)
						continue
					}
					spans = append(spans, times[j-1].Sub(start))
					start = times[j]
				}
				slices.Sort(gaps)
				slices.Sort(spans)
				if len(gaps) < 3*(packets-1) || len(spans) == 0 {
					t.Fatalf("%s: %d gaps in %d rounds", dst, len(gaps), len(spans))
				}
				if m := gaps[len(gaps)/2]; (m - k.gap).Abs() > k.within {
					t.Errorf("%s: probes %v apart, want %v", dst, m, k.gap)
				}
				if m, want := spans[len(spans)/2], (packets-1)*k.gap; (m - want).Abs() > 2*k.within {
					t.Errorf("%s: a round took %v, want %v", dst, m, want)
				}
			}
		})
	}
}

// What is asked for is reached, and after a pause of the process what is due is
// caught up with, all of it under the cap in every window of 100 ms. Falling behind is
// said.
func TestPacingKeepsTheCapWhileCatchingUp(t *testing.T) {
	const capPPS, other = 2500, 100_000
	for name, safety := range map[string]map[string]any{
		"of all":     {"max_pps": capPPS, "max_prefix_pps": other},
		"of a block": {"max_pps": other, "max_prefix_pps": capPPS}, // all targets are in one /24
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			catchesUpUnder(t, safety, capPPS)
		})
	}
}

func catchesUpUnder(t *testing.T, safety map[string]any, maxPPS int) {
	const (
		targets, packets = 90, 80          // 1,800/s
		interval         = 4 * time.Second // long enough to catch up within it on a busy machine
		pause            = 1500 * time.Millisecond
		window           = 100 * time.Millisecond
		// way bounds by how much the times of two probes from the decision to
		// send to the arrival may differ on a busy machine.
		way = 10 * time.Millisecond
	)
	s, farEnd := paced(t, targets, packets, interval, 0)
	far := startCapture(t, farEnd, "icmp[icmptype] == icmp-echo")
	c := startChild(t, s, map[string]any{"safety": safety}, false)
	c.reach(targets * packets)
	calm := c.page()
	c.stopFor(pause)
	var lag, iteration float64
	c.wait(func() bool {
		p := c.page()
		lag, iteration = p.value(t, "netprobe_schedule_lag_seconds"), p.value(t, "app_iteration_time_seconds")
		return lag >= 1 && iteration >= 1
	}, 10*time.Second, func() string {
		return fmt.Sprintf("after a pause of %v: lag %v s, iteration time %v s", pause, lag, iteration)
	})
	t.Logf("lag %v s before, %v s after; app_iteration_time_seconds %v, %v",
		calm.value(t, "netprobe_schedule_lag_seconds"), lag, calm.value(t, "app_iteration_time_seconds"), iteration)
	c.reach(3 * targets * packets)
	last := c.page()
	f := last.figures(t)
	behind, _ := last.sum(t, "netprobe_not_sent_total", `reason="behind"`)
	c.end()
	far.stop()
	all := arrivals(far)
	n, at := most(all, window-way)
	wide, _ := most(all, window)
	t.Logf("%s; at most %d within %v, %d within %v", f, n, window-way, wide, window)
	if f.notSent != 0 || f.lost != 0 || f.unknown != 0 {
		t.Errorf("%s, of them %d behind; all could be sent within their interval, and was answered", f, behind)
	}
	if n > maxPPS/10 {
		t.Errorf("%d probes arrived within %v, at %v; the cap lets %d through", n, window-way, at, maxPPS/10)
	}
	if n < maxPPS/10*9/10 {
		t.Errorf("at most %d probes within %v: the cap of %d was never reached, so the test shows nothing", n, window-way, maxPPS/10)
	}
	// From when all targets have begun until the end, pause and catching up included.
	var from, to time.Time
	for _, times := range all {
		if times[0].After(from) {
			from = times[0]
		}
		if last := times[len(times)-1]; last.After(to) {
			to = last
		}
	}
	count := 0
	for _, times := range all {
		for _, tm := range times {
			if !tm.Before(from) {
				count++
			}
		}
	}
	asked := to.Sub(from).Seconds() * targets * packets / interval.Seconds()
	if off := float64(count) - asked; math.Abs(off) > asked/100 {
		t.Errorf("%d probes in %v; asked for are %.0f", count, to.Sub(from), asked)
	}
}

// The rate that is asked for is reached, within one percent.
func TestPacingReachesTheRate(t *testing.T) {
	t.Parallel()
	const targets, packets, interval, wanted = 500, 20, time.Second, 10_000
	s, _ := paced(t, targets, packets, interval, 0)
	c := startChild(t, s, nil, false)
	c.reach(wanted)
	// Between two moments of the same phase: published rounds are whole.
	before, start := c.page().figures(t), time.Now()
	time.Sleep(6 * time.Second)
	after, span := c.page().figures(t), time.Since(start)
	sent := float64(after.sent - before.sent)
	t.Logf("%.0f probes in %v; %s", sent, span, after)
	if asked := span.Seconds() * wanted; sent < 0.99*asked-targets*packets/20 {
		t.Errorf("%.0f probes in %v, asked for are %.0f", sent, span, asked)
	}
	if after.lost != 0 || after.notSent != 0 || after.unknown != 0 {
		t.Errorf("%s; want every probe sent and answered", after)
	}
}
