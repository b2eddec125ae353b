// SPDX-License-Identifier: Apache-2.0

package prober

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"text/tabwriter"

	"github.com/netprobe-xdp/netprobe-xdp/internal/api"
	"github.com/netprobe-xdp/netprobe-xdp/internal/engine"
)

// worst returns the n addresses that answered worst in their last rounds, worst
// first: of one target, or with "" of all. It returns false when there is no
// such target, or it has no address. Any goroutine may call it.
func (p *prober) worst(target string, n int) ([]engine.Answers, bool) {
	p.shownMu.RLock()
	defer p.shownMu.RUnlock()
	var all []engine.Answers
	known := target == ""
	for _, port := range p.ports {
		if port.engine == nil {
			continue
		}
		found, ok := port.engine.Worst(target, n)
		all, known = append(all, found...), known || ok
	}
	slices.SortFunc(all, engine.CompareWorst)
	return all[:min(len(all), n)], known
}

// serveWorst answers with the addresses that answered worst, for a person.
func (p *prober) serveWorst(w http.ResponseWriter, r *http.Request) {
	n, target := api.UsualWorst, r.FormValue("target")
	if s := r.FormValue("n"); s != "" {
		var err error
		if n, err = strconv.Atoi(s); err != nil || n < 1 || n > api.MostWorst {
			http.Error(w, fmt.Sprintf("read n=%q; allowed: 1 to %d", s, api.MostWorst), http.StatusBadRequest)
			return
		}
	}
	worst, known := p.worst(target, n)
	if !known {
		http.Error(w, fmt.Sprintf("no target %q is probed", target), http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff") // names are not ours
	w.Header().Set("Cache-Control", "no-store")
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "target\taddress\tsent\tanswered\tlost\tround trip")
	for _, a := range worst {
		trip := "-"
		if a.RoundTrip > 0 {
			trip = a.RoundTrip.String()
		}
		fmt.Fprintf(table, "%s\t%s\t%d\t%d\t%.1f%%\t%s\n", a.Target, a.Address, a.Sent, a.Answered, 100*a.Loss(), trip)
	}
	if err := table.Flush(); err != nil {
		p.Log.Debug("list of the worst addresses not delivered", "client", r.RemoteAddr, "error", err)
	}
}
