// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/probe"
	"github.com/netprobe-xdp/netprobe-xdp/internal/result"
)

var (
	tcp  = mustType("TCPsyn")
	icmp = mustType("ICMPping")
	udp  = mustType("UDPunreachable")
)

func mustType(name string) *probe.Type {
	t, ok := probe.Lookup(name)
	if !ok {
		panic(name)
	}
	return t
}

// add puts an empty series into the store.
func add(st *result.Store, t *probe.Type, destination, family, state, group string, percentiles ...int) *result.Series {
	s := result.NewSeries(result.Labels{Metric: t.Metric, Destination: destination, Family: family, State: state, Group: group}, percentiles)
	st.Add(s)
	return s
}

// publish ends a round with these round trips and this many losses.
func publish(s *result.Series, lost int, roundTrips ...time.Duration) {
	r := result.NewRound(lost + len(roundTrips))
	for _, rtt := range roundTrips {
		r.Sent++
		r.Answer(rtt, false)
	}
	for range lost {
		r.Sent++
		r.Lose(result.Timeout)
	}
	s.Publish(&r, time.Unix(1700000000, 0))
}

// sample is a store and its surroundings with at least one series in every
// family.
func sample() Options {
	st := new(result.Store)
	us := time.Microsecond

	web := add(st, tcp, "web.example", "ipv4", "in production", "transit1", 95, 50)
	publish(web, 1, 1000*us, 2000*us, 3000*us)
	publish(web, 0, 250*us, 250*us)
	web.Duplicate()
	web.LateAnswer()
	web.ICMPError(3, 13)
	web.ICMPError(3, 13)
	web.ICMPError(11, 0)
	web.Reorder()
	web.TTLChange()

	for _, group := range []string{"standard", "transit1"} {
		both := add(st, tcp, "both", "ipv4", "", group, 95)
		publish(both, 0, 250*us)
		both.Unmatch()
		if group == "standard" {
			both.Unmatch()
			both.ClockFault()
		}
	}

	dark := add(st, tcp, "dark", "ipv6", "", "standard", 95)
	publish(dark, 4)

	r := result.NewRound(3)
	r.Sent = 3
	r.Answer(70*us, false)
	r.Answer(9000*us, true)
	r.Lose(result.NoNeighbour)
	r.Skip(result.RingFull)
	ping := add(st, icmp, "gateway", "ipv4", "validation", "standard", 95)
	ping.Publish(&r, time.Unix(1700000000, 0))

	vague := result.NewRound(2)
	vague.Sent = 3
	vague.Answer(40*us, true)
	vague.Answer(60*us, true)
	vague.Unknown(result.RingOverflow)
	add(st, icmp, "vague", "ipv4", "validation", "standard", 95).Publish(&vague, time.Unix(1700000000, 0))

	spread := add(st, icmp, "spread", "ipv6", "validation", "standard", 95)
	spread.KeepHistogram()
	publish(spread, 0, 15*us, 30*us, 30*us)

	closed := add(st, udp, "ns1", "ipv4", "None", "standard", 50)
	publish(closed, 1, 500*us)

	loss, latency := 10.0, 0.2
	app := new(App)
	app.SetIterationTime(1500 * time.Millisecond)
	app.AddRepeated(map[string]uint64{"racks_web1": 1})
	app.AddRepeated(map[string]uint64{"racks_web1": 1, "racks_ns1": 1})
	var took atomic.Int64
	took.Store(int64(25 * time.Millisecond))
	return Options{
		Store: st, ProbeName: func() string { return "probe1" }, Version: "1.2.3", Revision: "abc", App: app,
		Log: slog.New(slog.DiscardHandler),
		Push: func() Push {
			return Push{Active: true, Delivered: 5, Failed: 4, Full: 3, Refused: 2, Pages: 1, Bytes: 99}
		},
		Targets: func() []*Target {
			return []*Target{
				{Type: tcp, Destination: "web.example", Family: "ipv4", State: "in production", AlertLevel: "paging",
					Groups: []string{"transit1", "standard"}, Address: "192.0.2.1", Port: 443,
					Labels: []Label{{"env", "lab"}, {"rack", "b\"7"}}, ThresholdLoss: &loss, ThresholdLatency: &latency, Resolution: Resolved, ResolutionChanges: 2, ResolutionTook: &took},
				{Type: tcp, Destination: "dark", Family: "ipv6", Resolution: ResolutionFailed, Port: 80, ResolutionTook: new(atomic.Int64)},
				{Type: icmp, Destination: "gateway", Family: "ipv4", Address: "192.0.2.254"},
				{Type: udp, Destination: "ns1", Family: "ipv4", Address: "192.0.2.53", Port: 33434, Resolution: Resolved},
			}
		},
		Inventories: func() []Inventory {
			return []Inventory{{Name: "racks", Targets: 3, LastSuccess: time.Unix(1700000000, 5e8), Failures: 2}, {Name: "cmdb", Failures: 1}}
		},
		Links: func() []Link {
			return []Link{{Interface: "veth0", Mode: "native", Bind: "copy", ReceiveClock: "xdp", ScheduleLag: 1500 * time.Nanosecond,
				Queues:  []Queue{{ID: 0, Steered: 9, Passed: 12}, {ID: 1, RxRingFull: 2, FillRingEmpty: 1}},
				Foreign: 5, ClockFaults: 6,
				PassedReasons: []ReasonCount{{"bare_rst", 4}, {"not_ours", 8}}}}
		},
	}
}

// get returns the body of the page.
func get(t testing.TB, h http.Handler) string {
	t.Helper()
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if rec.Code != http.StatusOK {
		t.Fatalf("GET /metrics: %d", rec.Code)
	}
	return rec.Body.String()
}

// parsed is a family as read back from a page.
type parsed struct {
	typ, help string
	samples   map[string]string // labels as written → value
	labels    []string          // label names of the first sample, in order
}

// parse reads a page and fails the test when HELP, TYPE and samples of a family
// do not stand together in this order, or a sample is there twice.
func parse(t testing.TB, page string) map[string]*parsed {
	t.Helper()
	if !strings.HasSuffix(page, "\n") {
		t.Fatal("the page does not end with a line feed")
	}
	families := map[string]*parsed{}
	var name string
	for line := range strings.Lines(page) {
		line = strings.TrimSuffix(line, "\n")
		if help, ok := strings.CutPrefix(line, "# HELP "); ok {
			name, help, _ = strings.Cut(help, " ")
			if families[name] != nil {
				t.Errorf("family %s twice", name)
			}
			families[name] = &parsed{help: help, samples: map[string]string{}}
			continue
		}
		if typ, ok := strings.CutPrefix(line, "# TYPE "+name+" "); ok {
			families[name].typ = typ
			continue
		}
		rest, ok := strings.CutPrefix(line, name)
		f := families[name]
		if !ok || f == nil || f.typ == "" {
			t.Fatalf("line outside of its family %s: %q", name, line)
		}
		at := strings.LastIndexByte(rest, ' ')
		labels, value := rest[:at], rest[at+1:]
		if _, err := strconv.ParseFloat(value, 64); err != nil {
			t.Errorf("%q: %v", line, err)
		}
		if _, dup := f.samples[labels]; dup {
			t.Errorf("sample twice: %q", line)
		}
		if f.typ == "histogram" { // three series in one family, and one label that only the first has
			labels = strings.TrimPrefix(labels, "_bucket")
			switch {
			case strings.HasPrefix(labels, "_sum"), strings.HasPrefix(labels, "_count"):
				f.samples[labels] = value
				continue
			}
		}
		if len(f.samples) == 0 {
			f.labels = labelNames(labels)
		} else if got := labelNames(labels); name != targetInfo.name && !slices.Equal(got, f.labels) {
			t.Errorf("%s: labels %v and %v in one family", name, f.labels, got)
		}
		f.samples[labels] = value
	}
	return families
}

// labelNames takes the names out of {a="x",b="y"}; the fixtures' values hold no
// comma or equals sign.
func labelNames(s string) []string {
	s = strings.Trim(s, "{}")
	if s == "" {
		return nil
	}
	var names []string
	for pair := range strings.SplitSeq(s, ",") {
		name, _, _ := strings.Cut(pair, "=")
		names = append(names, name)
	}
	return names
}

// want checks the value of one sample, "" for one that must not be there.
func want(t testing.TB, fs map[string]*parsed, name, labels, value string) {
	t.Helper()
	f := fs[name]
	if f == nil {
		t.Errorf("no family %s", name)
		return
	}
	if got, ok := f.samples[labels]; ok != (value != "") || got != value {
		t.Errorf("%s%s = %q, want %q; there is %v", name, labels, got, value, slices.Sorted(maps.Keys(f.samples)))
	}
}

func five(destination, family, state, group string) string {
	return fmt.Sprintf(`{probe_name="probe1",destination="%s",address_family="%s",state="%s",group="%s"}`, destination, family, state, group)
}

// with adds a label to a rendered set.
func with(labels, name, value string) string {
	return strings.TrimSuffix(labels, "}") + fmt.Sprintf(`,%s="%s"}`, name, value)
}
