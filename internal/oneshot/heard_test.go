// SPDX-License-Identifier: Apache-2.0

package oneshot

import (
	"net/netip"
	"reflect"
	"testing"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/engine"
	"github.com/netprobe-xdp/netprobe-xdp/internal/plan"
	"github.com/netprobe-xdp/netprobe-xdp/internal/result"
	"github.com/netprobe-xdp/netprobe-xdp/pkg/api"
)

// What is heard adds up to what who probes tells at the end.
func TestHeardAsTold(t *testing.T) {
	req, problem := Check(api.ProbeRequest{Count: 9, Targets: []api.TargetSpec{{Type: "ICMPping", Destination: "192.0.2.2"}, {Type: "ICMPping", Destination: "192.0.2.0/31"}}})
	if problem != nil {
		t.Fatal(problem)
	}
	l := req.Lay(nil)
	var heard Heard
	var told, own []api.ProbeEvent
	r := NewReport(req, l, func(e api.ProbeEvent) {
		switch heard.Event(e); e.Kind {
		case api.ProbeSummary, api.ProbeDone:
			told = append(told, e)
		}
	})
	r.Begin()
	for i, a := range l.Addrs {
		target := &plan.Target{Addrs: []netip.Addr{a}}
		for _, e := range []engine.Event{
			{Kind: engine.Answered, RoundTrip: 3 * time.Millisecond},
			{Kind: engine.Answered, RoundTrip: 1234567, Reordered: true},
			{Kind: engine.Answered, RoundTrip: time.Second, Uncertain: true},
			{Kind: engine.Answered, Untimed: true},
			{Kind: engine.Lost, Cause: result.Timeout},
			{Kind: engine.Lost, Cause: result.Timeout, TooLate: true, RoundTrip: time.Second},
			{Kind: engine.Refused, RoundTrip: time.Millisecond},
			{Kind: engine.Unknown},
			{Kind: engine.NotSent},
			{Kind: engine.Duplicate},
			{Kind: engine.Late},
		} {
			e.Target = target
			r.Event(&e, i)
		}
	}
	r.End()
	heard.End(func(e api.ProbeEvent) { own = append(own, e) })
	if len(told) != 4 || len(own) != 4 {
		t.Fatalf("told are %+v\nheard are %+v", told, own)
	}
	sums := func(all []api.ProbeEvent) map[string]api.ProbeEvent {
		by := map[string]api.ProbeEvent{}
		for _, e := range all {
			e.Time = time.Time{}
			by[e.Kind+e.Address] = e
		}
		return by
	}
	if a, b := sums(told), sums(own); !reflect.DeepEqual(a, b) {
		t.Errorf("told are %+v\nheard are %+v", a, b)
	}
	if s := own[3].Summary; s.Sent != 21 || s.Late != 6 || s.Reordered != 3 || s.Marked != 3 || s.Duplicates != 3 {
		t.Errorf("%+v", s)
	}
}
