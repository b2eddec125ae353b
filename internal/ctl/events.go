// SPDX-License-Identifier: Apache-2.0

package ctl

import (
	"fmt"
	"strings"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/probe"
	"github.com/netprobe-xdp/netprobe-xdp/internal/screen"
	"github.com/netprobe-xdp/netprobe-xdp/pkg/api"
)

const clock = "15:04:05.000"

// EventLine is one line about an event of a daemon.
func EventLine(e *api.Event) string {
	text := e.Text
	if text == "" && e.Round != nil {
		text = fmt.Sprintf("%s, group %s: %d sent, %d lost", e.Target, e.Group, e.Round.Sent, e.Round.Lost)
	}
	return screen.Printable(fmt.Sprintf("%s  %-9s  %s", e.Time.Local().Format(time.DateTime), e.Type, text))
}

// DebugLine is one line about what became of a probe of a target of some type.
func DebugLine(e *api.ProbeEvent, of string) string {
	parts := []string{e.Time.Local().Format(clock), fmt.Sprintf("%-9s", e.Kind)}
	add := func(format string, args ...any) { parts = append(parts, fmt.Sprintf(format, args...)) }
	switch e.Kind {
	case api.ProbeBegun:
		add("%s, %d probes", e.Address, e.Planned)
	case api.ProbeProgress:
		add("%d of %d", e.Done, e.Planned)
	case api.ProbeMissed:
		add("%d events left out", e.Done)
	case api.ProbeDone:
		if s := e.Summary; s != nil {
			add("%d sent, %d answered, %d lost", s.Sent, s.Answered, s.Lost)
		}
	case api.ProbeFailed:
		if e.Problem != nil {
			add("%v", e.Problem)
		}
	default:
		add("#%d", e.Seq)
		if e.Address != "" {
			add("%s", e.Address)
		}
		if e.SourcePort > 0 {
			add("%s", from(of, e.SourcePort))
		}
		if e.RoundTrip != nil {
			add("%s", seconds(*e.RoundTrip))
		}
		if text := strings.TrimSpace(e.Answer + " " + e.Cause); text != "" {
			add("%s", text)
		}
		if e.From != "" {
			add("by %s", e.From)
		}
	}
	if e.Why != "" {
		add("- %s", e.Why)
	}
	return screen.Printable(strings.TrimRight(strings.Join(parts, "  "), " "))
}

// from says what a probe leaves with that its path depends on: pings have no port, but
// an identifier.
func from(of string, n uint16) string {
	if of == probe.ICMPping.Name {
		return fmt.Sprintf("with identifier %d", n)
	}
	return fmt.Sprintf("from port %d", n)
}
