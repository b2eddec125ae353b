// SPDX-License-Identifier: Apache-2.0

package api

import (
	"net/http"
	"sync"
	"time"

	wire "github.com/netprobe-xdp/netprobe-xdp/pkg/api"
)

// The limits of bodies, in bytes.
const (
	maxBody    = 1 << 20
	maxTargets = 16 << 20
)

// Changes by one door: so many at once, and one more after each changeEvery. Each
// lays out the whole plan anew.
const (
	changesAtOnce = 20
	changeEvery   = 200 * time.Millisecond
)

// pace says how often something may be asked for. Any goroutine may use it.
type pace struct {
	mu   sync.Mutex
	free time.Time // when all that may be asked for at once may be again
}

// wait is how long to wait before asking again; 0: it was the asker's turn.
func (p *pace) wait(now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.free.Before(now) {
		p.free = now
	}
	if ahead := p.free.Sub(now); ahead > (changesAtOnce-1)*changeEvery {
		return ahead - (changesAtOnce-1)*changeEvery
	}
	p.free = p.free.Add(changeEvery)
	return 0
}

// change does what changes something: one at a time, and not too often.
func (h *handler) change(w http.ResponseWriter, r *http.Request, do func() error) error {
	if h.pace.wait(time.Now()) > 0 {
		w.Header().Set("Retry-After", "1")
		return NewProblem(http.StatusTooManyRequests, "too many changes; ask again in a second, and for many targets at once")
	}
	return h.inTurn(h.changes, r, do)
}

// done answers when something was done that there is nothing to say of.
func done(w http.ResponseWriter, err error) error {
	if err == nil {
		w.WriteHeader(http.StatusNoContent)
	}
	return err
}

func (h *handler) addTargets(w http.ResponseWriter, r *http.Request) error {
	var req wire.AddTargets
	if err := read(w, r, maxTargets, &req, false); err != nil {
		return err
	}
	return h.change(w, r, func() error {
		changed, err := h.backend.AddTargets(r.Context(), req)
		if err != nil {
			return err
		}
		writeJSON(w, http.StatusOK, changed)
		return nil
	})
}

func (h *handler) removeTarget(w http.ResponseWriter, r *http.Request) error {
	q := fields{values: r.URL.Query()}
	owner := q.text("owner")
	if err := q.wrong(); err != nil {
		return err
	}
	return h.change(w, r, func() error { return done(w, h.backend.RemoveTarget(r.Context(), r.PathValue("name"), owner)) })
}

func (h *handler) pauseTarget(w http.ResponseWriter, r *http.Request) error {
	var req wire.Pause
	if err := read(w, r, maxBody, &req, true); err != nil {
		return err
	}
	return h.change(w, r, func() error { return done(w, h.backend.PauseTarget(r.Context(), r.PathValue("name"), req)) })
}

func (h *handler) resumeTarget(w http.ResponseWriter, r *http.Request) error {
	return h.change(w, r, func() error { return done(w, h.backend.ResumeTarget(r.Context(), r.PathValue("name"))) })
}

// stop waits for no turn and has no limit: whoever wants it wants it now.
func (h *handler) stop(w http.ResponseWriter, r *http.Request) error {
	h.backend.SetStopped(true)
	return done(w, nil)
}

func (h *handler) start(w http.ResponseWriter, r *http.Request) error {
	return h.change(w, r, func() error {
		h.backend.SetStopped(false)
		return done(w, nil)
	})
}
