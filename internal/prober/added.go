// SPDX-License-Identifier: Apache-2.0

package prober

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	server "github.com/netprobe-xdp/netprobe-xdp/internal/api"
	"github.com/netprobe-xdp/netprobe-xdp/internal/config"
	"github.com/netprobe-xdp/netprobe-xdp/pkg/api"
)

// added are the targets that the control API added, by name. Only control's
// goroutine uses it.
type added map[string]addition

// addition is one of them.
type addition struct {
	spec    api.TargetSpec
	owner   string
	expires time.Time // zero: never
	target  config.Target
	unfit   bool // by the configuration that is carried out it is none: it is left out
}

// The limits of what the control API may add.
const (
	maxAdded    = 100_000
	maxOwner    = 100
	maxLifetime = 100 * 365 * 24 * 3600 // seconds
	maxRefused  = 100                   // of many faults so many are named
)

// list is what of them is to be probed.
func (a added) list() []config.AddedTarget {
	all := make([]config.AddedTarget, 0, len(a))
	for _, name := range slices.Sorted(maps.Keys(a)) {
		if one := a[name]; !one.unfit {
			all = append(all, config.AddedTarget{Target: one.target, Expires: one.expires})
		}
	}
	return all
}

// rejudge reads all of them anew by another configuration: its groups may be
// others. It returns what is wrong with those that are left out.
func (a added) rejudge(cfg *config.Config) (unfit []string) {
	for name, one := range a {
		target, wrong := cfg.JudgeAdded(&one.spec)
		if one.target, one.unfit = target, wrong != nil; wrong != nil {
			unfit = append(unfit, name+": "+wrong.Field+": "+wrong.Detail)
		}
		a[name] = one
	}
	slices.Sort(unfit)
	return unfit
}

// expire forgets those whose lifetime is over.
func (a added) expire(now time.Time) {
	maps.DeleteFunc(a, func(_ string, one addition) bool { return !one.expires.IsZero() && !one.expires.After(now) })
}

// addTargets adds targets that the control API is asked for: all, or none. Any
// goroutine may call it but control's.
func (p *prober) addTargets(ctx context.Context, req api.AddTargets) (done api.Reloaded, err error) {
	expires, err := lifetime(req.Owner, req.LifetimeSeconds)
	if err != nil {
		return done, err
	}
	if n := len(req.Targets); n == 0 || n > maxAdded {
		return done, server.NewProblem(http.StatusUnprocessableEntity, "no target is added", api.FieldError{Field: "/targets", Detail: fmt.Sprintf("read %d; allowed: 1 to %d", n, maxAdded)})
	}
	err = p.do(ctx, func() error {
		p.added.expire(time.Now())
		next := maps.Clone(p.added)
		if next == nil {
			next = added{}
		}
		if err := p.judgeAdded(next, req, expires); err != nil {
			return err
		}
		fresh := map[string]int{}
		for i := range req.Targets {
			fresh[req.Targets[i].Name] = i
		}
		report, err := p.applyIf(p.base.WithAdded(time.Now(), next.list()), false, func(c *change) error { return allPlanned(c, fresh, p.paused) })
		if err != nil {
			return explain(err, fresh)
		}
		p.added = next
		p.showSteered()
		done = reloaded(report)
		p.Log.Info("targets added by the control API", "targets", len(req.Targets), "owner", req.Owner, "lifetime", time.Duration(req.LifetimeSeconds*float64(time.Second)))
		return nil
	})
	return done, err
}

// lifetime returns when what is asked for now is over; zero: never.
func lifetime(owner string, seconds float64) (time.Time, error) {
	var wrong []api.FieldError
	if len(owner) > maxOwner || strings.ContainsFunc(owner, func(r rune) bool { return !strconv.IsPrint(r) }) {
		wrong = append(wrong, api.FieldError{Field: "/owner", Detail: fmt.Sprintf("allowed: printable text of at most %d bytes", maxOwner)})
	}
	if math.IsNaN(seconds) || seconds < 0 || seconds > maxLifetime {
		wrong = append(wrong, api.FieldError{Field: "/lifetime_seconds", Detail: fmt.Sprintf("read %g; allowed: 0, which is no end, to %d", seconds, maxLifetime)})
	}
	switch {
	case wrong != nil:
		return time.Time{}, server.NewProblem(http.StatusUnprocessableEntity, "nothing is changed", wrong...)
	case seconds == 0:
		return time.Time{}, nil
	}
	return time.Now().Add(time.Duration(seconds * float64(time.Second))), nil
}

// judgeAdded puts the targets of a request into next, or says what is wrong with
// them.
func (p *prober) judgeAdded(next added, req api.AddTargets, expires time.Time) error {
	var wrong, taken []api.FieldError
	first := map[string]int{}
	sources := p.sources()
	for i := range req.Targets {
		spec := req.Targets[i]
		at := fmt.Sprintf("/targets/%d", i)
		target, fault := p.base.JudgeAdded(&spec)
		if fault != nil {
			if fault.Field != "" {
				at += "/" + fault.Field
			}
			wrong = append(wrong, api.FieldError{Field: at, Detail: fault.Detail})
			continue
		}
		if j, twice := first[spec.Name]; twice {
			wrong = append(wrong, api.FieldError{Field: at + "/name", Detail: fmt.Sprintf("read %q a second time, first in /targets/%d; allowed: once", spec.Name, j)})
			continue
		}
		first[spec.Name] = i
		if was, there := next[spec.Name]; there && was.owner != req.Owner {
			taken = append(taken, api.FieldError{Field: at + "/name", Detail: fmt.Sprintf("the target %q is of the owner %q; choose another name, or have it removed by them", spec.Name, was.owner)})
		} else if from, there := sources[spec.Name]; there && from != "api" {
			taken = append(taken, api.FieldError{Field: at + "/name", Detail: fmt.Sprintf("the target %q is there already, from %s; choose another name", spec.Name, described(from))})
		}
		next[spec.Name] = addition{spec: spec, owner: req.Owner, expires: expires, target: target}
	}
	switch {
	case wrong != nil:
		return server.NewProblem(http.StatusUnprocessableEntity, "no target is added", wrong[:min(len(wrong), maxRefused)]...)
	case taken != nil:
		return server.NewProblem(http.StatusConflict, "no target is added", taken[:min(len(taken), maxRefused)]...)
	case len(next) > maxAdded:
		return server.NewProblem(http.StatusUnprocessableEntity, "no target is added", api.FieldError{Field: "/targets", Detail: fmt.Sprintf("there would be %d that were added; allowed: at most %d; make them an inventory", len(next), maxAdded)})
	}
	return nil
}

// sources says where each target is from. Only control's goroutine calls it.
func (p *prober) sources() map[string]string {
	all := make(map[string]string, len(p.base.Targets))
	for i := range p.base.Targets {
		all[p.base.Targets[i].Name] = p.base.Source(i)
	}
	return all
}

func described(source string) string {
	if source == "config" {
		return "the configuration"
	}
	return "the inventory " + source
}

// allPlanned is nil when a change probes all of these targets but the paused ones.
func allPlanned(c *change, fresh map[string]int, paused map[string]pause) error {
	missing := maps.Clone(fresh)
	for _, t := range c.plan.Targets {
		if !slices.Contains(c.astray, t.Name) {
			delete(missing, t.Name)
		}
	}
	for name := range paused {
		delete(missing, name)
	}
	var faults config.Faults
	for _, f := range c.plan.Warnings { // those that cannot be probed are named there
		if name, ok := targetOf(f.Key, missing); ok {
			faults = append(faults, f)
			delete(missing, name)
		}
	}
	for name := range missing { // beyond those that the plan names
		faults = append(faults, config.Fault{Key: "targets." + name, Read: "cannot be probed"})
	}
	if len(faults) == 0 {
		return nil
	}
	return faults
}

// targetOf returns which of some targets a key is of.
func targetOf(key string, names map[string]int) (name string, ok bool) {
	rest, ok := strings.CutPrefix(key, "targets.")
	for ok { // names may have dots in them
		if _, there := names[rest]; there {
			return rest, true
		}
		at := strings.LastIndexByte(rest, '.')
		if at < 0 {
			return "", false
		}
		rest = rest[:at]
	}
	return "", false
}

// explain tells a client which of its targets are why a change cannot be carried
// out.
func explain(err error, fresh map[string]int) error {
	faults, ok := errors.AsType[config.Faults](err)
	if !ok {
		return err
	}
	var fields []api.FieldError
	for _, f := range faults[:min(len(faults), maxRefused)] {
		field, detail := f.Key, f.Read
		if name, ok := targetOf(f.Key, fresh); ok {
			field = fmt.Sprintf("/targets/%d%s", fresh[name], strings.ReplaceAll(strings.TrimPrefix(f.Key, "targets."+name), ".", "/"))
		}
		if f.Allowed != "" {
			detail += "; " + f.Allowed
		}
		fields = append(fields, api.FieldError{Field: field, Detail: detail})
	}
	return server.NewProblem(http.StatusUnprocessableEntity, "no target is added", fields...)
}

// removeTarget removes a target that the control API added for this owner. Any
// goroutine may call it but control's.
func (p *prober) removeTarget(ctx context.Context, name, owner string) error {
	return p.do(ctx, func() error {
		p.added.expire(time.Now())
		one, there := p.added[name]
		if !there {
			from, known := p.sources()[name]
			if !known {
				return server.NoTarget("name", name)
			}
			return server.NewProblem(http.StatusConflict, fmt.Sprintf("the target %q is from %s; remove it there and reload, or pause it", name, described(from)))
		}
		if one.owner != owner {
			return server.NewProblem(http.StatusConflict, "no target is removed", api.FieldError{Field: "owner", Detail: fmt.Sprintf("read %q; allowed: %q, who added the target", owner, one.owner)})
		}
		next := maps.Clone(p.added)
		delete(next, name)
		if _, err := p.apply(p.base.WithAdded(time.Now(), next.list()), false); err != nil {
			return err
		}
		p.added = next
		delete(p.paused, name)
		p.showSteered()
		p.Log.Info("target removed by the control API", "target", name, "owner", owner)
		return nil
	})
}
