// SPDX-License-Identifier: Apache-2.0

// Package history keeps a bounded past of every target in memory: recent rounds in
// short steps, older ones in longer steps. It reads what was published, and takes
// nothing of the packet path.
package history

import (
	"math"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/result"
	"github.com/netprobe-xdp/netprobe-xdp/pkg/api"
)

// linger is how long the past of a target that went is kept, if there is room: it
// may have been paused, or come back with the next list.
const linger = time.Hour

// atOnce is how many series are read before others may look in.
const atOnce = 512

// History is the past of all series. Any goroutine may call its methods; one at a
// time calls Read.
type History struct {
	mu       sync.RWMutex
	memory   int
	interval time.Duration
	room     int // for how many series of was made
	of       *tiers
	records  []*record // in the order of seen
	gone     []*record // the one that went first first
	seen     []*result.Series
	ids      map[identity]*identity
	used     int   // bytes
	since    int64 // Unix time of the first thing that is kept; 0: nothing is
	off      bool  // nothing is kept, or was until now
}

// New returns a past of nothing. Configure says how much of it is kept.
func New() *History { return &History{of: &tiers{}, ids: map[identity]*identity{}} }

// Configure says how many bytes the past may take, and how long a round takes. It
// takes effect with the next Read.
func (h *History) Configure(memory int, interval time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.memory, h.interval = memory, interval
	h.room = 0
}

// Every is how often Read wants to be called, so that no round is missed.
func (h *History) Every() time.Duration {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return max(h.interval/2, 500*time.Millisecond)
}

// Read takes up what these series published since the last call. The caller must
// not change the slice later.
func (h *History) Read(series []*result.Series, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.memory == 0 {
		h.records, h.gone, h.seen = nil, nil, nil
		h.of, h.room, h.used, h.since, h.off = &tiers{}, 0, 0, 0, true
		return
	}
	h.follow(series, now)
	var snap result.Snapshot
	for i, r := range h.records {
		if i%atOnce == atOnce-1 {
			h.mu.Unlock()
			runtime.Gosched()
			h.mu.Lock()
		}
		if r.of != h.of {
			h.resize(r)
		}
		if h.off && r.newest == 0 { // what was before nobody asked to be kept
			r.series.Snapshot(&snap)
			r.before = totalsOf(&snap)
		}
		r.read(&snap)
		if r.newest != 0 && (h.since == 0 || r.newest < h.since) {
			h.since = r.newest
		}
	}
	h.off = false
}

// follow lets records be those of series, and the layout what so many need.
func (h *History) follow(series []*result.Series, now time.Time) {
	if len(series) != len(h.seen) || len(series) > 0 && &series[0] != &h.seen[0] {
		h.match(series, now.Unix())
	}
	// Much of the room may be empty: with shorter steps, what is known in longer ones
	// has no place.
	if room := roomFor(len(series)); room > h.room || room < h.room/4 {
		h.room = room
		if next := layout(h.memory, room, h.interval); next != *h.of {
			h.of = &next
		}
	}
	keep := 0
	for i, r := range h.gone {
		if r.left > now.Add(-linger).Unix() {
			keep = len(h.gone) - i
			break
		}
	}
	keep = min(keep, h.room-len(series))
	for _, r := range h.gone[:len(h.gone)-keep] {
		h.used -= r.size()
	}
	h.gone = append([]*record(nil), h.gone[len(h.gone)-keep:]...)
	// Those that become smaller first.
	for _, all := range [][]*record{h.gone, h.records} {
		for _, r := range all {
			if r.of != h.of && len(r.points) > 0 {
				h.resize(r)
			}
		}
	}
}

func (h *History) resize(r *record) {
	h.used -= r.size()
	r.become(h.of)
	h.used += r.size()
}

// size is what a record takes, bytes.
func (r *record) size() int { return recordSize + cap(r.points)*pointSize }

// match finds the records of series, among those that went too.
func (h *History) match(series []*result.Series, now int64) {
	type key struct {
		name string
		id   *identity
	}
	known := make(map[key]*record, len(h.records)+len(h.gone))
	for _, r := range h.gone {
		known[key{r.name, r.id}] = r
	}
	for _, r := range h.records {
		known[key{r.name, r.id}] = r
	}
	before := h.records
	h.records = make([]*record, len(series))
	stayed := make(map[*record]bool, len(series))
	for i, s := range series {
		l := s.Labels()
		k := key{l.Destination, h.identity(identity{l.Metric, l.Family, l.Group})}
		r := known[k]
		if r == nil || stayed[r] {
			r = &record{series: s, name: l.Destination, id: k.id, of: &tiers{}}
			h.used += r.size()
		} else if r.series != s {
			r.series, r.before = s, totals{}
		}
		r.left = 0
		h.records[i], stayed[r] = r, true
	}
	gone := h.gone
	h.gone = nil
	for _, r := range gone {
		if !stayed[r] {
			h.gone = append(h.gone, r)
		}
	}
	for _, r := range before {
		if !stayed[r] {
			r.left, r.series = now, nil
			h.gone = append(h.gone, r)
		}
	}
	h.seen = series
}

func (h *History) identity(id identity) *identity {
	if known := h.ids[id]; known != nil {
		return known
	}
	h.ids[id] = &id
	return &id
}

// Of returns the past of a target in one of its groups, in steps of at most so
// long, or of the shortest that are kept. "" is the first group. It returns false when
// there is no such target, or group.
func (h *History) Of(target, group string, step time.Duration) (api.History, bool) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	for _, all := range [][]*record{h.records, h.gone} {
		for _, r := range all {
			if r.name == target && (group == "" || r.id.group == group) {
				return r.in(step), true
			}
		}
	}
	return api.History{}, false
}

// in is the past in the longest steps that are at most so long.
func (r *record) in(step time.Duration) api.History {
	at := 0
	for i, t := range r.of {
		if t.count > 0 && time.Duration(t.step)*time.Second <= step {
			at = i
		}
	}
	long := r.of[at].step
	out := api.History{Target: strings.Clone(r.name), Group: r.id.group, StepSeconds: float64(long), Points: []api.Point{}}
	r.each(at, func(step int64, p *point) {
		q := api.Point{
			Time: time.Unix(step*long, 0).UTC(), Sent: p.sent, Answered: p.answered(), Lost: p.lost,
			NotSent: p.notSent, Unknown: p.unknown,
		}
		if p.bands[0] != 0 {
			q.Bands = make([]float64, bandCount)
			for i, b := range p.bands {
				q.Bands[i] = round(b.seconds())
			}
		}
		out.Points = append(out.Points, q)
	})
	return out
}

// round leaves the four digits that a trip has.
func round(seconds float64) float64 {
	if seconds <= 0 {
		return 0
	}
	unit := math.Pow(10, 4-math.Floor(math.Log10(seconds)))
	return math.Round(seconds*unit) / unit
}

// Limits says how much is kept.
func (h *History) Limits(now time.Time) api.HistoryLimits {
	h.mu.RLock()
	defer h.mu.RUnlock()
	l := api.HistoryLimits{MemoryBytes: int64(h.used), MaxMemoryBytes: int64(h.memory), ResolutionSteps: []api.Step{}}
	for _, t := range h.of {
		if t.count == 0 {
			break
		}
		l.ResolutionSteps = append(l.ResolutionSteps, api.Step{StepSeconds: float64(t.step), KeptSeconds: t.kept().Seconds()})
		l.OldestSeconds = t.kept().Seconds()
	}
	if h.since == 0 {
		l.OldestSeconds = 0
	} else {
		l.OldestSeconds = min(l.OldestSeconds, max(0, float64(now.Unix()-h.since)))
	}
	return l
}
