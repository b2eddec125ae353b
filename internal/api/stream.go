// SPDX-License-Identifier: Apache-2.0

package api

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

// Of streams.
const (
	maxEvents   = 64               // streams of events at a time by one door
	keepAlive   = 15 * time.Second // between two signs of life
	takenWithin = 10 * time.Second // what is sent has to be taken
)

// stream is an answer that goes on. Several goroutines may write it.
type stream struct {
	mu      sync.Mutex
	control *http.ResponseController
	out     *bufio.Writer
}

// newStream begins an answer that goes on for as long as somebody takes it.
func newStream(w http.ResponseWriter, contentType string) *stream {
	s := &stream{control: http.NewResponseController(w), out: bufio.NewWriter(w)}
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("X-Accel-Buffering", "no") // a proxy is not to collect it
	_ = s.control.SetReadDeadline(time.Time{})
	w.WriteHeader(http.StatusOK)
	return s
}

// write writes what put does, and sends it on unless more follows at once. Its
// error is that of a client that has gone, or takes nothing.
func (s *stream) write(more bool, put func(io.Writer) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.control.SetWriteDeadline(time.Now().Add(takenWithin))
	if err := put(s.out); err != nil || more {
		return err
	}
	if err := s.out.Flush(); err != nil {
		return err
	}
	return s.control.Flush()
}

// events sends what happens as server-sent events (HTML, section 9.2).
func (h *handler) events(w http.ResponseWriter, r *http.Request) error {
	q := fields{values: r.URL.Query()}
	rounds := q.oneOf("rounds", "false", "true") == "true"
	if err := q.wrong(); err != nil {
		return err
	}
	if r.Method == http.MethodHead {
		w.Header().Set("Content-Type", "text/event-stream")
		return nil
	}
	if h.watchers.Add(1) > maxEvents {
		h.watchers.Add(-1)
		w.Header().Set("Retry-After", "10")
		return NewProblem(http.StatusTooManyRequests, "too many follow the events already; ask again when one has gone")
	}
	defer h.watchers.Add(-1)
	s := newStream(w, "text/event-stream")
	comment := func(out io.Writer) error { _, err := io.WriteString(out, ": netprobe-xdp\n\n"); return err }
	if s.write(false, comment) != nil {
		return nil
	}
	alive := time.NewTicker(keepAlive)
	defer alive.Stop()
	ended := make(chan struct{})
	var running sync.WaitGroup
	defer running.Wait()
	defer close(ended)
	running.Go(func() {
		for {
			select {
			case <-ended:
				return
			case <-alive.C:
				_ = s.write(false, comment) // a client that has gone ends the request
			}
		}
	})
	_ = h.backend.Events(r.Context(), rounds, func(ev Told, more bool) error {
		return s.write(more, func(out io.Writer) error {
			_, err := fmt.Fprintf(out, "event: %s\ndata: %s\n\n", ev.Type, ev.JSON)
			return err
		})
	})
	return nil
}
