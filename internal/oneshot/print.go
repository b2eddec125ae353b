// SPDX-License-Identifier: Apache-2.0

package oneshot

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/pkg/api"
)

// Formats are how a Printer writes.
var Formats = []string{"table", "json", "jsonl", "csv"}

// Printer shows a person or a program what comes of probing once. One goroutine uses
// it.
type Printer struct {
	Format                  string
	Quiet                   bool // no line for each answer
	Reachable, Unreachable  bool // list addresses that answered, or did not, and nothing else
	Out                     io.Writer
	Bar                     io.Writer // a terminal to show progress on; nil: there is none
	specs                   []api.TargetSpec
	planned                 uint64
	lines                   bool // answers are shown as they come
	out                     *bufio.Writer
	rows                    []row
	total                   *api.Summary
	began                   time.Time
	barred                  bool
	addrs, answered, silent int
	NotFound                int // names without an address
	err                     error
}

// row is one address.
type row struct {
	Target  string       `json:"target"`
	Address string       `json:"address"`
	Summary *api.Summary `json:"summary"`
}

// mostLined is how many probes are shown line by line, and mostRows how many
// addresses are one by one.
const (
	mostLined = 10
	mostRows  = 256
)

// Begin says what is about to be probed.
func (p *Printer) Begin(specs []api.TargetSpec) {
	p.specs, p.out, p.began = specs, bufio.NewWriterSize(p.Out, 1<<16), time.Now()
	p.lines = p.Format == "table" && !p.Quiet && !p.Reachable && !p.Unreachable && len(specs) <= mostLined
	for _, s := range specs {
		if strings.ContainsAny(s.Destination, "/*") {
			p.lines = false // a prefix may be many
		}
	}
}

// Lines says whether single probes are shown.
func (p *Printer) Lines() bool { return p.lines || p.Format == "jsonl" && !p.Quiet }

// Event shows one.
func (p *Printer) Event(e api.ProbeEvent) {
	switch e.Kind {
	case api.ProbeBegun:
		p.planned += e.Planned
	case api.ProbeNotFound:
		p.NotFound++
	case api.ProbeProgress:
		p.bar(e.Done)
		return
	case api.ProbeSummary:
		p.addrs++
		reached := e.Summary.Answered > 0
		if reached {
			p.answered++
		} else {
			p.silent++
		}
		if p.Reachable && reached || p.Unreachable && !reached {
			fmt.Fprintln(p.out, e.Address)
		}
		if p.Format == "json" || p.Format == "csv" || len(p.rows) <= mostRows {
			p.rows = append(p.rows, row{p.specs[e.Target].Name, e.Address, e.Summary})
		}
	case api.ProbeDone:
		p.total = e.Summary
	}
	switch {
	case p.Format == "jsonl":
		b, err := json.Marshal(e)
		if err == nil {
			_, err = p.out.Write(append(b, '\n'))
		}
		p.fail(err)
	case p.lines:
		p.line(&e)
	}
	if p.Lines() {
		p.fail(p.out.Flush())
	}
}

func (p *Printer) fail(err error) {
	if p.err == nil {
		p.err = err
	}
}

// line shows what became of one probe.
func (p *Printer) line(e *api.ProbeEvent) {
	who := func() string {
		t := &p.specs[e.Target]
		s := e.Address
		if t.DstPort != 0 {
			s += fmt.Sprintf(" port %d", t.DstPort)
		}
		return fmt.Sprintf("%s: seq=%d", s, e.Seq)
	}
	about := ""
	if e.Answer != "" {
		about = fmt.Sprintf(" %s ttl=%d", e.Answer, e.TTL)
		if e.From != "" && e.From != e.Address {
			about += " from " + e.From
		}
	}
	switch e.Kind {
	case api.ProbeNotFound:
		return // it is an error of its own
	case api.ProbeAnswered:
		trip := "time=?"
		if e.RoundTrip != nil {
			trip = "time=" + millis(*e.RoundTrip) + " ms"
		}
		if e.Marked {
			trip += " (uncertain: not in the figures)"
		}
		fmt.Fprintf(p.out, "%s%s %s\n", who(), about, trip)
	case api.ProbeRefused, api.ProbeLost:
		fmt.Fprintf(p.out, "%s lost: %s%s\n", who(), e.Cause, about)
	case api.ProbeUnknown:
		fmt.Fprintf(p.out, "%s unknown: %s\n", who(), e.Cause)
	case api.ProbeNotSent:
		fmt.Fprintf(p.out, "%s not sent: %s\n", who(), e.Cause)
	case api.ProbeDup:
		fmt.Fprintf(p.out, "%s%s (duplicate)\n", who(), about)
	case api.ProbeLate:
		fmt.Fprintf(p.out, "%s%s (late)\n", who(), about)
	case api.ProbeMissed:
		fmt.Fprintf(p.out, "%d lines are left out: they were not read in time\n", e.Done)
	}
}

func millis(seconds float64) string {
	return strconv.FormatFloat(seconds*1000, 'f', 3, 64)
}

const barWidth = 30

// bar shows how far it is, on a terminal, where no lines run over it.
func (p *Printer) bar(done uint64) {
	if p.Bar == nil || p.lines || p.planned == 0 {
		return
	}
	share := min(1, float64(done)/float64(p.planned))
	full := int(share * barWidth)
	p.barred = true
	took := time.Since(p.began)
	left := ""
	if share > 0 && share < 1 {
		left = fmt.Sprintf(", %v left", time.Duration(float64(took)*(1-share)/share).Round(time.Second))
	}
	fmt.Fprintf(p.Bar, "\r\x1b[K[%s%s] %.0f%%, %d of %d probes%s", strings.Repeat("=", full), strings.Repeat(" ", barWidth-full), 100*share, done, p.planned, left)
}

// End shows what it came to, and returns how many addresses answered and how many did
// not.
func (p *Printer) End() (answered, silent int, err error) {
	if p.barred {
		fmt.Fprint(p.Bar, "\r\x1b[K")
	}
	switch {
	case p.Reachable || p.Unreachable || p.Format == "jsonl":
	case p.Format == "json":
		e := json.NewEncoder(p.out)
		e.SetIndent("", "  ")
		p.fail(e.Encode(struct {
			Addresses []row        `json:"addresses"`
			Total     *api.Summary `json:"total"`
		}{p.rows, p.total}))
	case p.Format == "csv":
		p.csv()
	default:
		p.table()
	}
	p.fail(p.out.Flush())
	return p.answered, p.silent, p.err
}

// sums writes reasons and how often each came.
func sums(of map[string]uint64) string {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(of)) {
		if k == "" {
			parts = append(parts, fmt.Sprint(of[k]))
		} else {
			parts = append(parts, fmt.Sprintf("%d %s", of[k], k))
		}
	}
	return strings.Join(parts, ", ")
}

func loss(s *api.Summary) string {
	if r, ok := s.LossRatio(); ok {
		// 99.99% is not all, and 0.01% is not nothing.
		percent := math.Round(r*10000) / 100
		if s.Lost > 0 && percent == 0 {
			return "<0.01%"
		}
		if s.Lost < s.Sent && percent == 100 {
			return ">99.99%"
		}
		return strconv.FormatFloat(percent, 'f', -1, 64) + "%"
	}
	return "-"
}

func (p *Printer) table() {
	if p.lines && len(p.rows) > 0 {
		fmt.Fprintln(p.out)
	}
	if len(p.rows) > 0 && len(p.rows) <= mostRows {
		t := tabwriter.NewWriter(p.out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(t, "target\taddress\tsent\tanswered\tlost\tloss\tmin\tavg\tmax\tp50\tp95\tp99\tjitter\tdup\tlate\treordered")
		for _, r := range p.rows {
			s := r.Summary
			fmt.Fprintf(t, "%s\t%s\t%d\t%d\t%d\t%s\t%s\t%d\t%d\t%d\n", r.Target, r.Address, s.Sent, s.Answered, s.Lost, loss(s), strings.Join(figures(s.RoundTrip), "\t"), s.Duplicates, s.Late, s.Reordered)
		}
		p.fail(t.Flush())
		for _, r := range p.rows {
			if t := r.Summary.RoundTrip; t != nil && t.Uncertain {
				fmt.Fprintf(p.out, "%s: the round trips are uncertain: this host took long to send each probe\n", r.Address)
			}
			if c := r.Summary.Causes; len(c) > 0 && p.addrs == 1 && !p.lines { // of several the total has them
				fmt.Fprintf(p.out, "%s: lost: %s\n", r.Address, sums(c))
			}
			p.local(r.Address+": ", r.Summary)
		}
	}
	if s := p.total; s != nil && p.addrs != 1 {
		fmt.Fprintf(p.out, "%d addresses: %d answered, %d did not\n", p.addrs, p.answered, p.silent)
		fmt.Fprintf(p.out, "%d probes sent, %d answered, %d lost (%s)", s.Sent, s.Answered, s.Lost, loss(s))
		if len(s.Causes) > 0 {
			fmt.Fprintf(p.out, ": %s", sums(s.Causes))
		}
		fmt.Fprintf(p.out, "; %d duplicates, %d late, %d reordered\n", s.Duplicates, s.Late, s.Reordered)
		if s.RoundTrip != nil {
			f := figures(s.RoundTrip)
			fmt.Fprintf(p.out, "round trip min/avg/max %s/%s/%s ms, p50/p95/p99 %s/%s/%s ms, jitter %s ms", f[0], f[1], f[2], f[3], f[4], f[5], f[6])
			if s.RoundTrip.Approximate {
				fmt.Fprint(p.out, " (percentiles within 0.6%)")
			}
			fmt.Fprintln(p.out)
		}
		if len(p.rows) == 0 || len(p.rows) > mostRows {
			p.local("", s)
		}
	}
	if len(p.rows) > 0 && len(p.rows) <= mostRows {
		fmt.Fprintln(p.out, "round trips in ms")
	}
}

// local tells of failures of our own side.
func (p *Printer) local(who string, s *api.Summary) {
	if len(s.NotSent) > 0 {
		fmt.Fprintf(p.out, "%snot sent by this host, and no loss: %s\n", who, sums(s.NotSent))
	}
	if len(s.Unknown) > 0 {
		fmt.Fprintf(p.out, "%sunknown, since this host may have lost the answers: %s\n", who, sums(s.Unknown))
	}
}

// figures are min, avg, max, p50, p95, p99 and jitter in ms.
func figures(r *api.Trips) []string {
	if r == nil {
		return []string{"-", "-", "-", "-", "-", "-", "-"}
	}
	var out []string
	for _, v := range []float64{r.Min, r.Mean, r.Max, r.P50, r.P95, r.P99, r.Jitter} {
		out = append(out, millis(v))
	}
	return out
}

func (p *Printer) csv() {
	w := csv.NewWriter(p.out)
	p.fail(w.Write(strings.Split("target,address,sent,answered,lost,loss_ratio,min_seconds,mean_seconds,max_seconds,p50_seconds,p95_seconds,p99_seconds,jitter_seconds,duplicates,late,reordered,not_sent,unknown", ",")))
	float := func(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }
	for _, r := range p.rows {
		s := r.Summary
		ratio := ""
		if v, ok := s.LossRatio(); ok {
			ratio = float(v)
		}
		trips := make([]string, 7)
		if t := s.RoundTrip; t != nil {
			trips = []string{float(t.Min), float(t.Mean), float(t.Max), float(t.P50), float(t.P95), float(t.P99), float(t.Jitter)}
		}
		total := func(m map[string]uint64) (n uint64) {
			for _, v := range m {
				n += v
			}
			return n
		}
		line := append([]string{r.Target, r.Address, fmt.Sprint(s.Sent), fmt.Sprint(s.Answered), fmt.Sprint(s.Lost), ratio}, trips...)
		p.fail(w.Write(append(line, fmt.Sprint(s.Duplicates), fmt.Sprint(s.Late), fmt.Sprint(s.Reordered), fmt.Sprint(total(s.NotSent)), fmt.Sprint(total(s.Unknown)))))
	}
	w.Flush()
	p.fail(w.Error())
}
