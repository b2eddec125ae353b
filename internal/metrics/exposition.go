// SPDX-License-Identifier: Apache-2.0

// Package metrics shows what was measured to Prometheus and VictoriaMetrics, in
// the text format of version 0.0.4: the series of netprobify under netprobify's
// names, and our own beside them. It computes nothing; it renders.
package metrics

import (
	"log/slog"
	"net/http"
	"sync"

	"github.com/netprobe-xdp/netprobe-xdp/internal/result"
)

// ContentType is the type of the page. Prometheus 3 refuses a page without it.
const ContentType = "text/plain; version=0.0.4; charset=utf-8"

// Options is where an Exposition finds what it shows. The functions are called
// once for each scrape, from the goroutine that serves it, and several scrapes
// may run at once; what they return must not change afterwards.
type Options struct {
	Store     *result.Store
	ProbeName func() string // the label probe_name; a reload may change it

	Version  string // of the program
	Revision string // of its source; "" when unknown

	App     *App
	Targets func() []*Target // shown in this order; nil: no targets are described
	Links   func() []Link    // shown in this order; nil: no links are described

	Push        func() Push        // what became of pushing; nil: nothing is pushed
	Inventories func() []Inventory // shown in this order; nil: no inventories are described

	// MaxSeries is metrics.max_series: no more per-target series than this are
	// shown. 0 is no limit, and so is nil.
	MaxSeries func() int

	Log *slog.Logger // nil: slog.Default()
}

// Exposition renders the page. It is an http.Handler for /metrics; any number
// of goroutines may use it.
type Exposition struct {
	opt      Options
	families []typeFamilies
	warnOnce sync.Once

	mu    sync.Mutex
	order *order // of the store's series when last asked for

	// spare keeps the memory of one page between scrapes. Not a sync.Pool: at
	// 100,000 targets each collection would throw tens of megabytes away that
	// the next scrape needs again.
	spare chan *page
}

// New returns an Exposition of what opt names. It panics without a Store, a
// ProbeName or an App.
func New(opt Options) *Exposition {
	if opt.Store == nil || opt.ProbeName == nil || opt.App == nil {
		panic("metrics: Options needs Store, ProbeName and App")
	}
	if opt.Log == nil {
		opt.Log = slog.Default()
	}
	return &Exposition{opt: opt, families: contractFamilies(), spare: make(chan *page, 1)}
}

// ServeHTTP answers GET and HEAD with the page, compressed when the client
// accepts gzip. Other methods must not come here.
func (x *Exposition) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", ContentType)
	h.Set("Cache-Control", "no-store")
	h.Set("Vary", "Accept-Encoding")
	zip := acceptsGzip(r.Header.Values("Accept-Encoding"))
	if zip {
		h.Set("Content-Encoding", "gzip")
	}
	if r.Method == http.MethodHead {
		return
	}
	var err error
	if zip {
		err = x.WriteGzip(w)
	} else {
		err = x.write(w)
	}
	if err != nil {
		// The client went away or was too slow. The page must not look whole.
		x.opt.Log.Debug("metrics: page not delivered", "client", r.RemoteAddr, "error", err)
		panic(http.ErrAbortHandler)
	}
}
