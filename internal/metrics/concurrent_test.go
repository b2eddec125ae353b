// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/result"
)

// Pages are read while rounds end and targets come and go. In every round half
// the probes are lost, so on every page a target has lost exactly half of what
// it sent: a page that mixed two rounds of it would not.
func TestPageHoldsWholeRounds(t *testing.T) {
	opt := sample()
	opt.Store = new(result.Store)
	x := New(opt)
	const targets = 200
	var all []*result.Series
	for i := range targets {
		all = append(all, add(opt.Store, tcp, fmt.Sprintf("t%03d", i), "ipv4", "", "g", 95, 50))
		publish(all[i], 1, time.Millisecond)
	}
	stop := make(chan struct{})
	var writers sync.WaitGroup
	running := func() bool {
		select {
		case <-stop:
			return false
		default:
			return true
		}
	}
	writers.Go(func() {
		for n := 0; running(); n++ {
			publish(all[n%targets], 2, time.Millisecond, 2*time.Millisecond)
			all[n%targets].Duplicate()
		}
	})
	writers.Go(func() {
		for running() {
			opt.Store.Remove(all[7])
			opt.Store.Add(all[7])
			time.Sleep(100 * time.Microsecond)
		}
	})
	defer func() { close(stop); writers.Wait() }()

	var readers sync.WaitGroup
	for range 3 {
		readers.Go(func() {
			for range 10 {
				page := parse(t, get(t, x))
				for labels, sent := range page["tcpsyn_sent_total"].samples {
					s, _ := strconv.Atoi(sent)
					l, _ := strconv.Atoi(page["tcpsyn_loss_total"].samples[labels])
					if s != 2*l {
						t.Errorf("%s: %d sent, %d lost on one page", labels, s, l)
					}
				}
				if n := len(page["tcpsyn_sent_total"].samples); n != targets && n != targets-1 {
					t.Errorf("%d targets on the page, want %d or one less", n, targets)
				}
			}
		})
	}
	readers.Wait()
}

// large is a store of 100,000 targets.
func large() Options {
	opt := sample()
	opt.Store = new(result.Store)
	all := make([]*result.Series, 100_000)
	for i := range all {
		all[i] = result.NewSeries(result.Labels{Metric: tcp.Metric, Destination: fmt.Sprintf("host%06d.example.net", i), Family: "ipv4", State: "in production", Group: "transit1"}, []int{95, 50})
		publish(all[i], i%2, time.Duration(i+1)*time.Microsecond)
	}
	opt.Store.Add(all...)
	return opt
}

// A page of 100,000 targets leaves in pieces, and a second one allocates
// nothing for its targets: what is left are the libraries' few hundred
// allocations for the page.
func TestLargePageIsStreamed(t *testing.T) {
	x := New(large())
	var w pieces
	if err := x.write(&w); err != nil {
		t.Fatal(err)
	}
	if w.total < 50<<20 || w.longest > 2*flushAt {
		t.Errorf("%d bytes, the longest piece %d; want more than 50 MB in pieces of %d", w.total, w.longest, flushAt)
	}
	allocs := testing.AllocsPerRun(1, func() { x.write(io.Discard) })
	if allocs > 2000 {
		t.Errorf("%v allocations for a page of 100,000 targets", allocs)
	}
}

// Over HTTP, compressed or not, a scrape of 100,000 targets takes a fraction of
// the 100 MB that its text is: the figures, which are copied once and whose
// memory the next scrape uses again.
func TestLargeScrapeMemory(t *testing.T) {
	url := serve(t, New(large()))
	scrape := func(compressed bool) (allocated uint64) {
		client := &http.Client{Transport: &http.Transport{DisableCompression: true}}
		defer client.CloseIdleConnections()
		req, err := http.NewRequest("GET", url, nil)
		if err != nil {
			t.Fatal(err)
		}
		if compressed {
			req.Header.Set("Accept-Encoding", "gzip")
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		res, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if n, err := io.Copy(io.Discard, res.Body); err != nil || !compressed && n < 100<<20 {
			t.Fatalf("%d bytes, %v", n, err)
		}
		runtime.ReadMemStats(&after)
		return after.TotalAlloc - before.TotalAlloc
	}
	first := scrape(false)
	again, compressed := scrape(false), scrape(true)
	t.Logf("allocated by the first scrape %d KiB, by the second %d KiB, by a compressed one %d KiB", first>>10, again>>10, compressed>>10)
	if first > 60<<20 || again > 2<<20 || compressed > 4<<20 {
		t.Error("want at most 60 MiB, 2 MiB and 4 MiB")
	}
}

type pieces struct{ total, longest int }

func (p *pieces) Write(b []byte) (int, error) {
	p.total += len(b)
	p.longest = max(p.longest, len(b))
	return len(b), nil
}

func BenchmarkPage(b *testing.B) {
	for _, c := range []struct {
		name  string
		write func(*Exposition) error
	}{
		{"plain", func(x *Exposition) error { return x.write(io.Discard) }},
		{"gzip", func(x *Exposition) error { return x.WriteGzip(io.Discard) }},
	} {
		b.Run(c.name, func(b *testing.B) {
			x := New(large())
			if err := c.write(x); err != nil { // the first page makes the memory
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if err := c.write(x); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// One target in one group, all its families: 0 allocations.
func BenchmarkTarget(b *testing.B) {
	x := New(large())
	var p page
	x.fill(&p)
	p.enc.reset(io.Discard)
	f := &x.families[1]
	i := 0
	b.ReportAllocs()
	for b.Loop() {
		p.order.spans[f.typ.Metric] = span{i, i + 1}
		p.measurements(f)
		i = (i + 1) % 100_000
	}
}
