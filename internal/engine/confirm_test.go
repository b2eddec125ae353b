// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"testing"

	"github.com/netprobe-xdp/netprobe-xdp/internal/netdev"
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
