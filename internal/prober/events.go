// SPDX-License-Identifier: Apache-2.0

package prober

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	server "github.com/netprobe-xdp/netprobe-xdp/internal/api"
	"github.com/netprobe-xdp/netprobe-xdp/internal/result"
	"github.com/netprobe-xdp/netprobe-xdp/pkg/api"
)

// eventsKept is how many events wait for one who is slow to take them; what does
// not fit is counted.
const eventsKept = 1024

// roundsEvery is how often it is looked for rounds that are over. They are looked
// for, and not told of by the workers: the packet path knows nothing of it.
const roundsEvery = 250 * time.Millisecond

// events hands what happens to those who follow it. Nobody who tells it waits. Any
// goroutine may use it; the zero value is ready.
type events struct {
	mu       sync.Mutex
	watchers map[*watcher]struct{}
	rounds   atomic.Int32 // watchers that want rounds
}

type watcher struct {
	waiting chan server.Told
	missed  atomic.Uint64
	rounds  bool
}

// told is an event as it is sent. Its time is now where it has none.
func told(ev api.Event) server.Told {
	if ev.Time.IsZero() {
		ev.Time = time.Now()
	}
	text, err := json.Marshal(ev)
	if err != nil { // a figure is no number; there are none such
		text, _ = json.Marshal(api.Event{Type: ev.Type, Time: ev.Time, Text: err.Error()})
	}
	return server.Told{Type: ev.Type, JSON: text}
}

// tell hands an event on. It is written once, however many follow.
func (e *events) tell(ev api.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	var out server.Told
	for w := range e.watchers {
		if ev.Type == api.EventRound && !w.rounds {
			continue
		}
		if out.JSON == nil {
			out = told(ev)
		}
		select {
		case w.waiting <- out:
		default:
			w.missed.Add(1)
		}
	}
}

// follow calls emit for each event until ctx ends or emit fails, whose error it
// returns. more says that the next call follows at once. Events that came faster than emit took them are told of by one of type
// missed.
func (e *events) follow(ctx context.Context, rounds bool, emit func(ev server.Told, more bool) error) error {
	w := &watcher{waiting: make(chan server.Told, eventsKept), rounds: rounds}
	e.mu.Lock()
	if e.watchers == nil {
		e.watchers = map[*watcher]struct{}{}
	}
	e.watchers[w] = struct{}{}
	e.mu.Unlock()
	if rounds {
		e.rounds.Add(1)
		defer e.rounds.Add(-1)
	}
	defer func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		delete(e.watchers, w)
	}()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case ev := <-w.waiting:
			if n := w.missed.Swap(0); n > 0 {
				if err := emit(told(api.Event{Type: api.EventMissed, Missed: n, Text: fmt.Sprintf("%d events were left out: they were not read in time", n)}), true); err != nil {
					return err
				}
			}
			if err := emit(ev, len(w.waiting) > 0); err != nil {
				return err
			}
		}
	}
}

// targetsChanged is the event of what another configuration changed.
func targetsChanged(r *Report) api.Event {
	return api.Event{Type: api.EventTargets, Text: changes(r)}
}

// changes says in one line which targets another configuration changed.
func changes(r *Report) string {
	const most = 5
	var parts []string
	for _, k := range []struct {
		what  string
		names []string
	}{{"added", r.Added}, {"changed", r.Changed}, {"removed", r.Removed}} {
		part := fmt.Sprintf("%d %s", len(k.names), k.what)
		switch n := len(k.names); {
		case n > most:
			part += fmt.Sprintf(" (%s and %d more)", strings.Join(k.names[:most], " "), n-most)
		case n > 0:
			part += " (" + strings.Join(k.names, " ") + ")"
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, ", ")
}

// maxTold is how many targets of a kind an event names.
const maxTold = 1000

// reloadDone is the event of a reload.
func reloadDone(r Report, err error) api.Event {
	if err != nil {
		return api.Event{Type: api.EventReload, Text: "the configuration was not reloaded: " + brief(err)}
	}
	done := reloaded(r)
	for _, names := range []*[]string{&done.Enabled, &done.Updated, &done.Disabled} {
		*names = (*names)[:min(len(*names), maxTold)]
	}
	return api.Event{Type: api.EventReload, Reloaded: &done, Text: "the configuration was reloaded, targets: " + changes(&r)}
}

// watchRounds tells of rounds that are over while somebody follows them, until ctx
// ends.
func (p *prober) watchRounds(ctx context.Context) {
	var seen map[*result.Series]uint32
	var snap result.Snapshot
	every(ctx, roundsEvery, func() {
		if p.hub.rounds.Load() == 0 {
			seen = nil
			return
		}
		all, first := p.store.Series(), seen == nil
		now := make(map[*result.Series]uint32, len(all))
		for _, s := range all {
			n := s.Rounds()
			now[s] = n
			if before := seen[s]; first || n == before {
				continue
			}
			s.Snapshot(&snap)
			l := snap.Labels()
			p.hub.tell(api.Event{Type: api.EventRound, Target: l.Destination, Group: l.Group, Round: roundOf(&snap), Text: roundText(&snap)})
		}
		seen = now
	})
}

// roundText is a round for a person.
func roundText(s *result.Snapshot) string {
	l := s.Labels()
	ratio, ok := s.LossRatio()
	if !ok {
		return fmt.Sprintf("%s in %s: nothing could be sent", l.Destination, l.Group)
	}
	return fmt.Sprintf("%s in %s: %d of %d lost (%.1f%%)", l.Destination, l.Group, s.RoundLost, s.RoundSent, 100*ratio)
}

// tellState tells when the interface goes down or away, up or comes back, until ctx
// ends.
func (t *port) tellState(ctx context.Context, e *events) {
	state := func() string {
		switch {
		case t.link.Gone():
			return "gone"
		case !t.link.Up():
			return "down"
		}
		return "up"
	}
	before := state()
	every(ctx, tendEvery, func() {
		if now := state(); now != before {
			e.tell(api.Event{Type: api.EventInterface, Text: fmt.Sprintf("interface %s is %s; it was %s", t.name, now, before)})
			before = now
		}
	})
}
