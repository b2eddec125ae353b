// SPDX-License-Identifier: Apache-2.0

package api

import (
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/guard"
	wire "github.com/netprobe-xdp/netprobe-xdp/pkg/api"
)

// route is one thing that can be asked for.
type route struct {
	pattern string // method and path below wire.Prefix
	state   bool   // for everybody who can connect
	page    bool   // the page at / needs it: as open as the metrics are
	serve   func(*handler, http.ResponseWriter, *http.Request) error
}

// routes are all there are. GET stands for HEAD too.
var routes = []route{
	{pattern: "GET /health", state: true, page: true, serve: (*handler).health},
	{pattern: "GET /ready", state: true, page: true, serve: (*handler).ready},
	{pattern: "GET /info", page: true, serve: (*handler).info},
	{pattern: "GET /status", page: true, serve: (*handler).status},
	{pattern: "GET /config", serve: (*handler).config},
	{pattern: "GET /targets", page: true, serve: (*handler).targets},
	{pattern: "GET /targets/{name}", page: true, serve: (*handler).target},
	{pattern: "GET /targets/{name}/history", page: true, serve: (*handler).history},
	{pattern: "GET /worst", page: true, serve: (*handler).worst},
	{pattern: "GET /openapi.yaml", page: true, serve: (*handler).openapi},
	{pattern: "GET /events", page: true, serve: (*handler).events},
	{pattern: "POST /targets", serve: (*handler).addTargets},
	{pattern: "DELETE /targets/{name}", serve: (*handler).removeTarget},
	{pattern: "POST /targets/{name}/pause", serve: (*handler).pauseTarget},
	{pattern: "POST /targets/{name}/resume", serve: (*handler).resumeTarget},
	{pattern: "GET /targets/{name}/debug", serve: (*handler).debug},
	{pattern: "POST /probe", serve: (*handler).probe},
	{pattern: "POST /reload", serve: (*handler).reload},
	{pattern: "POST /stop", serve: (*handler).stop},
	{pattern: "POST /start", serve: (*handler).start},
}

// The limits of what is worked on at a time, for each door.
const (
	maxReads   = 4
	maxChanges = 1
)

// turnTimeout is how long a request waits for its turn.
const turnTimeout = 10 * time.Second

// handler answers what comes in by one door.
type handler struct {
	backend        Backend
	door           Door
	origin         http.CrossOriginProtection
	mux            *http.ServeMux
	reads, changes *guard.Turns
	pace           pace         // of changes
	watchers       atomic.Int32 // who follow events
	probing        atomic.Int32 // who probe once
	following      atomic.Int32 // who follow a target's round
	log            *slog.Logger // sparing: clients cause what it says
}

// New returns what answers requests that come in by a door.
func New(b Backend, door Door, log *slog.Logger) http.Handler {
	h := &handler{
		backend: b, door: door, mux: http.NewServeMux(), log: guard.Sparing(log),
		reads: guard.NewTurns(maxReads, turnTimeout), changes: guard.NewTurns(maxChanges, turnTimeout),
	}
	for i := range routes {
		t := &routes[i]
		method, path, _ := strings.Cut(t.pattern, " ")
		h.mux.HandleFunc(method+" "+wire.Prefix+path, func(w http.ResponseWriter, r *http.Request) {
			if err := h.admit(w, r, t); err != nil {
				h.fail(w, r, err)
				return
			}
			if err := t.serve(h, w, r); err != nil {
				h.fail(w, r, err)
			}
		})
	}
	h.mux.HandleFunc("/", h.unknown)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		secure(w)
		h.mux.ServeHTTP(w, r)
	})
}

// unknown answers what no route is for: another method may have one.
func (h *handler) unknown(w http.ResponseWriter, r *http.Request) {
	var allowed []string
	for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodDelete} {
		other := r.Clone(r.Context())
		other.Method = method
		if _, pattern := h.mux.Handler(other); pattern != "/" {
			allowed = append(allowed, method)
		}
	}
	if len(allowed) > 0 {
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		h.fail(w, r, NewProblem(http.StatusMethodNotAllowed, r.Method+" is not for this path; allowed: "+strings.Join(allowed, ", ")))
		return
	}
	h.fail(w, r, NewProblem(http.StatusNotFound, "there is no such path in version "+wire.Version+" of the API; "+wire.Prefix+"/openapi.yaml describes it"))
}
