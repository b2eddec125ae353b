// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"fmt"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/config"
	"github.com/netprobe-xdp/netprobe-xdp/internal/lab"
	"github.com/netprobe-xdp/netprobe-xdp/internal/result"
)

// TestMemory holds what a target costs in the engine and its results, by the
// heap profile, once all targets have had a whole round: with one packet in one group
// under 300 bytes, also where each is in a /24 of its own, and with many packets 4 bytes more for each sample.
func TestMemory(t *testing.T) {
	defer func(rate int) { runtime.MemProfileRate = rate }(runtime.MemProfileRate)
	runtime.MemProfileRate = 1 // every allocation

	const targets = 40_000
	for name, addr := range map[string]func(i int) [4]byte{
		"a /24 to each":   func(i int) [4]byte { return [4]byte{10, byte(i >> 8), byte(i), 1} },
		"256 in each /24": func(i int) [4]byte { return [4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)} },
	} {
		one := heapOf(t, targets, 1, 5*time.Second, addr)
		t.Logf("one packet, %s: %d bytes a target in the engine, %d in the results, %d of %d targets with marked samples or skipped probes",
			name, one.engine/targets, one.results/targets, one.unusual, targets)
		// What most targets never have is allocated when it is first needed.
		if limit := int64(300*targets + 500*one.unusual); one.engine+one.results > limit {
			t.Errorf("%s: %d bytes for %d targets, want at most %d", name, one.engine+one.results, targets, limit)
		}
	}

	addr := func(i int) [4]byte { return [4]byte{10, 0, 0, byte(i)} }
	few, many := heapOf(t, 200, 100, 2*time.Second, addr), heapOf(t, 200, 300, 2*time.Second, addr)
	sample := float64(many.results-few.results) / (200 * (300 - 100))
	t.Logf("%.2f bytes a sample in the results", sample)
	if sample < 3.9 || sample > 4.5 {
		t.Errorf("a sample takes %.2f bytes, want 4", sample)
	}
}

// heap is what an engine and its results have in use.
type heap struct {
	engine, results int64 // bytes
	unusual         int   // targets that needed more than most
}

// heapOf is what is in use, by package, when an engine has probed so many
// targets with so many packets for one interval.
func heapOf(t *testing.T, targets, packets int, interval time.Duration, addr func(i int) [4]byte) heap {
	t.Helper()
	l := lab.ForTest(t, "memory")
	prober, responder := l.Host("prober"), l.Host("responder")
	near, far := l.Connect(prober, responder, lab.Link{A: []string{"192.0.2.1/24"}, B: []string{"192.0.2.2/24"}})
	prober.SetRoute("10.0.0.0/8", lab.Hop{Via: "192.0.2.2"})
	lab.AttachReflector(far, lab.ReflectorOptions{Prefixes: []string{"10.0.0.0/8"}})
	blockPPS := 100_000.0
	if packets == 1 {
		blockPPS = 2000 // the usual cap, for which what goes into each /24 is counted
	}
	r := newRigUnder(t, near, 1, interval, blockPPS)
	all := make([]config.Target, targets)
	for i := range all {
		all[i] = config.Target{
			Name: fmt.Sprint("t", i), Type: "ICMPping", NbPackets: packets, Timeout: time.Second, State: "None",
			Destination: netip.AddrFrom4(addr(i)).String(),
		}
	}
	before := heapInUse()
	plans := planOf(t, interval, [2]uint16{20000, 20001}, all...)
	if err := r.Add(plans.Targets...); err != nil {
		t.Fatal(err)
	}
	whole := func() bool {
		for _, s := range r.store.Series() {
			var one result.Snapshot
			s.Snapshot(&one)
			if one.Rounds == 0 {
				return false
			}
		}
		return true
	}
	for end := time.Now().Add(60 * time.Second); !whole(); time.Sleep(200 * time.Millisecond) {
		if time.Now().After(end) {
			sum, n := r.totals()
			t.Fatalf("not every one of %d targets has had a whole round: %s", n, show(sum))
		}
	}
	after := heapInUse()
	used := heap{engine: after["engine"] - before["engine"], results: after["result"] - before["result"]}
	for _, s := range r.store.Series() {
		var one result.Snapshot
		s.Snapshot(&one)
		if one.Marked > 0 || one.NotSent != [len(one.NotSent)]uint64{} || one.Unknown != [len(one.Unknown)]uint64{} {
			used.unusual++
		}
	}
	r.stop()
	runtime.KeepAlive(plans)
	return used
}

// heapInUse is the heap in use by the innermost of our packages that allocated
// it.
func heapInUse() map[string]int64 {
	runtime.GC()
	runtime.GC() // the profile is that of the last cycle but one
	records := make([]runtime.MemProfileRecord, 10_000)
	n, ok := runtime.MemProfile(records, false)
	for !ok {
		records = make([]runtime.MemProfileRecord, 2*n)
		n, ok = runtime.MemProfile(records, false)
	}
	use := map[string]int64{}
	for _, rec := range records[:n] {
		frames := runtime.CallersFrames(rec.Stack())
		for more := true; more; {
			var f runtime.Frame
			f, more = frames.Next()
			if _, of, ours := strings.Cut(f.Function, "netprobe-xdp/internal/"); ours {
				pkg, _, _ := strings.Cut(of, ".")
				use[pkg] += rec.InUseBytes()
				break
			}
		}
	}
	return use
}
