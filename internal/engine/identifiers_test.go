// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/config"
	"github.com/netprobe-xdp/netprobe-xdp/internal/lab"
)

// An address has 65,536 echo identifiers. Each goes to one target; targets beyond
// them, as of a list that names one address for all, are not sent, keep nothing
// waiting, and get the identifier of one that goes.
func TestMoreTargetsThanIdentifiers(t *testing.T) {
	l := lab.ForTest(t, "engine")
	near, _ := l.Connect(l.Host("near"), l.Host("far"), lab.Link{A: []string{"198.51.100.1/24"}, B: []string{"198.51.100.2/24"}})
	r := newRig(t, near, 1, time.Hour)
	add := func(first, count int) {
		targets := make([]config.Target, count)
		for i := range targets {
			targets[i] = config.Target{Name: strconv.Itoa(first + i), Type: "ICMPping", Destination: "198.51.100.2", NbPackets: 1, Timeout: time.Second}
		}
		p := planOf(t, time.Hour, [2]uint16{20000, 20000}, targets...)
		ended := make(chan error, 1)
		go func() { ended <- r.Add(p.Targets...) }()
		select {
		case err := <-ended:
			if err != nil {
				t.Fatal(err)
			}
		case <-time.After(5 * time.Minute):
			t.Fatal("targets are still being added after five minutes")
		}
	}
	// identifier returns a target's, and whether it has one.
	identifier := func(target int) (uint16, bool) {
		paths, _ := r.Paths(strconv.Itoa(target), 1)
		if len(paths) != 1 {
			t.Fatalf("target %d has %d paths", target, len(paths))
		}
		return paths[0].SourcePort, paths[0].Local.IsValid()
	}

	const all, beyond = 1 << 16, 2000
	add(0, all+beyond)
	if _, series := r.totals(); series != all+beyond {
		t.Errorf("%d series, want %d", series, all+beyond)
	}
	owner, without := map[uint16]int{}, 0
	for i := range all + beyond {
		id, has := identifier(i)
		if !has {
			without++
			continue
		}
		if before, twice := owner[id]; twice {
			t.Fatalf("targets %d and %d have identifier %d", before, i, id)
		}
		owner[id] = i
	}
	if len(owner) != all || without != beyond {
		t.Fatalf("%d targets have an identifier and %d have none, want %d and %d", len(owner), without, all, beyond)
	}

	const goes, comes = 12345, all + beyond
	given, _ := identifier(goes)
	if err := r.Remove(strconv.Itoa(goes)); err != nil {
		t.Fatal(err)
	}
	add(comes, 2)
	if id, has := identifier(comes); !has || id != given {
		t.Errorf("the next target has identifier %d (%v), want %d, which was given up", id, has, given)
	}
	if id, has := identifier(comes + 1); has {
		t.Errorf("the target after the next has identifier %d, want none", id)
	}
}
