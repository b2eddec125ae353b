// SPDX-License-Identifier: Apache-2.0

package ctl

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/netprobe-xdp/netprobe-xdp/internal/screen"
	"github.com/netprobe-xdp/netprobe-xdp/pkg/api"
	"github.com/netprobe-xdp/netprobe-xdp/pkg/client"
)

// latest is what a daemon said last.
type latest struct {
	info    *api.Info
	status  *api.Status
	targets *api.Targets
}

// view is what is on the screen of watch. One goroutine uses it.
type view struct {
	query client.Query // Offset is the first target that is shown
	rows  int          // of the terminal
	cols  int
	now   latest

	notice  string // about the connection
	help    bool
	editing bool   // the filter
	typed   string // of it
}

// action is what a key asks for beyond another look of the view.
type action int

const (
	nothing action = iota
	ask            // other targets are to be shown
	quit
)

// fixed is how many lines there are beside the table's rows: two on top, its
// heading, one at the bottom.
const fixed = 4

// room is how many targets fit.
func (v *view) room() int { return max(1, v.rows-fixed) }

var helpLines = []string{
	"q, Ctrl-C    end",
	"w            worst first",
	"n            by name",
	"l            by loss of the last round",
	"r            by round trip",
	"/            filter by name, destination, address or label; Enter takes it, Esc leaves it",
	"Esc          all targets again",
	"j k, arrows  one line; PgDn PgUp, space b: a page; g G, Home End: first, last",
	"?            this help; any key closes it",
}

// key takes one key, as keys names it.
func (v *view) key(k string) action {
	if k == "ctrl-c" {
		return quit
	}
	if v.help {
		v.help = false
		return nothing
	}
	if v.editing {
		return v.edit(k)
	}
	was := v.query
	total := 0
	if v.now.targets != nil {
		total = v.now.targets.Total
	}
	switch k {
	case "q":
		return quit
	case "?", "h":
		v.help = true
	case "/":
		v.editing, v.typed = true, v.query.Filter
	case "esc":
		v.query.Filter, v.query.Offset = "", 0
	case "w", "n", "l", "r":
		v.query.Sort = map[string]string{"w": "worst", "n": "name", "l": "loss", "r": "round_trip"}[k]
		v.query.Offset = 0
	case "j", "down":
		v.query.Offset++
	case "k", "up":
		v.query.Offset--
	case " ", "pgdn":
		v.query.Offset += v.room()
	case "b", "pgup":
		v.query.Offset -= v.room()
	case "g", "home":
		v.query.Offset = 0
	case "G", "end":
		v.query.Offset = total
	}
	v.query.Offset = max(0, min(v.query.Offset, total-v.room()))
	if v.query != was {
		return ask
	}
	return nothing
}

// edit takes one key of the filter.
func (v *view) edit(k string) action {
	switch k {
	case "esc":
		v.editing = false
	case "enter":
		v.editing = false
		v.query.Filter, v.query.Offset = v.typed, 0
		return ask
	case "backspace":
		_, n := utf8.DecodeLastRuneInString(v.typed)
		v.typed = v.typed[:len(v.typed)-n]
	case "ctrl-u":
		v.typed = ""
	default:
		if r, n := utf8.DecodeRuneInString(k); n == len(k) && unicode.IsPrint(r) && len(v.typed) < 200 {
			v.typed += k
		}
	}
	return nothing
}

// lines draws the view: rows lines of cols columns at the most.
func (v *view) lines() []string {
	var body []string
	switch {
	case v.help:
		body = append([]string{""}, helpLines...)
	case v.now.targets != nil && v.now.targets.Total == 0 && v.query.Filter != "":
		body = []string{"", "No target fits the filter; Esc shows all."}
	case v.now.targets != nil && v.now.targets.Total == 0:
		body = []string{"", "No targets."}
	case v.now.targets != nil:
		rows := fit(targetRows(v.now.targets.Targets, v.now.targets.Now), v.cols)
		body = screen.Align(rows, slices.Index(rows[0], "loss %"))
	}
	if most := max(0, v.rows-fixed+1); len(body) > most {
		body = body[:most]
	}
	lines := append([]string{v.title(), v.notice}, body...)
	for len(lines) < v.rows-1 {
		lines = append(lines, "")
	}
	lines = append(lines[:max(0, min(len(lines), v.rows-1))], v.footer())
	for i, l := range lines {
		lines[i] = screen.Cut(screen.Printable(l), v.cols)
	}
	return lines
}

func (v *view) title() string {
	s := v.now.status
	if s == nil {
		return "netprobe-xdp"
	}
	text := fmt.Sprintf("%s  %s  %d targets  %s probes/s  lost %d of %d%s", v.now.info.ProbeName, s.Now.Local().Format(time.TimeOnly),
		s.Targets, rate(s.PlannedPPS), s.Lost, s.Sent, share(s.Lost, s.Sent))
	if all := state(s); all != "healthy, ready" {
		text += "  " + all
	}
	return text
}

func (v *view) footer() string {
	if v.editing {
		return "filter: " + v.typed + "_"
	}
	var parts []string
	if t := v.now.targets; t != nil && t.Total > 0 {
		parts = append(parts, fmt.Sprintf("%d-%d of %d", v.query.Offset+1, min(t.Total, v.query.Offset+len(t.Targets)), t.Total))
	}
	parts = append(parts, "by "+strings.ReplaceAll(v.query.Sort, "_", " "))
	if v.query.Filter != "" {
		parts = append(parts, "filter "+v.query.Filter)
	}
	return strings.Join(append(parts, "? help, q quit"), "  ")
}

// take shows what a daemon said, or why it did not.
func (v *view) take(got latest, err error) {
	was := v.now.info
	switch {
	case err != nil && was == nil:
		v.notice = err.Error()
	case err != nil:
		v.notice = "AS IT WAS AT " + v.now.status.Now.Local().Format(time.TimeOnly) + "; asked again until it answers: " + err.Error()
	default:
		if was != nil && !was.Started.Equal(got.info.Started) {
			v.notice = "the daemon was restarted at " + got.info.Started.Local().Format(time.TimeOnly) + "; its totals begin anew"
		} else if strings.HasPrefix(v.notice, "AS IT WAS") || was == nil {
			v.notice = ""
		}
		v.now = got
	}
}
