// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/lab"
)

// watcher looks at the program from outside. One goroutine uses it.
type watcher struct {
	rig     *rig
	process *lab.Process
	report  *report
	counted tally
}

// tally adds up the counters of targets, those that are gone included as they
// were seen last.
type tally struct {
	last map[string]float64 // by series
	gone map[string]float64 // by what they count
}

// look scrapes once and notes what the process needs.
func (w *watcher) look() error {
	page, err := w.scrape()
	if err != nil {
		return err
	}
	r := w.report
	u, err := usage(w.process.PID(), r.scenario.workers)
	if err != nil {
		return err
	}
	u.at = time.Since(r.begin)
	r.Lag = max(r.Lag, page.lag)
	r.ReloadFailed = r.ReloadFailed || page.reloadFailed
	r.sums = page.sums
	u.sent, u.marked = r.sum("sent"), r.sum("marked")
	r.usage = append(r.usage, u)
	progress("%s %v: sent %.0f, lost %.0f, not sent %.0f, unknown %.0f, marked %.0f; %.0f MB, %d descriptors, %.0f%% of a core", r.scenario.name, u.at.Round(time.Second),
		r.sum("sent"), r.sum("lost"), r.sum("not sent"), r.sum("unknown"), r.sum("marked"), u.rss/1e6, u.fds, 100*u.cpu.Seconds()/u.at.Seconds())
	return nil
}

// end takes the link away, so that nothing more is sent, and compares what the
// program counted with what the responder saw once all rounds are whole.
func (w *watcher) end(s scenario) error {
	r := w.report
	r.Ran = time.Since(r.begin)
	w.rig.far.SetUp(false)
	if err := w.rig.lab.Err(); err != nil {
		return err
	}
	time.Sleep(s.interval + timeout + time.Second)
	if err := w.look(); err != nil {
		return err
	}
	var err error
	r.Wire, err = w.rig.wire()
	return err
}

// page is what one scrape says in all.
type page struct {
	sums         map[string]map[string]float64 // by what, and by reason
	lag          float64
	reloadFailed bool
}

// families are the counters that are added up, by the end of their names.
var families = []struct{ suffix, what, label string }{
	{"netprobe_not_sent_total", "not sent", "reason"},
	{"netprobe_lost_total", "lost by cause", "cause"},
	{"netprobe_unknown_total", "unknown", "reason"},
	{"netprobe_samples_marked_total", "marked", ""},
	{"netprobe_duplicates_total", "duplicates", ""},
	{"netprobe_late_total", "late", ""},
	{"netprobe_reordered_total", "reordered", ""},
	{"netprobe_ring_dropped_total", "ring dropped", ""},
	{"netprobe_steered_total", "steered", ""},
	{"_sent_total", "sent", ""},
	{"_loss_total", "lost", ""},
}

// scrape reads the page as it comes: it is large.
func (w *watcher) scrape() (*page, error) {
	client := lab.HTTPClient(w.rig.prober.Do, time.Minute)
	client.Transport.(*http.Transport).DisableCompression = true // its cost is not what is looked at
	resp, err := client.Get("http://127.0.0.1:8000/metrics")
	if err != nil {
		return nil, fmt.Errorf("scrape the program: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("scrape the program: %s", resp.Status)
	}
	return w.counted.read(resp.Body, w.report.scenario.churn > 0)
}

// read adds up a page. With remember, series that are gone since the last page,
// or began anew, keep what they had.
func (t *tally) read(from io.Reader, remember bool) (*page, error) {
	p := &page{sums: map[string]map[string]float64{}}
	add := func(what string, v float64) {
		what, reason, _ := strings.Cut(what, "/")
		if p.sums[what] == nil {
			p.sums[what] = map[string]float64{}
		}
		p.sums[what][reason] += v
	}
	now := map[string]float64{}
	lines := bufio.NewScanner(from)
	for lines.Scan() {
		line := lines.Text()
		if line == "" || line[0] == '#' {
			continue
		}
		i := strings.LastIndexByte(line, ' ')
		series := line[:i]
		v, err := strconv.ParseFloat(line[i+1:], 64)
		if err != nil {
			return nil, fmt.Errorf("the page has %q: %w", line, err)
		}
		name, _, _ := strings.Cut(series, "{")
		switch name {
		case "netprobe_schedule_lag_seconds":
			p.lag = max(p.lag, v)
		case "app_reload_conf_failed_status":
			p.reloadFailed = v > 0
		}
		if what := whatOf(series); what != "" {
			add(what, v)
			if remember {
				now[series] = v
			}
		}
	}
	if remember {
		for series, v := range t.last {
			if again, there := now[series]; !there || again < v {
				t.gone[whatOf(series)] += v
			}
		}
		t.last = now
		for what, v := range t.gone {
			add(what, v)
		}
	}
	return p, lines.Err()
}

// whatOf is what a series counts, and for which reason; "" when it is not added up.
func whatOf(series string) string {
	name, labels, _ := strings.Cut(series, "{")
	for _, f := range families {
		if strings.HasSuffix(name, f.suffix) {
			return f.what + "/" + value(labels, f.label)
		}
	}
	return ""
}

// value is that of a label; "" where there is none.
func value(labels, name string) string {
	if name == "" {
		return ""
	}
	_, rest, _ := strings.Cut(labels, name+`="`)
	v, _, _ := strings.Cut(rest, `"`)
	return v
}

// tail is the end of what the program said.
func tail(s string) string {
	if n := 1500; len(s) > n {
		return "... " + s[len(s)-n:]
	}
	return s
}
