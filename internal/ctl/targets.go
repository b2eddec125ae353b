// SPDX-License-Identifier: Apache-2.0

package ctl

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/netprobe-xdp/netprobe-xdp/internal/probe"
	"github.com/netprobe-xdp/netprobe-xdp/internal/screen"
	"github.com/netprobe-xdp/netprobe-xdp/pkg/api"
)

// targetsLeft is how many columns of the table of targets are flush left.
const targetsLeft = 3

// targetRows is the table of targets, its heading first: a row for each group of
// each, in their order. Loss and round trips are those of the last whole round,
// sent and lost since the start.
func targetRows(targets []api.Target, now time.Time) [][]string {
	percentiles := percentilesOf(targets)
	head := []string{"target", "address", "group", "loss %"}
	for _, p := range percentiles {
		head = append(head, "p"+p)
	}
	rows := [][]string{append(head, "max", "sent", "lost", "why")}
	for i := range targets {
		t := &targets[i]
		groups := t.Groups
		if len(groups) == 0 {
			groups = []api.GroupResult{{Group: "-"}}
		}
		for j := range groups {
			rows = append(rows, targetRow(t, &groups[j], percentiles, now))
		}
	}
	return clean(rows)
}

func targetRow(t *api.Target, g *api.GroupResult, percentiles []string, now time.Time) []string {
	address := cmp.Or(t.Address, t.Destination)
	if t.DstPort > 0 {
		if address += ":" + strconv.Itoa(int(t.DstPort)); t.Family == "ipv6" && strings.Count(address, ":") > 1 {
			address = "[" + cmp.Or(t.Address, t.Destination) + "]:" + strconv.Itoa(int(t.DstPort))
		}
	}
	row := []string{t.Name, address, g.Group, "-"}
	var trip *api.RoundTrip
	if g.Round != nil {
		if g.Round.LossRatio != nil {
			row[3] = percent(*g.Round.LossRatio)
		}
		trip = g.Round.RoundTrip
	}
	for _, p := range percentiles {
		cell := "-"
		if trip != nil {
			if v, ok := trip.Percentiles[p]; ok {
				cell = seconds(v)
			}
		}
		row = append(row, cell)
	}
	most := "-"
	if trip != nil {
		most = seconds(trip.Max)
	}
	return append(row, most, number(g.Sent), number(g.Lost), why(t, g, now))
}

// fit leaves out columns that matter less until the table fits so many columns, with
// some of the last one.
func fit(rows [][]string, cols int) [][]string {
	for _, drop := range []string{"address", "max", "group", "sent"} {
		at := slices.Index(rows[0], drop)
		if at < 0 || utf8.RuneCountInString(screen.Align(rows, targetsLeft)[0])+12 <= cols {
			continue
		}
		for i := range rows {
			rows[i] = slices.Delete(rows[i], at, at+1)
		}
	}
	return rows
}

// percentilesOf are those that any round of the targets has, ascending.
func percentilesOf(targets []api.Target) []string {
	all := map[string]bool{}
	for _, t := range targets {
		for _, g := range t.Groups {
			if g.Round != nil && g.Round.RoundTrip != nil {
				for p := range g.Round.RoundTrip.Percentiles {
					all[p] = true
				}
			}
		}
	}
	return slices.SortedFunc(maps.Keys(all), func(a, b string) int {
		x, _ := strconv.ParseFloat(a, 64)
		y, _ := strconv.ParseFloat(b, 64)
		return cmp.Or(cmp.Compare(x, y), cmp.Compare(a, b))
	})
}

// why says what a person should know of a target besides its figures.
func why(t *api.Target, g *api.GroupResult, now time.Time) string {
	var all []string
	if t.Paused {
		text := "paused"
		if t.Resumes != nil {
			text += " for " + age(t.Resumes.Sub(now))
		}
		all = append(all, text)
	} else if g.Round == nil {
		text := "no round yet"
		if t.Address == "" {
			text = "no address to probe: the log says why"
		}
		all = append(all, text)
	}
	if g.Lost > 0 {
		all = append(all, "lost: "+counts(g.Causes))
		if len(g.ICMPErrors) > 0 {
			all = append(all, "ICMP type/code: "+counts(g.ICMPErrors))
		}
	}
	if text := counts(g.NotSent); text != "0" {
		all = append(all, "not sent: "+text)
	}
	if text := counts(g.Unknown); text != "0" {
		all = append(all, "unknown: "+text)
	}
	if g.Round != nil && g.Round.RoundTrip != nil && g.Round.RoundTrip.Uncertain {
		all = append(all, "round trips all uncertain")
	}
	if t.Source == "api" {
		text := "of " + t.Owner
		if t.Expires != nil {
			text += ", for " + age(t.Expires.Sub(now))
		}
		all = append(all, text)
	}
	return strings.Join(all, "; ")
}

// WriteTargets writes a table of targets, and how many more there are.
func WriteTargets(w io.Writer, t *api.Targets) error {
	if t.Total == 0 {
		_, err := fmt.Fprintln(w, "no targets")
		return err
	}
	if err := write(w, targetRows(t.Targets, t.Now), targetsLeft); err != nil {
		return err
	}
	if len(t.Targets) < t.Total {
		_, err := fmt.Fprintf(w, "%d of %d targets; --limit and --offset show others\n", len(t.Targets), t.Total)
		return err
	}
	return nil
}

// WriteTarget writes one target and its paths.
func WriteTarget(w io.Writer, t *api.TargetDetail, now time.Time) error {
	rows := [][]string{
		{"target", t.Name},
		{"probed by", fmt.Sprintf("%s to %s %s", t.Type, t.Destination, t.Family)},
		{"from", t.Source},
	}
	for _, r := range [][]string{{"address", t.Address}, {"port", port(t.DstPort)}, {"interface", t.Interface}, {"state", t.State}, {"alert level", t.AlertLevel}, {"owner", t.Owner}} {
		if r[1] != "" {
			rows = append(rows, r)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(t.Labels)) {
		rows = append(rows, []string{"label " + name, t.Labels[name]})
	}
	if t.ThresholdLossPercent != nil {
		rows = append(rows, []string{"threshold", fmt.Sprintf("loss above %g %%", *t.ThresholdLossPercent)})
	}
	if t.ThresholdLatencySeconds != nil {
		rows = append(rows, []string{"threshold", "round trip above " + seconds(*t.ThresholdLatencySeconds)})
	}
	if err := write(w, clean(rows), 2); err != nil {
		return err
	}
	if _, err := fmt.Fprintln(w, "\nLoss and round trips of the last round; sent and lost since the start:"); err != nil {
		return err
	}
	if err := write(w, targetRows([]api.Target{t.Target}, now), targetsLeft); err != nil {
		return err
	}
	if len(t.Paths) == 0 {
		return nil
	}
	if _, err := fmt.Fprintln(w, "\nPaths, worst first, over the last rounds, the newest on the right: . all answered, 1 to 9 tenths lost,\nX all lost, - nothing sent:"); err != nil {
		return err
	}
	if err := write(w, pathRows(t.Paths, t.Type), 4); err != nil || t.PathsTotal <= len(t.Paths) {
		return err
	}
	_, err := fmt.Fprintf(w, "\nThese are the first %d of %d paths.\n", len(t.Paths), t.PathsTotal)
	return err
}

func port(n uint16) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(int(n))
}

// pathRows is the table of paths of a target of some type, worst first. Those that are
// broken say so.
func pathRows(paths []api.Path, of string) [][]string {
	paths = slices.Clone(paths)
	slices.SortStableFunc(paths, func(a, b api.Path) int {
		return cmp.Or(cmp.Compare(lossOf(&b), lossOf(&a)), cmp.Compare(a.Group, b.Group), byAddress(a.Remote, b.Remote), cmp.Compare(a.SourcePort, b.SourcePort))
	})
	var sent, answered int
	for i := range paths {
		sent += paths[i].Sent
		answered += paths[i].Answered
	}
	with := " "
	if of == probe.ICMPping.Name {
		with = " id " // it has no port
	}
	rows := [][]string{{"group", "from", "to", "rounds", "sent", "answered", "loss %", "mean", ""}}
	for i := range paths {
		p := &paths[i]
		from := "-" // nothing left yet
		if p.Local != "" || p.SourcePort > 0 {
			from = cmp.Or(p.Local, "-") + with + strconv.Itoa(int(p.SourcePort))
		}
		row := []string{p.Group, from, p.Remote, strip(p.Rounds),
			strconv.Itoa(p.Sent), strconv.Itoa(p.Answered), "-", "-", ""}
		if loss := lossOf(p); loss >= 0 {
			row[6] = percent(loss)
			if stands(p, sent-p.Sent, answered-p.Answered, len(paths)) {
				sent, answered = sent-p.Sent, answered-p.Answered // the next ones are not compared with it
				if row[8] = "<== worse than the others"; loss == 1 {
					row[8] = "<== BROKEN: nothing is answered on this path, and on others it is"
				}
			}
		}
		if p.RoundTrip > 0 {
			row[7] = seconds(p.RoundTrip)
		}
		rows = append(rows, row)
	}
	return clean(rows)
}

// byAddress compares addresses as numbers, so that .9 is before .10.
func byAddress(a, b string) int {
	x, _ := netip.ParseAddr(a)
	y, _ := netip.ParseAddr(b)
	return cmp.Or(x.Compare(y), cmp.Compare(a, b))
}

// lossOf is the share of a path's probes that were not answered, -1 where none
// was sent.
func lossOf(p *api.Path) float64 {
	if p.Sent == 0 {
		return -1
	}
	return float64(p.Sent-p.Answered) / float64(p.Sent)
}

// stands says whether a path is worse than the others, of which so many probes were
// sent and answered, by more than chance: at their loss, such a one would be among so
// many paths in one case of a thousand at the most.
func stands(p *api.Path, sent, answered, paths int) bool {
	if sent == 0 || answered == 0 {
		return false
	}
	// A loss of 0 may be one that was not seen yet.
	usual := max(1/float64(sent+1), float64(sent-answered)/float64(sent))
	if lossOf(p) <= usual {
		return false
	}
	// The upper tail of the binomial distribution, summed from its far end.
	tail := 0.0
	for k := p.Sent; k >= p.Sent-p.Answered; k-- {
		a, _ := math.Lgamma(float64(p.Sent + 1))
		b, _ := math.Lgamma(float64(k + 1))
		c, _ := math.Lgamma(float64(p.Sent - k + 1))
		tail += math.Exp(a - b - c + float64(k)*math.Log(usual) + float64(p.Sent-k)*math.Log(1-usual))
	}
	return tail*float64(paths) < 0.001
}

// strip draws rounds that are given newest first, one character each.
func strip(rounds []api.PathRound) string {
	var b strings.Builder
	for _, r := range slices.Backward(rounds) {
		lost := int(r.Sent) - int(r.Answered)
		switch {
		case r.Sent == 0:
			b.WriteByte('-')
		case lost <= 0:
			b.WriteByte('.')
		case r.Answered == 0:
			b.WriteByte('X')
		default:
			b.WriteByte('0' + byte(min(9, max(1, 10*lost/int(r.Sent)))))
		}
	}
	return b.String()
}

// WriteReloaded writes what a change did, item by item.
func WriteReloaded(w io.Writer, r *api.Reloaded) error {
	var b strings.Builder
	for _, part := range []struct {
		what  string
		names []string
	}{{"enabled", r.Enabled}, {"updated", r.Updated}, {"disabled", r.Disabled}} {
		for _, n := range part.names {
			fmt.Fprintf(&b, "%-8s  %s\n", part.what, screen.Printable(n))
		}
	}
	for _, f := range r.Failed {
		fmt.Fprintf(&b, "%-8s  %s: %s\n", "failed", screen.Printable(f.Field), screen.Printable(f.Detail))
	}
	fmt.Fprintf(&b, "%d enabled, %d updated, %d disabled, %d failed, %d unchanged\n", len(r.Enabled), len(r.Updated), len(r.Disabled), len(r.Failed), r.Unchanged)
	_, err := io.WriteString(w, b.String())
	return err
}
