// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/netprobe-xdp/netprobe-xdp/internal/generated"
	"github.com/netprobe-xdp/netprobe-xdp/internal/result"
)

const referenceIntro = generated.Notice + `
What the figures mean, and how netprobify's are kept, is in [metrics.md](../metrics.md). "Target labels" are ` +
	"`probe_name`, `destination` (the target's name), `address_family`, `state`, `group`" + `.
A series of ours with target labels appears once it is not zero.
`

const targetLabels = "probe_name,destination,address_family,state,group"

// TestReference: docs/reference/metrics.md has each family of the page, with its
// type, labels and HELP, and what the values of reason and cause mean.
func TestReference(t *testing.T) {
	families := parse(t, get(t, New(sample())))
	var theirs, ours, process []string
	for _, name := range slices.Sorted(maps.Keys(families)) {
		switch {
		case strings.HasPrefix(name, "process_"):
			process = append(process, name)
		case strings.HasPrefix(name, "netprobe_"):
			ours = append(ours, name)
		default:
			theirs = append(theirs, name)
		}
	}
	table := func(names []string) string {
		rows := [][]string{{"series", "type", "labels", "meaning"}}
		for _, name := range names {
			f := families[name]
			var labels []string
			all := strings.Join(f.labels, ",")
			if rest, ok := strings.CutPrefix(all, targetLabels); ok {
				labels, all = append(labels, "target labels"), strings.TrimPrefix(rest, ",")
			}
			for l := range strings.SplitSeq(all, ",") {
				if strings.HasPrefix(l, "label_") {
					l = "label_NAME"
				}
				if l = generated.Code(l); l != "" && !slices.Contains(labels, l) {
					labels = append(labels, l)
				}
			}
			rows = append(rows, []string{generated.Code(name), f.typ, strings.Join(labels, ", "), f.help})
		}
		return generated.Table(rows)
	}
	why := func(head string, n int, of func(int) (name, meaning string)) string {
		rows := [][]string{{head, "meaning"}}
		for i := range n {
			name, meaning := of(i)
			rows = append(rows, []string{generated.Code(name), meaning})
		}
		return generated.Table(rows)
	}
	snap := result.Snapshot{}
	generated.Page(t, "metrics.md", "# Series\n\n"+referenceIntro+
		"\n## Our own\n\n"+table(ours)+
		"\n### Reasons of netprobe_not_sent_total\n\n"+why("reason", len(snap.NotSent), func(i int) (string, string) { return result.Reason(i).String(), result.Reason(i).Meaning() })+
		"\n### Causes of netprobe_lost_total\n\n"+why("cause", len(snap.Causes), func(i int) (string, string) { return result.Cause(i).String(), result.Cause(i).Meaning() })+
		"\n### Reasons of netprobe_unknown_total\n\n"+why("reason", len(snap.Unknown), func(i int) (string, string) { return result.Doubt(i).String(), result.Doubt(i).Meaning() })+
		"\n## netprobify's\n\nUnder netprobify's names, with its types, labels and help texts.\n\n"+table(theirs)+
		"\n## Of the process\n\n"+table(process))
}
