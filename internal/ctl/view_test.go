// SPDX-License-Identifier: Apache-2.0

package ctl

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/netprobe-xdp/netprobe-xdp/pkg/api"
	"github.com/netprobe-xdp/netprobe-xdp/pkg/client"
)

func f(x float64) *float64 { return &x }

// said is what a daemon with so many targets says of the first ones.
func said(total, shown int) latest {
	started := time.Unix(1000, 0)
	l := latest{
		info:    &api.Info{ProbeName: "paris", Started: started},
		status:  &api.Status{Now: started.Add(time.Hour), Started: started, Healthy: api.State{OK: true}, Ready: api.State{OK: true}, Targets: total},
		targets: &api.Targets{Now: started.Add(time.Hour), Total: total},
	}
	for i := range min(total, shown) {
		l.targets.Targets = append(l.targets.Targets, api.Target{Name: fmt.Sprintf("target-%d", i), Address: "192.0.2.1", Groups: []api.GroupResult{{
			Group: "standard", Sent: 100, Lost: 5, Causes: map[string]uint64{"timeout": 5},
			Round: &api.Round{Sent: 20, LossRatio: f(0.05), RoundTrip: &api.RoundTrip{Max: 0.002, Percentiles: map[string]float64{"50": 0.001, "95": 0.0015, "5": 0.0001}}},
		}}})
	}
	return l
}

// TestViewFits: whatever is shown, it has as many lines as the terminal and none
// that is wider.
func TestViewFits(t *testing.T) {
	for _, size := range [][2]int{{24, 80}, {60, 250}, {1, 1}, {2, 10}, {5, 20}} {
		for _, total := range []int{0, 3, 2000} {
			for _, change := range []func(*view){func(*view) {}, func(v *view) { v.help = true }, func(v *view) { v.editing = true }, func(v *view) { v.query.Filter = "x" }, func(v *view) { v.take(latest{}, errors.New(strings.Repeat("gone ", 100))) }} {
				v := &view{rows: size[0], cols: size[1], query: client.Query{Sort: "worst"}}
				v.take(said(total, v.room()), nil)
				change(v)
				lines := v.lines()
				if len(lines) != size[0] {
					t.Errorf("%v, %d targets: %d lines", size, total, len(lines))
				}
				for _, l := range lines {
					if utf8.RuneCountInString(l) > max(1, size[1]) && size[1] > 1 {
						t.Errorf("%v: %q is too wide", size, l)
					}
				}
			}
		}
	}
}

func TestViewShows(t *testing.T) {
	v := &view{rows: 8, cols: 120, query: client.Query{Sort: "worst"}}
	got := said(2000, v.room())
	got.targets.Targets[0].Name = "evil\x1b[2J\u202ex"
	v.take(got, nil)
	want := []string{
		"paris  " + got.status.Now.Local().Format(time.TimeOnly) + "  2000 targets  0 probes/s  lost 0 of 0",
		"",
		"target        address    group     loss %       p5     p50     p95     max  sent  lost  why",
		"evil?[2J?x    192.0.2.1  standard    5.00  100.0µs  1.00ms  1.50ms  2.00ms   100     5  lost: 5 timeout",
		"target-1      192.0.2.1  standard    5.00  100.0µs  1.00ms  1.50ms  2.00ms   100     5  lost: 5 timeout",
		"target-2      192.0.2.1  standard    5.00  100.0µs  1.00ms  1.50ms  2.00ms   100     5  lost: 5 timeout",
		"target-3      192.0.2.1  standard    5.00  100.0µs  1.00ms  1.50ms  2.00ms   100     5  lost: 5 timeout",
		"1-4 of 2000  by worst  ? help, q quit",
	}
	got2 := v.lines()
	for i := range want {
		want[i] = strings.Join(strings.Fields(want[i]), " ")
	}
	for i := range got2 {
		got2[i] = strings.Join(strings.Fields(got2[i]), " ")
	}
	if diff := cmp.Diff(want, got2); diff != "" {
		t.Error(diff)
	}
}

// TestViewReconnects: a daemon that is gone leaves what it said, with a word; one
// that was restarted says so.
func TestViewReconnects(t *testing.T) {
	v := &view{rows: 10, cols: 200}
	v.take(latest{}, errors.New("no netprobe-xdp"))
	if got := strings.Join(v.lines(), "\n"); !strings.Contains(got, "no netprobe-xdp") {
		t.Error(got)
	}
	v.take(said(3, 3), nil)
	if v.notice != "" {
		t.Error(v.notice)
	}
	v.take(latest{}, errors.New("no netprobe-xdp"))
	if got := strings.Join(v.lines(), "\n"); !strings.Contains(got, "AS IT WAS AT") || !strings.Contains(got, "target-2") {
		t.Error(got)
	}
	v.take(said(3, 3), nil)
	if v.notice != "" {
		t.Error(v.notice)
	}
	again := said(3, 3)
	again.info.Started = again.info.Started.Add(time.Minute)
	v.take(again, nil)
	v.take(again, nil)
	if !strings.Contains(v.notice, "was restarted at") {
		t.Error(v.notice)
	}
}

// TestKeys: what a terminal sends does what --help says.
func TestKeys(t *testing.T) {
	for _, tt := range []struct {
		sent string
		want client.Query
		last action
	}{
		{"n", client.Query{Sort: "name"}, ask},
		{"l", client.Query{Sort: "loss"}, ask},
		{"rw", client.Query{Sort: "worst"}, ask},
		{"jj\x1b[B\x1b[A", client.Query{Offset: 2}, ask},
		{"kkk\x1bOA", client.Query{}, nothing},
		{" \x1b[6~b", client.Query{Offset: 6}, ask},
		{"G", client.Query{Offset: 2000 - 6}, ask},
		{"\x1b[F\x1b[H", client.Query{}, ask},
		{"/wé\x7fb\r", client.Query{Filter: "wb"}, ask},
		{"/web\x15x\r", client.Query{Filter: "x"}, ask},
		{"/q\x1b", client.Query{}, nothing},
		{"/w\r\x1b", client.Query{}, ask},
		{"?q", client.Query{}, nothing},
		{"?qq", client.Query{}, quit},
		{"/q\x03", client.Query{}, quit},
		{"\x1b[1;5C\x1b[", client.Query{}, nothing},
		{"\xff\xff", client.Query{}, nothing},
	} {
		v := &view{rows: 10, cols: 80}
		v.take(said(2000, 6), nil)
		var last action
		for _, k := range keysOf(tt.sent) {
			last = v.key(k)
		}
		if diff := cmp.Diff(tt.want, v.query); diff != "" || last != tt.last {
			t.Errorf("%q: %v\n%s", tt.sent, last, diff)
		}
	}
}

// FuzzKeys: nothing that a terminal or a person sends makes the view fail.
func FuzzKeys(f *testing.F) {
	f.Add("/\x1b[A\xffé\r?Gj\x1b")
	f.Fuzz(func(t *testing.T, sent string) {
		v := &view{rows: 10, cols: 40}
		v.take(said(20, 6), nil)
		for _, k := range keysOf(sent) {
			v.key(k)
			if v.query.Offset < 0 || v.query.Offset > 20 || len(v.lines()) != 10 {
				t.Fatalf("%q: %+v", sent, v.query)
			}
		}
	})
}
