// SPDX-License-Identifier: Apache-2.0

package prober

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/config"
	"github.com/netprobe-xdp/netprobe-xdp/internal/inventory"
	"github.com/netprobe-xdp/netprobe-xdp/internal/metrics"
)

// inventories follows the lists of targets that others keep.
type inventories struct {
	ctx     context.Context // of all feeds
	running sync.WaitGroup

	mu    sync.Mutex // control's goroutine alone changes feeds, others look
	feeds map[string]*feed
}

// feed is one inventory that is followed.
type feed struct {
	inventory config.Inventory
	cancel    context.CancelFunc
	data      []byte // the last list that was carried out, unless it is in a file; control's

	success  atomic.Int64 // when the list was last known to be right, in Unix nanoseconds; 0: never
	failures atomic.Uint64

	// The feed's own goroutine:
	failing string         // the failure that was said last, "" after a success
	refused []byte         // the last list, if it was none
	why     error          // why
	judge   *config.Config // that judged it
}

// follow begins to follow the inventories of the configuration, and goes on
// with those it follows already. Only the goroutine of control calls it, or the
// one that starts it.
func (n *inventories) follow(p *prober) {
	n.mu.Lock()
	defer n.mu.Unlock()
	wanted := map[string]*feed{}
	for i := range p.cfg.Inventories {
		inv := p.cfg.Inventories[i]
		old := n.feeds[inv.Name]
		if old != nil && reflect.DeepEqual(old.inventory, inv) {
			wanted[inv.Name] = old
			continue
		}
		ctx, cancel := context.WithCancel(n.ctx)
		f := &feed{inventory: inv, cancel: cancel}
		if old != nil {
			if inv.File == nil { // a file's list is read from it
				f.data = old.data
			}
			f.failures.Store(old.failures.Load())
			f.success.Store(old.success.Load())
		}
		source := p.source(&inv)
		if inv.File != nil {
			f.success.Store(time.Now().UnixNano()) // loading has just read it
		}
		wanted[inv.Name] = f
		n.running.Go(func() {
			defer cancel()
			source.Run(ctx, func(d inventory.Delivery) error { return p.receive(ctx, f, d) })
		})
	}
	for name, f := range n.feeds {
		if wanted[name] != f {
			f.cancel()
		}
	}
	n.feeds = wanted
}

// source returns where the list of an inventory comes from.
func (p *prober) source(inv *config.Inventory) inventory.Source {
	switch {
	case inv.HTTP != nil:
		h := *inv.HTTP
		h.UserAgent += "/" + p.Version
		return h
	case inv.Command != nil:
		return *inv.Command
	}
	f := *inv.File
	for _, l := range p.cfg.TargetLists() {
		if l.Inventory == inv.Name {
			f.Last = l.Stamp
		}
	}
	return f
}

// receive takes what a feed delivers. Only the feed's goroutine calls it.
func (p *prober) receive(ctx context.Context, f *feed, d inventory.Delivery) error {
	err := d.Err
	if err == nil && !d.Same {
		err = p.judge(ctx, f, d.Data)
	}
	if ctx.Err() != nil || errors.Is(err, errEnded) {
		return err
	}
	name := f.inventory.Name
	if err == nil {
		f.success.Store(time.Now().UnixNano())
		if f.failing != "" {
			p.Log.Info("inventory works again", "inventory", name)
		}
		f.failing = ""
		return nil
	}
	f.failures.Add(1)
	if text := brief(err); text != f.failing { // once, while it lasts
		f.failing = text
		p.Log.Warn("inventory failed; its last good list stays", "inventory", name, "error", text)
	}
	return err
}

// judge reads a list and has it carried out. Only the feed's goroutine calls it.
func (p *prober) judge(ctx context.Context, f *feed, data []byte) error {
	cfg := p.current.Load()
	if f.refused != nil && bytes.Equal(f.refused, data) && f.judge.JudgesAs(cfg) {
		return f.why // rubbish that comes again takes no time from probing
	}
	list, err := readList(cfg, f.inventory.Name, data)
	if err != nil {
		f.refused, f.why, f.judge = data, err, cfg
		return err
	}
	f.refused, f.why, f.judge = nil, nil, nil
	return p.do(ctx, func() error {
		if !p.cfg.JudgesAs(cfg) { // there was a reload
			if list, err = readList(p.cfg, f.inventory.Name, data); err != nil {
				return err
			}
		}
		return p.renew(f, list, data)
	})
}

// brief is an error on one line, the first of many faults.
func brief(err error) string {
	var faults config.Faults
	if errors.As(err, &faults) && len(faults) > 1 {
		return fmt.Sprintf("%s (and %d more)", faults[0], len(faults)-1)
	}
	return err.Error()
}

// renew carries out a list that a feed delivered. Only control's goroutine calls
// it.
func (p *prober) renew(f *feed, list *config.TargetList, data []byte) error {
	name := f.inventory.Name
	if p.inventories.feeds[name] != f {
		return errors.New("the configuration has another inventory of that name now")
	}
	before := p.cfg
	if _, err := p.apply(p.base.With(time.Now(), list), false); p.cfg == before {
		return err
	} else if err != nil {
		p.Log.Error("cannot carry out all of a list", "inventory", name, "error", err)
	}
	f.data = data
	return nil
}

// readList reads the list of an inventory as a configuration has it judged.
func readList(cfg *config.Config, name string, data []byte) (*config.TargetList, error) {
	for i := range cfg.Inventories {
		switch inv := &cfg.Inventories[i]; {
		case inv.Name != name:
		case inv.File != nil:
			return cfg.ReadFile(inv)
		default:
			return cfg.Read(inv, data)
		}
	}
	return nil, errors.New("the configuration has no such inventory")
}

// relist returns a configuration that was just loaded with the lists that are
// in no file, and with what the control API added. Only control's goroutine calls it.
func (p *prober) relist(next *config.Config) *config.Config {
	var lists []*config.TargetList
	for i := range next.Inventories {
		inv := &next.Inventories[i]
		f := p.inventories.feeds[inv.Name]
		if f == nil || f.data == nil || inv.File != nil {
			continue
		}
		list, err := next.Read(inv, f.data)
		if err != nil {
			p.Log.Warn("the last list of an inventory is none any more", "inventory", inv.Name, "error", err)
			continue
		}
		lists = append(lists, list)
	}
	for _, text := range p.added.rejudge(next) {
		p.Log.Warn("a target that the control API added is none any more", "target", text)
	}
	if lists == nil && len(p.added) == 0 {
		return next
	}
	all := next.WithAdded(time.Now(), p.added.list(), lists...)
	for name, n := range next.Repeated { // With counts those of lists alone
		if all.Repeated == nil {
			all.Repeated = map[string]uint64{}
		}
		all.Repeated[name] += n
	}
	return all
}

// watchLifetimes removes targets whose lifetime is over, and resumes those whose
// pause is, until ctx ends.
func (p *prober) watchLifetimes(ctx context.Context) {
	said := false
	every(ctx, time.Second, func() {
		now := time.Now()
		ended, paused := over(p.current.Load(), now), len(p.steered.Load().pausesOver(now)) > 0
		if !ended && !paused {
			return
		}
		err := p.do(ctx, func() error {
			if ended {
				if _, err := p.apply(p.base.With(now), false); err != nil {
					return err
				}
				p.added.expire(now)
				p.showSteered()
			}
			if names := p.steered.Load().pausesOver(now); len(names) > 0 {
				return p.resume(names...)
			}
			return nil
		})
		if failed := err != nil && ctx.Err() == nil; failed != said {
			if said = failed; failed {
				p.Log.Error("cannot remove targets whose lifetime is over", "error", err)
			}
		}
	})
}

// over says whether the lifetime of some target is over.
func over(cfg *config.Config, now time.Time) bool {
	for _, l := range cfg.TargetLists() {
		if at := l.Soonest(); !at.IsZero() && !at.After(now) {
			return true
		}
	}
	return false
}

// shownInventories is what the metrics say of inventories. Any goroutine may
// call it.
func (p *prober) shownInventories() []metrics.Inventory {
	cfg := p.current.Load()
	targets := map[string]int{}
	for _, l := range cfg.TargetLists() {
		targets[l.Inventory] = l.Len()
	}
	p.inventories.mu.Lock()
	defer p.inventories.mu.Unlock()
	var all []metrics.Inventory
	for i := range cfg.Inventories {
		name := cfg.Inventories[i].Name
		f := p.inventories.feeds[name]
		if f == nil {
			continue // not followed yet
		}
		shown := metrics.Inventory{Name: name, Targets: targets[name], Failures: f.failures.Load()}
		if ns := f.success.Load(); ns != 0 {
			shown.LastSuccess = time.Unix(0, ns)
		}
		all = append(all, shown)
	}
	return all
}
