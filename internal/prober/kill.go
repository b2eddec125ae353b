// SPDX-License-Identifier: Apache-2.0

package prober

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"time"
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
	if p.stopped.Swap(there) == there {
		return
	}
	p.app.Stopped.Store(there)
	if there {
		p.Log.Warn("all sending is stopped: safety.kill_file is there; remove it to go on", "file", name)
	} else {
		p.Log.Warn("sending goes on: safety.kill_file is gone", "file", name)
	}
}
