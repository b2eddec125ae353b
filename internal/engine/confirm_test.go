// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"testing"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/netdev"
	"github.com/netprobe-xdp/netprobe-xdp/internal/result"
)

func TestLossy(t *testing.T) {
	for _, tt := range []struct {
		what        string
		before, now netdev.Arrived
		want        bool
	}{
		{"nothing came", netdev.Arrived{Received: 7, Dropped: 3}, netdev.Arrived{Received: 7, Dropped: 3}, false},
		{"nothing was dropped", netdev.Arrived{Dropped: 3}, netdev.Arrived{Received: 1e6, Dropped: 3}, false},
		{"one of a few", netdev.Arrived{}, netdev.Arrived{Received: 10, Dropped: 1}, true},
		{"all", netdev.Arrived{}, netdev.Arrived{Dropped: 1}, true},
		{"one of very many", netdev.Arrived{}, netdev.Arrived{Received: 1e6, Dropped: 1}, false},
		{"another interface", netdev.Arrived{Received: 10, Dropped: 5}, netdev.Arrived{Received: 20, Dropped: 4}, true},
	} {
		if got := lossy(tt.before, tt.now); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.what, got, tt.want)
		}
	}
}

// Where several spans of doubt overlap a probe, the first reason is told.
func TestDuring(t *testing.T) {
	var s suspects
	s.add(100, 200, 3, 0)
	s.add(150, 160, 1, 0)
	s.add(300, 400, 2, 0)
	for _, tt := range []struct {
		from, to int64
		why      int
		doubtful bool
	}{{0, 99, 0, false}, {0, 100, 3, true}, {0, 500, 1, true}, {250, 310, 2, true}, {161, 180, 3, true}, {401, 500, 0, false}} {
		if why, doubtful := s.during(tt.from, tt.to); int(why) != tt.why || doubtful != tt.doubtful {
			t.Errorf("%d to %d: %d, %v; want %d, %v", tt.from, tt.to, why, doubtful, tt.why, tt.doubtful)
		}
	}
}

// A doubt is kept until the last probe that it concerns is counted, however late that is
// and however many doubts there are meanwhile; after that it makes room for others.
func TestDoubtsAreKeptWhileTheyConcernSomebody(t *testing.T) {
	e := &Engine{workers: []*worker{{}, {}}}
	e.longest.Store(int64(time.Second))
	busy, idle := e.workers[0], e.workers[1]
	ms := int64(time.Millisecond)
	sent := 1000 * ms
	busy.judged.Store(sent)
	for i := range int64(300) { // of which the last two hundred are after the probe's time
		at := sent + 10*i*ms
		idle.judged.Store(at)
		e.suspect(at, at+ms, result.RingOverflow)
	}
	for i := range int64(100) {
		at := sent + 10*i*ms
		if why, doubtful := e.suspects.during(at, at+ms/2); !doubtful || why != result.RingOverflow {
			t.Fatalf("the doubt %d ms after the probe left is forgotten before the probe is counted", 10*i)
		}
	}

	for i := range int64(100) {
		at := sent + 5000*ms + 10*i*ms
		busy.judged.Store(at)
		idle.judged.Store(at)
		e.suspect(at, at+ms, result.RingOverflow)
	}
	for i := range int64(10) { // one by one, with nothing in between
		at := sent + 5000*ms + (99-i)*10*ms
		if _, doubtful := e.suspects.during(at, at+ms); !doubtful {
			t.Errorf("the doubt %d before the last is forgotten", i)
		}
		if _, doubtful := e.suspects.during(at+2*ms, at+9*ms); doubtful {
			t.Errorf("after the doubt %d before the last there is doubt until the next", i)
		}
	}

	// A worker that comes round no more makes everything doubtful for a minute, not for ever.
	later := sent + int64(2*time.Minute)
	for i := range int64(100) {
		at := later + 10*i*ms
		idle.judged.Store(at)
		e.suspect(at, at+ms, result.RingOverflow)
	}
	if _, doubtful := e.suspects.during(later+992*ms-ms, later+992*ms); !doubtful {
		t.Error("the newest doubt is forgotten")
	}
}
