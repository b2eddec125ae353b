// SPDX-License-Identifier: Apache-2.0

// Package logging makes the program's log: lines of text or of JSON, and of
// each kind no more than a person can follow, whatever the network or a client
// does.
package logging

import (
	"io"
	"log/slog"
	"time"
)

// What one place in the code may say: so many lines at once, and another each
// time that refill passes. A reload says up to 21 lines of faults, so those fit.
const (
	burst  = 50
	refill = 5 * time.Second
)

// New returns a logger that writes to w, as JSON or as text, what is at least of
// the level. Any goroutine may use it.
func New(w io.Writer, json bool, level slog.Leveler) *slog.Logger {
	o := &slog.HandlerOptions{Level: level}
	var h slog.Handler = slog.NewTextHandler(w, o)
	if json {
		h = slog.NewJSONHandler(w, o)
	}
	return slog.New(Limit(h, burst, refill))
}
