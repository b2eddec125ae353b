// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/lab"
	"github.com/netprobe-xdp/netprobe-xdp/pkg/api"
)

// second is what happened in about a second: the samples that were marked, and what
// the kernel says kept the threads that probe from their work.
type second struct {
	at   time.Duration // its end, since the run began
	long time.Duration

	sent, marked float64
	past         float64       // bytes that the past of all targets takes
	lag          time.Duration // the most that a probe left late lately

	ran, waited time.Duration // of all threads that probe: on a CPU, and for one
	preempted   float64       // how often those were taken off their CPU while they had work
	interrupts  float64       // that the CPUs served
}

// seconds looks at the program once a second, beside the watcher.
type seconds struct {
	stop context.CancelFunc
	done chan struct{}
	all  []second // valid once done is closed, as is err
	err  error
}

// sofar is what one look finds.
type sofar struct {
	at      time.Duration
	status  api.Status
	threads []thread
	cpus    cpus
}

// watchSeconds begins to look.
func watchSeconds(w *watcher) *seconds {
	ctx, cancel := context.WithCancel(context.Background())
	s := &seconds{stop: cancel, done: make(chan struct{})}
	client := lab.HTTPClient(w.rig.prober.Do, time.Minute)
	begin, pid, workers := w.report.begin, w.process.PID(), w.report.scenario.workers
	go func() {
		defer close(s.done)
		tick := time.Tick(time.Second)
		for before := (*sofar)(nil); ; {
			now, err := look(client, pid, begin)
			if err != nil {
				s.err = err
				return
			}
			if before != nil {
				s.all = append(s.all, between(before, now, workers))
			}
			before = now
			select {
			case <-ctx.Done():
				return
			case <-tick:
			}
		}
	}()
	return s
}

// end ends looking, and returns what was seen. The error is joined with another.
func (s *seconds) end(err error) ([]second, error) {
	s.stop()
	<-s.done
	return s.all, errors.Join(err, s.err)
}

func look(client *http.Client, pid int, begin time.Time) (*sofar, error) {
	var now sofar
	text, err := lab.Fetch(client, "http://127.0.0.1:8000/api/v1/status")
	if err != nil {
		return nil, fmt.Errorf("ask the program how it fares: %w", err)
	}
	now.at = time.Since(begin)
	if err := json.Unmarshal([]byte(text), &now.status); err != nil {
		return nil, fmt.Errorf("ask the program how it fares: %w", err)
	}
	if now.threads, err = threadsOf(pid); err != nil {
		return nil, err
	}
	now.cpus, err = cpusSoFar()
	return &now, err
}

// between is what happened from one look to the next. What targets had counted that
// went meanwhile is not seen: with each reload one target in a hundred goes.
func between(a, b *sofar, workers int) second {
	grown := func(from, to uint64) float64 { return max(0, float64(to)-float64(from)) }
	s := second{
		at: b.at, long: b.at - a.at, past: float64(b.status.History.MemoryBytes),
		sent: grown(a.status.Sent, b.status.Sent), marked: grown(a.status.Marked, b.status.Marked),
		interrupts: b.cpus.interrupts - a.cpus.interrupts,
	}
	for _, i := range b.status.Interfaces {
		s.lag = max(s.lag, time.Duration(i.ScheduleLagSeconds*float64(time.Second)))
	}
	before := map[string]thread{}
	for _, t := range a.threads {
		before[t.id] = t
	}
	for _, t := range b.threads[:min(workers, len(b.threads))] {
		s.ran += t.ran - before[t.id].ran
		s.waited += t.waited - before[t.id].waited
		s.preempted += t.preempted - before[t.id].preempted
	}
	return s
}
