// SPDX-License-Identifier: Apache-2.0

package logging

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// sumUpAfter is how long after the first line that was held back it is said how
// many there were.
const sumUpAfter = 10 * time.Second

// limited passes on what a limit allows. Any goroutine may use it.
type limited struct {
	slog.Handler
	limit *limit
}

// limit is shared by a handler and all that With made of it. It counts by the
// place in the code that speaks, not by text: there are few places, and text may
// be a client's.
type limit struct {
	burst  int
	refill time.Duration

	mu     sync.Mutex
	places map[uintptr]*place // by slog.Record.PC
}

// place is what one place in the code has said.
type place struct {
	left int       // lines that it may say at once
	at   time.Time // when left was last raised
	held int       // lines held back since that was last said
}

// Limit returns a handler that passes on at most burst lines of one place in the
// code at once, and one more each time that refill passes. How many others
// there were is said in one line ten seconds after the first of them.
func Limit(h slog.Handler, burst int, refill time.Duration) slog.Handler {
	return &limited{h, &limit{burst: burst, refill: refill, places: map[uintptr]*place{}}}
}

// Handle is part of slog.Handler.
func (h *limited) Handle(ctx context.Context, r slog.Record) error {
	if !h.limit.admits(h.Handler, &r) {
		return nil
	}
	return h.Handler.Handle(ctx, r)
}

func (l *limit) admits(h slog.Handler, r *slog.Record) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.places[r.PC]
	if p == nil {
		p = &place{left: l.burst, at: r.Time}
		l.places[r.PC] = p
	}
	if n := r.Time.Sub(p.at) / l.refill; n > 0 {
		p.left = int(min(time.Duration(l.burst), time.Duration(p.left)+n))
		p.at = p.at.Add(n * l.refill)
	}
	if p.left > 0 {
		p.left--
		return true
	}
	if p.held++; p.held == 1 {
		level, text := r.Level, r.Message
		time.AfterFunc(sumUpAfter, func() { l.sumUp(h, p, level, text) })
	}
	return false
}

// sumUp says how many lines of a place were held back.
func (l *limit) sumUp(h slog.Handler, p *place, level slog.Level, text string) {
	l.mu.Lock()
	held := p.held
	p.held = 0
	l.mu.Unlock()
	r := slog.NewRecord(time.Now(), level, "more lines of this kind were held back", 0)
	r.AddAttrs(slog.String("kind", text), slog.Int("lines", held))
	_ = h.Handle(context.Background(), r)
}

// WithAttrs is part of slog.Handler.
func (h *limited) WithAttrs(a []slog.Attr) slog.Handler {
	return &limited{h.Handler.WithAttrs(a), h.limit}
}

// WithGroup is part of slog.Handler.
func (h *limited) WithGroup(name string) slog.Handler {
	return &limited{h.Handler.WithGroup(name), h.limit}
}
