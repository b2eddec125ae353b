// SPDX-License-Identifier: Apache-2.0

package prober

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/pkg/api"
)

// killEvery is how often safety.kill_file is looked for. Every worker stops at
// its next tick after that.
const killEvery = 100 * time.Millisecond

// obeyKillFile stops and resumes all sending until ctx ends, as safety.kill_file
// of the configuration that is carried out comes and goes.
func (p *prober) obeyKillFile(ctx context.Context) {
	every(ctx, killEvery, p.lookForKillFile)
}

// lookForKillFile looks once. Whatever stands in the way of looking stops
// nothing: a file that cannot be seen was not put there to be seen.
func (p *prober) lookForKillFile() {
	name := p.current.Load().Safety.KillFile
	there := false
	if name != "" {
		_, err := os.Lstat(name)
		there = err == nil
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !p.killUnseen {
			p.Log.Error("cannot look for safety.kill_file: it would not stop anything; let the user who runs this enter its folder", "error", err)
		}
		p.killUnseen = err != nil && !errors.Is(err, fs.ErrNotExist)
	}
	p.killMu.Lock()
	defer p.killMu.Unlock()
	p.killFile = there
	p.stopOrGoOn("safety.kill_file is there: "+name, "safety.kill_file is gone")
}

// setStopped stops all sending, or lets it go on, by the control API: at once, and
// also after a reload. Any goroutine may call it.
func (p *prober) setStopped(stop bool) {
	p.killMu.Lock()
	defer p.killMu.Unlock()
	p.killCall = stop
	p.stopOrGoOn("the control API was asked to", "the control API was asked to")
}

// stopOrGoOn carries out what safety.kill_file and the control API ask for
// together: either of them stops. killMu is held.
func (p *prober) stopOrGoOn(why, gone string) {
	stop := p.killFile || p.killCall
	if p.stopped.Swap(stop) == stop {
		return
	}
	p.app.Stopped.Store(stop)
	text := "sending goes on: " + gone
	if stop {
		text = "all sending is stopped: " + why
	}
	p.Log.Warn(text)
	p.hub.tell(api.Event{Type: api.EventSending, Text: text})
}

// whyStopped says who keeps everything from being sent, "" if nobody does. Any
// goroutine may call it.
func (p *prober) whyStopped() string {
	p.killMu.Lock()
	defer p.killMu.Unlock()
	var why []string
	if p.killFile {
		why = append(why, "safety.kill_file is there: remove it to go on")
	}
	if p.killCall {
		why = append(why, `the control API was asked to: "netprobe-xdp ctl start", which is POST /start, lets it go on`)
	}
	return strings.Join(why, "; ")
}
