// SPDX-License-Identifier: Apache-2.0

package api

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/guard"
	wire "github.com/netprobe-xdp/netprobe-xdp/pkg/api"
)

func (h *handler) health(w http.ResponseWriter, r *http.Request) error {
	return state(w, h.backend.Healthy())
}

func (h *handler) ready(w http.ResponseWriter, r *http.Request) error {
	return state(w, h.backend.Ready())
}

// state answers 200 when nothing is wrong, else 503: a state, not a problem with
// the request.
func state(w http.ResponseWriter, wrong error) error {
	if wrong != nil {
		writeJSON(w, http.StatusServiceUnavailable, wire.State{Reason: wrong.Error()})
		return nil
	}
	writeJSON(w, http.StatusOK, wire.State{OK: true})
	return nil
}

func (h *handler) info(w http.ResponseWriter, r *http.Request) error {
	writeJSON(w, http.StatusOK, h.backend.Info())
	return nil
}

func (h *handler) status(w http.ResponseWriter, r *http.Request) error {
	return h.inTurn(h.reads, r, func() error {
		writeJSON(w, http.StatusOK, h.backend.Status())
		return nil
	})
}

func (h *handler) config(w http.ResponseWriter, r *http.Request) error {
	return h.inTurn(h.reads, r, func() error {
		cfg, err := h.backend.Config()
		if err != nil {
			return err
		}
		writeJSON(w, http.StatusOK, cfg)
		return nil
	})
}

func (h *handler) targets(w http.ResponseWriter, r *http.Request) error {
	q, err := readQuery(r.URL.Query())
	if err != nil {
		return err
	}
	return h.inTurn(h.reads, r, func() error {
		found := h.backend.Targets(q)
		guard.Paced(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, http.StatusOK, found) })).ServeHTTP(w, r)
		return nil
	})
}

func (h *handler) target(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("name")
	return h.inTurn(h.reads, r, func() error {
		t, ok := h.backend.Target(name)
		if !ok {
			return NoTarget("name", name)
		}
		writeJSON(w, http.StatusOK, t)
		return nil
	})
}

// longestStep is the longest step that can be asked for, seconds: all are shorter.
const longestStep = 30 * 24 * 3600

func (h *handler) history(w http.ResponseWriter, r *http.Request) error {
	q := fields{values: r.URL.Query()}
	name, group, step := r.PathValue("name"), q.text("group"), q.number("step", 0, 0, longestStep)
	if err := q.wrong(); err != nil {
		return err
	}
	return h.inTurn(h.reads, r, func() error {
		past, ok := h.backend.History(name, group, time.Duration(step)*time.Second)
		if !ok {
			return h.noHistory(name, group)
		}
		writeJSON(w, http.StatusOK, past)
		return nil
	})
}

// NoTarget says that there is no target of this name, which a parameter of the path or
// of the query had.
func NoTarget(parameter, name string) error {
	return NewProblem(http.StatusNotFound, fmt.Sprintf("there is no target %q", name),
		wire.FieldError{Field: parameter, Detail: "allowed: a name in the list of targets"})
}

// noHistory says which of a target and its group there is not.
func (h *handler) noHistory(name, group string) error {
	t, ok := h.backend.Target(name)
	if !ok {
		return NoTarget("name", name)
	}
	var its []string
	for _, g := range t.Groups {
		its = append(its, strconv.Quote(g.Group))
	}
	return NewProblem(http.StatusNotFound, fmt.Sprintf("the target %q is not in the group %q", name, group),
		wire.FieldError{Field: "group", Detail: "allowed: " + cmp.Or(strings.Join(its, ", "), "none, it has no series")})
}

// Of the addresses that answered worst so many are shown when nobody says how
// many, and at most.
const (
	UsualWorst = 20
	MostWorst  = 1000
)

func (h *handler) worst(w http.ResponseWriter, r *http.Request) error {
	q := fields{values: r.URL.Query()}
	n, target := q.number("n", UsualWorst, 1, MostWorst), q.text("target")
	if err := q.wrong(); err != nil {
		return err
	}
	return h.inTurn(h.reads, r, func() error {
		found, ok := h.backend.Worst(target, n)
		if !ok {
			return NewProblem(http.StatusNotFound, fmt.Sprintf("no target %q is probed", target),
				wire.FieldError{Field: "target", Detail: "allowed: the name of a target that is probed, or none for all"})
		}
		writeJSON(w, http.StatusOK, found)
		return nil
	})
}

func (h *handler) reload(w http.ResponseWriter, r *http.Request) error {
	return h.change(w, r, func() error {
		done, err := h.backend.Reload(r.Context())
		if err != nil {
			return err
		}
		writeJSON(w, http.StatusOK, done)
		return nil
	})
}

// inTurn does some work once it may.
func (h *handler) inTurn(turns *guard.Turns, r *http.Request, work func() error) error {
	done, err := turns.Take(r.Context())
	if errors.Is(err, guard.ErrBusy) {
		return NewProblem(http.StatusServiceUnavailable, "too many requests at once; ask again later, or less often")
	}
	if err != nil {
		return nil // the client has gone
	}
	defer done()
	return work()
}

// Of the targets that are found so many are answered with when nobody says how
// many, and at most.
const (
	usualTargets = 1000
	mostTargets  = 10_000
	mostOffset   = 100_000_000
)

// maxFilter bounds what is looked for.
const maxFilter = 256

func readQuery(values url.Values) (Query, error) {
	f := fields{values: values}
	q := Query{
		Filter: f.text("filter"), Group: f.text("group"), Source: f.text("source"), State: f.text("state"),
		Family: f.oneOf("family", "", "ipv4", "ipv6"), Sort: f.oneOf("sort", ByName, ByWorst, ByLoss, ByRoundTrip),
		Limit: f.number("limit", usualTargets, 1, mostTargets), Offset: f.number("offset", 0, 0, mostOffset),
	}
	return q, f.wrong()
}

// fields reads the parameters of a query and notes what is wrong with them.
type fields struct {
	values url.Values
	known  []string
	errors []wire.FieldError
}

func (f *fields) get(name string) (string, bool) {
	f.known = append(f.known, name)
	all := f.values[name]
	if len(all) > 1 {
		f.fault(name, "is there more than once; allowed: once")
	}
	if len(all) == 0 {
		return "", false
	}
	return all[0], true
}

func (f *fields) fault(name, detail string) {
	f.errors = append(f.errors, wire.FieldError{Field: name, Detail: detail})
}

func (f *fields) text(name string) string {
	s, _ := f.get(name)
	if len(s) > maxFilter {
		f.fault(name, fmt.Sprintf("read %d bytes; allowed: at most %d", len(s), maxFilter))
	}
	return s
}

// oneOf reads one of some words, the first of which it is without being told.
func (f *fields) oneOf(name string, words ...string) string {
	s, there := f.get(name)
	if !there {
		return words[0]
	}
	if !slices.Contains(words, s) {
		allowed := slices.DeleteFunc(slices.Clone(words), func(w string) bool { return w == "" })
		f.fault(name, fmt.Sprintf("read %q; allowed: %s", s, strings.Join(allowed, ", ")))
	}
	return s
}

func (f *fields) number(name string, usual, low, high int) int {
	s, there := f.get(name)
	if !there {
		return usual
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < low || n > high {
		f.fault(name, fmt.Sprintf("read %q; allowed: a whole number, %d to %d", s, low, high))
	}
	return n
}

// wrong is what is wrong with the query, parameters that nobody asked for
// included.
func (f *fields) wrong() error {
	for name := range f.values {
		if !slices.Contains(f.known, name) {
			f.fault(name, wire.UnknownParameter+"; allowed: "+strings.Join(f.known, ", "))
		}
	}
	if len(f.errors) == 0 {
		return nil
	}
	slices.SortFunc(f.errors, func(a, b wire.FieldError) int { return strings.Compare(a.Field, b.Field) })
	return NewProblem(http.StatusBadRequest, "the query is wrong", f.errors...)
}
