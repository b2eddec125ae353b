// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/config"
)

// Settings are what of its options may change while an engine works.
type Settings struct {
	Interval      time.Duration // of every target
	ForeignSource bool
	Lists         *config.Lists // the same pointer where they are the same
}

// Configure changes the settings. Another interval is for targets that are
// added from now on; those that are there must be removed first.
func (e *Engine) Configure(s Settings) {
	e.mu.Lock()
	e.Interval = s.Interval
	e.interval.Store(int64(s.Interval))
	again := e.ForeignSource != s.ForeignSource || e.Lists != s.Lists
	e.ForeignSource, e.Lists = s.ForeignSource, s.Lists
	e.mu.Unlock()
	if again { // what could not be sent may now, and the other way round
		e.rebind()
	}
}
