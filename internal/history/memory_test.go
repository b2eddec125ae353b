// SPDX-License-Identifier: Apache-2.0

package history

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/result"
)

// TestMemory: what is kept of many targets takes no more than it may, by the heap.
func TestMemory(t *testing.T) {
	const memory = 8 << 20
	for _, n := range []int{50, 1000, 10_000} {
		all := make([]*result.Series, n)
		for i := range all {
			all[i] = series(fmt.Sprint("t", i))
		}
		random := rand.New(rand.NewPCG(5, 6))
		for _, s := range all { // what a series needs itself
			publish(s, random, 1, 2)
		}
		before := heap()
		h := New()
		h.Configure(memory, 10*time.Second)
		at := int64(1_700_000_000)
		for range 3 {
			at += 10
			for _, s := range all {
				publish(s, random, at, 2)
			}
			h.Read(all, time.Unix(at, 0))
		}
		used := heap() - before
		l := h.Limits(time.Unix(at, 0))
		t.Logf("%d series: %d bytes, %d are said, %v", n, used, l.MemoryBytes, l.ResolutionSteps)
		if used > memory || l.MemoryBytes > memory {
			t.Errorf("%d series take %d bytes, %d are said, %d are allowed", n, used, l.MemoryBytes, memory)
		}
		if float64(used) > 1.1*float64(l.MemoryBytes)+1e5 {
			t.Errorf("%d series take %d bytes, and only %d are said", n, used, l.MemoryBytes)
		}
		runtime.KeepAlive(h)
		runtime.KeepAlive(all)
	}
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestTogether is for the race detector: reading, asking and another configuration
// at the same time.
func TestTogether(t *testing.T) {
	h := New()
	h.Configure(4<<20, time.Second)
	all := make([]*result.Series, 2*atOnce)
	for i := range all {
		all[i] = series(fmt.Sprint("t", i))
	}
	var running sync.WaitGroup
	running.Go(func() {
		random := rand.New(rand.NewPCG(7, 8))
		for i := range 40 {
			for _, s := range all[:len(all)/2] {
				publish(s, random, 1_700_000_000+int64(i), 3)
			}
		}
	})
	running.Go(func() {
		for i := range 40 {
			h.Read(slices.Clone(all[:len(all)/(1+i%2)]), time.Unix(1_700_000_000+int64(i), 0))
		}
	})
	running.Go(func() {
		for i := range 400 {
			h.Of(fmt.Sprint("t", i), "", time.Duration(i)*time.Minute)
			h.Limits(time.Unix(1_700_000_000, 0))
			if i%20 == 0 {
				h.Configure((i%3)<<21, time.Second)
			}
		}
	})
	running.Wait()
}

func BenchmarkRead(b *testing.B) {
	all := make([]*result.Series, 10_000)
	for i := range all {
		all[i] = series(fmt.Sprint("t", i))
	}
	random := rand.New(rand.NewPCG(9, 10))
	h := New()
	h.Configure(64<<20, 10*time.Second)
	at := int64(1_700_000_000)
	for b.Loop() {
		b.StopTimer()
		at += 10
		for _, s := range all {
			publish(s, random, at, 10)
		}
		b.StartTimer()
		h.Read(all, time.Unix(at, 0))
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(all)), "ns/series")
}
