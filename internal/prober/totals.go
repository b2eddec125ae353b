// SPDX-License-Identifier: Apache-2.0

package prober

import (
	"sync"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/result"
)

// totalsFor is how old a sum may be that is told again.
const totalsFor = time.Second

// totals sum all series up, which takes a while where there are many, once for all who
// ask within totalsFor. Any goroutine may use it; the zero value is ready.
type totals struct {
	mu  sync.Mutex
	at  time.Time // when the sum was made
	sum sum
}

// sum is what all series counted. Nobody changes its maps.
type sum struct {
	sent, lost, marked uint64
	notSent, unknown   map[string]uint64 // by reason
}

// of returns the sum of all series, at most totalsFor older than now.
func (t *totals) of(all *result.Store, now time.Time) sum {
	t.mu.Lock()
	defer t.mu.Unlock()
	if age := now.Sub(t.at); age < totalsFor { // below 0: others waited for it
		return t.sum
	}
	next := sum{notSent: map[string]uint64{}, unknown: map[string]uint64{}}
	var snap result.Snapshot
	for _, s := range all.Series() {
		s.Snapshot(&snap)
		next.sent += snap.Sent
		next.lost += snap.Lost
		next.marked += snap.Marked
		addCounts[result.Reason](next.notSent, snap.NotSent[:])
		addCounts[result.Doubt](next.unknown, snap.Unknown[:])
	}
	t.at, t.sum = now, next
	return next
}
