// SPDX-License-Identifier: Apache-2.0

package web

import (
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/netprobe-xdp/netprobe-xdp/internal/guard"
	site "github.com/netprobe-xdp/netprobe-xdp/internal/page"
)

// maxScrapes is how many pages are made at once: each holds the figures of all
// targets while it is written.
const maxScrapes = 4

// routes says what is served where. A pattern with GET stands for HEAD too.
func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /{$}", root(site.Handler()))
	mux.Handle("GET "+site.Prefix, site.Handler())
	scrapes := guard.NewTurns(maxScrapes, guard.TurnTimeout)
	mux.Handle("GET /metrics", inTurn(scrapes, guard.Paced(s.opt.Page)))
	mux.Handle("GET /-/healthy", state("healthy", s.opt.Healthy))
	mux.Handle("GET /-/ready", state("ready", s.opt.Ready))
	mux.HandleFunc("POST /-/reload", s.reload)
	if s.opt.Worst != nil {
		mux.Handle("GET /-/worst", inTurn(guard.NewTurns(maxScrapes, guard.TurnTimeout), s.opt.Worst))
	}
	if s.opt.API != nil {
		mux.Handle(s.opt.APIPrefix+"/", s.opt.API)
	}
	return mux
}

// root answers a browser with the page, and others with a list of what there is.
func root(page http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Vary", "Accept")
		if strings.Contains(r.Header.Get("Accept"), "text/html") {
			page.ServeHTTP(w, r)
			return
		}
		index(w, r)
	})
}

func index(w http.ResponseWriter, _ *http.Request) {
	plain(w, http.StatusOK, `netprobe-xdp
/metrics    measurements for Prometheus and VictoriaMetrics
/-/healthy  200 while every worker makes its tick
/-/ready    200 once the first round is complete
/-/reload   POST: load the configuration again
/-/worst    the addresses that answer worst; ?target=NAME, ?n=20
`)
}

// inTurn lets requests through to next as turns has it.
func inTurn(turns *guard.Turns, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		done, err := turns.Take(r.Context())
		if errors.Is(err, guard.ErrBusy) {
			w.Header().Set("Retry-After", "10")
			plain(w, http.StatusServiceUnavailable, "too many scrapes at once; scrape less often, or with fewer scrapers\n")
		}
		if err != nil {
			return
		}
		defer done()
		next.ServeHTTP(w, r)
	})
}

// state answers 200 while check returns nil, else 503 with the reason.
func state(good string, check func() error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		if err := check(); err != nil {
			plain(w, http.StatusServiceUnavailable, "not "+good+": "+err.Error()+"\n")
			return
		}
		plain(w, http.StatusOK, good+"\n")
	})
}

// plain answers with text.
func plain(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	io.WriteString(w, text)
}
