// SPDX-License-Identifier: Apache-2.0

// Package logging makes the program's log: lines of text or of JSON, and of
// each kind no more than a person can follow, whatever the network or a client
// does.
package logging

import (
	"encoding"
	"encoding/json"
	"fmt"
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
func New(w io.Writer, asJSON bool, level slog.Leveler) *slog.Logger {
	o := &slog.HandlerOptions{Level: level}
	var h slog.Handler = slog.NewTextHandler(w, o)
	if asJSON {
		o.ReplaceAttr = worded
		h = slog.NewJSONHandler(w, o)
	}
	return slog.New(Limit(h, burst, refill))
}

// worded writes for JSON as text does what encoding/json would write as the number that
// it is made of: a time in nanoseconds, a reason by its place in a list.
func worded(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() == slog.KindDuration {
		a.Value = slog.StringValue(a.Value.Duration().String())
		return a
	}
	switch v := a.Value.Any().(type) {
	case error, json.Marshaler, encoding.TextMarshaler:
	case fmt.Stringer:
		a.Value = slog.StringValue(fmt.Sprint(v)) // also of one that is nil
	}
	return a
}
