// SPDX-License-Identifier: Apache-2.0

package prober

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/config"
)

// reload loads the configuration again and carries it out, or says what is
// wrong with it and changes nothing. Any goroutine may call it but control's.
func (p *prober) reload(ctx context.Context) (Report, error) {
	p.reloading.Lock()
	defer p.reloading.Unlock()
	p.Notify.Reloading()
	defer func() { p.Notify.Ready(p.status()) }()
	before := p.loaded
	p.loaded = p.fingerprint() // before it is read: what is written meanwhile is a change
	report, carried, err := p.loadAndApply(ctx)
	if errors.Is(err, errEnded) || ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		p.loaded = before // whoever asked did not wait: it was not begun
		return report, fmt.Errorf("reload the configuration: %w", err)
	}
	p.app.ReloadFailed.Store(err != nil)
	p.hub.tell(reloadDone(report, err))
	if err == nil {
		return report, nil
	}
	if carried {
		p.Log.Error("the configuration is reloaded, but not all of it could be carried out; reload it again")
	} else {
		p.Log.Error("the configuration is not reloaded; probing goes on with the one before")
	}
	p.logFaults(err)
	return report, err
}

// loadAndApply also says whether the configuration is another one now, which it
// may be on an error too.
func (p *prober) loadAndApply(ctx context.Context) (report Report, carried bool, err error) {
	var next *config.Config
	apply := func() error {
		before := p.cfg
		report, err = p.apply(p.relist(next), true)
		if carried = p.cfg != before; carried {
			p.inventories.follow(p)
			p.showSteered()
		} else {
			p.added.rejudge(p.base)
		}
		return err
	}
	if p.byDefault() { // it is made of what control knows
		err = p.do(ctx, func() error {
			if next, err = p.load(); err != nil {
				return err
			}
			return apply()
		})
		return report, carried, err
	}
	if next, err = p.load(); err != nil {
		return report, false, err
	}
	err = p.do(ctx, apply)
	return report, carried, err
}

// maxFaultsLogged bounds the faults of one reload that are logged; check names
// all of them.
const maxFaultsLogged = 20

func (p *prober) logFaults(err error) {
	faults, ok := errors.AsType[config.Faults](err)
	if !ok {
		p.Log.Error(err.Error())
		return
	}
	for i, f := range faults {
		if i == maxFaultsLogged {
			p.Log.Error("there are more faults; check names them all", "more", len(faults)-i)
			return
		}
		p.Log.Error(f.String())
	}
}

// lookEvery is how often the files of the configuration are looked at under
// engine.reload_on_change. They are asked for and not watched: that sees what
// every way of replacing a file does, a symbolic link on the way included, on every
// file system, and has no limit to run into.
const lookEvery = 500 * time.Millisecond

// watchReloads reloads the configuration whenever that is asked for, until ctx
// ends: by Hangup, by global.reload_conf_interval, or by a change of its files
// under engine.reload_on_change.
func (p *prober) watchReloads(ctx context.Context) {
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	last := time.Now() // time of the last reload from here
	var changed string // fingerprint of files that changed, when last looked at
	for {
		cfg := p.current.Load()
		select {
		case <-ctx.Done():
			return
		case <-p.Hangup:
			p.Log.Info("SIGHUP: reloading the configuration")
		case <-look.C:
			every, now := cfg.Global.ReloadConfInterval, ""
			if cfg.Engine.ReloadOnChange {
				if now = p.fingerprint(); now == p.lastLoaded() {
					now = ""
				}
			}
			// A file that changes still may not be whole yet.
			settled := now != "" && now == changed
			changed = now
			if !settled && (every == 0 || time.Since(last) < every) {
				continue
			}
			if settled {
				p.Log.Info("the configuration changed: reloading it")
			}
		}
		last = time.Now()
		_, _ = p.reload(ctx) // it says itself what is wrong
	}
}

func (p *prober) lastLoaded() string {
	p.reloading.Lock()
	defer p.reloading.Unlock()
	return p.loaded
}
