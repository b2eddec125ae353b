// SPDX-License-Identifier: Apache-2.0

// Package push sends pages of figures to a VictoriaMetrics, for probes that
// nothing can scrape. Pages that cannot be delivered wait in bounded memory and
// keep the time at which they were measured.
//
// The pushing of github.com/VictoriaMetrics/metrics is not used: it knows
// neither repetition nor waiting, makes a metric of each URL it is given (a
// time of measuring in it would be a leak), follows a redirection by a request
// without the page and calls that a success, and reads an answer of any length.
package push

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"reflect"
	"sync"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/config"
)

const (
	firstPause   = time.Second
	longestPause = time.Minute
	// lastWords is how long the end of the program may wait for the last
	// pages.
	lastWords = 3 * time.Second
)

// Page writes the page of the moment, compressed by gzip.
type Page func(io.Writer) error

// Stats are what a Pusher counted.
type Stats struct {
	Active    bool   // there is somewhere to push to
	Delivered uint64 // pages
	Failed    uint64 // attempts whose page is tried again
	Full      uint64 // pages dropped because too many waited
	Refused   uint64 // pages dropped because the server will not have them
	Pages     int    // waiting
	Bytes     int    // that these take
}

// page is one that was made and not delivered yet.
type page struct {
	serial   uint64
	at       time.Time // when it was measured
	instance string
	data     []byte
}

// Pusher makes and delivers pages. Any goroutine may call its methods; Run once.
type Pusher struct {
	page    Page
	client  *client
	report  *report
	changed chan struct{} // the settings are others; capacity 1
	arrived chan struct{} // there is a page to deliver; capacity 1
	retry   chan struct{} // the next attempt may succeed; capacity 1

	mu       sync.Mutex // guards what follows
	settings config.Push
	instance string
	queue    []page // oldest first
	bytes    int    // of queue
	sending  uint64 // serial of the page under way, the first of queue; 0: none
	serial   uint64 // of the page made last
	stats    Stats
}

// New returns a Pusher that pushes nothing until it is configured. A nil log is
// slog.Default().
func New(p Page, log *slog.Logger) *Pusher {
	if log == nil {
		log = slog.Default()
	}
	return &Pusher{page: p, client: newClient(), report: &report{log: log}, changed: make(chan struct{}, 1), arrived: make(chan struct{}, 1), retry: make(chan struct{}, 1)}
}

// Configure says where to push from now on, and what the label instance is.
// Pages that wait go there too; without a URL they are given up.
func (p *Pusher) Configure(s config.Push, instance string) {
	p.mu.Lock()
	same := p.instance == instance && reflect.DeepEqual(p.settings, s)
	p.settings, p.instance = s, instance
	if s.URL == "" {
		p.queue, p.bytes = nil, 0
	}
	p.evict()
	p.mu.Unlock()
	if !same {
		notify(p.changed)
		notify(p.retry)
	}
}

func notify(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // whoever was woken before sees this too
	}
}

// Stats returns what was counted so far.
func (p *Pusher) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.stats
	s.Active, s.Pages, s.Bytes = p.settings.URL != "", len(p.queue), p.bytes
	return s
}

// Run makes and delivers pages until ctx ends, then tries for a moment to
// deliver what is left.
func (p *Pusher) Run(ctx context.Context) {
	// What is under way when ctx ends is not torn off: it would be sent twice.
	sending, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(lastWords, cancel) })()
	var delivering sync.WaitGroup
	delivering.Go(func() { p.deliver(ctx, sending) })
	p.collect(ctx)
	delivering.Wait()
	p.make()
	for {
		if _, any, err := p.attempt(sending); !any || err != nil {
			return
		}
	}
}

// collect makes a page every interval.
func (p *Pusher) collect(ctx context.Context) {
	last := time.Now()
	for {
		p.mu.Lock()
		next := time.NewTimer(time.Until(last.Add(p.settings.Interval)))
		if p.settings.URL == "" {
			next.Stop()
		}
		p.mu.Unlock()
		select {
		case <-ctx.Done():
			next.Stop()
			return
		case <-p.changed:
			next.Stop()
		case <-next.C:
			last = time.Now()
			p.make()
		}
	}
}

// make puts the page of the moment into the queue.
func (p *Pusher) make() {
	p.mu.Lock()
	s, made := p.settings, page{at: time.Now(), instance: p.instance}
	p.mu.Unlock()
	if s.URL == "" {
		return
	}
	buf := limited{most: s.Buffer}
	if err := p.page(&buf); err != nil {
		p.mu.Lock()
		p.stats.Full++
		p.mu.Unlock()
		p.report.tooLarge(s.Buffer)
		return
	}
	made.data = bytes.Clone(buf.Bytes()) // a buffer that grew holds up to twice that
	p.mu.Lock()
	p.serial++
	made.serial = p.serial
	p.queue = append(p.queue, made)
	p.bytes += len(made.data)
	dropped := p.evict()
	p.mu.Unlock()
	if dropped > 0 {
		p.report.full(dropped)
	}
	notify(p.arrived)
}

// evict drops the oldest pages until the others fit, but not one under way.
// The caller holds mu.
func (p *Pusher) evict() (dropped int) {
	first := 0
	if len(p.queue) > 0 && p.queue[0].serial == p.sending {
		first = 1
	}
	for p.bytes > p.settings.Buffer && len(p.queue) > first {
		p.bytes -= len(p.queue[first].data)
		p.queue = append(p.queue[:first], p.queue[first+1:]...)
		p.stats.Full++
		dropped++
	}
	return dropped
}

// deliver delivers pages, the oldest first, until ctx ends.
func (p *Pusher) deliver(ctx, sending context.Context) {
	pause := firstPause
	for {
		asked, any, err := p.attempt(sending)
		switch {
		case ctx.Err() != nil:
			return
		case any && err == nil:
			pause = firstPause
			continue
		}
		wait := (<-chan time.Time)(nil)
		if any {
			// Probes that failed together do not come back together.
			wait = time.After(max(asked, time.Duration((0.8+0.4*rand.Float64())*float64(pause))))
			pause = min(2*pause, longestPause)
		}
		if !p.pause(ctx, wait, any) {
			return
		}
	}
}

// pause waits for a page where there is none, otherwise for the time of the
// next attempt. It returns false when ctx ends.
func (p *Pusher) pause(ctx context.Context, wait <-chan time.Time, any bool) bool {
	arrived := p.arrived
	if any {
		arrived = nil // one more page is no reason to try again sooner
	}
	select {
	case <-ctx.Done():
		return false
	case <-wait:
	case <-arrived:
	case <-p.retry:
	}
	return true
}

// attempt tries to deliver the oldest page; any is false when there is none.
// asked is how long the server wants to be left alone.
func (p *Pusher) attempt(ctx context.Context) (asked time.Duration, any bool, err error) {
	p.mu.Lock()
	if len(p.queue) == 0 {
		p.mu.Unlock()
		return 0, false, nil
	}
	first, s := p.queue[0], p.settings
	p.sending = first.serial
	p.mu.Unlock()

	err = p.client.send(ctx, s, first)
	var failure *failure
	errors.As(err, &failure)
	refused := failure != nil && failure.final

	p.mu.Lock()
	p.sending = 0
	switch {
	case err != nil && !refused:
		if ctx.Err() == nil {
			p.stats.Failed++
		}
	default:
		if len(p.queue) > 0 && p.queue[0].serial == first.serial { // else the settings took it away
			p.bytes -= len(p.queue[0].data)
			p.queue = p.queue[1:]
		}
		if refused {
			p.stats.Refused++
		} else {
			p.stats.Delivered++
		}
	}
	p.evict()
	waiting := len(p.queue)
	p.mu.Unlock()

	switch {
	case err == nil:
		p.report.good(waiting)
	case ctx.Err() == nil:
		p.report.bad(err, waiting)
	}
	if refused {
		return 0, true, nil // the next one may be taken
	}
	if failure != nil {
		asked = failure.after
	}
	return asked, true, err
}

// limited is a buffer that takes no more than so many bytes.
type limited struct {
	bytes.Buffer
	most int
}

var errTooLarge = errors.New("the page is larger than push.buffer")

// Write is part of io.Writer.
func (l *limited) Write(b []byte) (int, error) {
	if l.Len()+len(b) > l.most {
		return 0, errTooLarge
	}
	return l.Buffer.Write(b)
}
