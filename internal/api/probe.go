// SPDX-License-Identifier: Apache-2.0

package api

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	wire "github.com/netprobe-xdp/netprobe-xdp/pkg/api"
)

// How many probe once, and follow a target's round, at a time by one door.
const (
	maxProbing   = 4
	maxFollowing = 8
)

// lines is the media type of JSON values, one a line.
const linesType = "application/jsonl"

// probe probes once, and sends what comes of it as it comes.
func (h *handler) probe(w http.ResponseWriter, r *http.Request) error {
	var req wire.ProbeRequest
	if err := read(w, r, maxTargets, &req, false); err != nil {
		return err
	}
	return h.follow(w, r, &h.probing, maxProbing, func(ctx context.Context, emit func(wire.ProbeEvent)) error {
		return h.backend.Probe(ctx, req, emit)
	})
}

// debug sends what happens in the next whole round of a target.
func (h *handler) debug(w http.ResponseWriter, r *http.Request) error {
	return h.follow(w, r, &h.following, maxFollowing, func(ctx context.Context, emit func(wire.ProbeEvent)) error {
		return h.backend.Debug(ctx, r.PathValue("name"), emit)
	})
}

// follow sends the events of work, one a line. A problem before the first of them is an
// answer of its own; a later failure is the last line.
func (h *handler) follow(w http.ResponseWriter, r *http.Request, running *atomic.Int32, most int32, work func(context.Context, func(wire.ProbeEvent)) error) error {
	if r.Method == http.MethodHead {
		w.Header().Set("Content-Type", linesType)
		return nil
	}
	if running.Add(1) > most {
		running.Add(-1)
		w.Header().Set("Retry-After", "10")
		return NewProblem(http.StatusTooManyRequests, "too many do this at the moment; ask again when one of them has ended")
	}
	defer running.Add(-1)
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	var s *stream
	gone := false
	emit := func(e wire.ProbeEvent) {
		if gone {
			return
		}
		if s == nil {
			s = newStream(w, linesType)
		}
		// Of what comes in numbers several lines may go together.
		more := e.Kind == wire.ProbeSummary
		err := s.write(more, func(out io.Writer) error { return json.NewEncoder(out).Encode(e) })
		if err != nil {
			gone = true
			cancel()
		}
	}
	err := work(ctx, emit)
	if err == nil || gone || r.Context().Err() != nil {
		return nil
	}
	if s == nil {
		return err
	}
	problem, ok := errors.AsType[*wire.Problem](err)
	if !ok {
		problem = NewProblem(http.StatusInternalServerError, err.Error())
	}
	emit(wire.ProbeEvent{Kind: wire.ProbeFailed, Time: time.Now(), Problem: problem})
	return nil
}
