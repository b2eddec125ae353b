// SPDX-License-Identifier: Apache-2.0

package prober

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	server "github.com/netprobe-xdp/netprobe-xdp/internal/api"
	"github.com/netprobe-xdp/netprobe-xdp/pkg/api"
)

// steer lets control run, as it does while probing.
func (s *still) steer() {
	s.tasks, s.ended = make(chan func()), make(chan struct{})
	ctx, cancel := context.WithCancel(s.t.Context())
	go s.control(ctx)
	s.t.Cleanup(func() { cancel(); <-s.ended })
}

// planned are the names of the targets that are probed.
func (s *still) planned() (names []string) {
	s.t.Helper()
	if err := s.do(s.t.Context(), func() error {
		for _, t := range s.plan.Targets {
			names = append(names, t.Name)
		}
		return nil
	}); err != nil {
		s.t.Fatal(err)
	}
	slices.Sort(names)
	return names
}

func (s *still) want(names ...string) {
	s.t.Helper()
	if got := s.planned(); !slices.Equal(got, names) {
		s.t.Errorf("probed are %q, not %q", got, names)
	}
}

// wantProblem checks what a client is told: the status, and the fields.
func wantProblem(t *testing.T, err error, status int, fields ...string) {
	t.Helper()
	p, ok := errors.AsType[*api.Problem](err)
	if !ok {
		t.Errorf("no problem, but %v", err)
		return
	}
	var named []string
	for _, f := range p.Errors {
		named = append(named, f.Field)
	}
	if p.Status != status || !slices.Equal(named, fields) {
		t.Errorf("status %d and fields %q, not %d and %q: %v", p.Status, named, status, fields, p)
	}
}

func ping(name, destination string) api.TargetSpec {
	return api.TargetSpec{Name: name, Type: "ICMPping", Destination: destination, Groups: []string{"g"}}
}

// What the control API adds: all or none, under the rules, caps and refused ranges
// of the configuration; it has an owner, survives a reload, and goes when its time
// is over.
func TestAddedTargets(t *testing.T) {
	s := newStill(t, 1, "safety: {max_pps: 6}", "targets: {a: {type: ICMPping, destination: 198.51.100.2}}")
	s.steer()
	ctx := t.Context()
	add := func(owner string, lifetime float64, targets ...api.TargetSpec) error {
		_, err := s.addTargets(ctx, api.AddTargets{Owner: owner, LifetimeSeconds: lifetime, Targets: targets})
		return err
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(add("me", 0, ping("b", "198.51.100.3"), ping("c", "198.51.100.4")))
	s.want("a", "b", "c")

	bad := ping("d", "198.51.100.9")
	bad.Groups, bad.Timeout = []string{"none"}, 1e9
	wantProblem(t, add("me", 0, ping("x", "198.51.100.5"), bad), 422, "/targets/1/timeout_seconds")
	wantProblem(t, add("me", 0, ping("x", "198.51.100.5"), ping("x", "198.51.100.6")), 422, "/targets/1/name")
	wantProblem(t, add("me", 0, ping("x", "198.51.100.5"), ping("y", "127.0.0.1")), 422, "/targets/1/destination")
	wantProblem(t, add("me", 0, ping("x", "192.0.2.1"), ping("../y", "198.51.100.6")), 422, "/targets/1/name")
	wantProblem(t, add("me", 0, ping("a", "198.51.100.5")), 409, "/targets/0/name")
	wantProblem(t, add("you", 0, ping("b", "198.51.100.5")), 409, "/targets/0/name")
	wantProblem(t, add("me", -1, ping("x", "198.51.100.5")), 422, "/lifetime_seconds")
	wantProblem(t, add("me", 0), 422, "/targets")
	many := []api.TargetSpec{ping("m1", "198.51.100.5"), ping("m2", "198.51.100.6"), ping("m3", "198.51.100.7"), ping("m4", "198.51.100.8")}
	if p, ok := errors.AsType[*api.Problem](add("me", 0, many...)); !ok || p.Status != 422 || !strings.Contains(p.Error(), "max_pps") {
		t.Errorf("beyond the cap: %v", p)
	}
	s.want("a", "b", "c")

	must(add("me", 0, ping("b", "198.51.100.10")))
	if _, err := s.reload(ctx); err != nil {
		t.Fatal(err)
	}
	s.want("a", "b", "c")
	s.write("safety: {max_pps: 6}", "targets: {a: {type: ICMPping, destination: 198.51.100.2}, c: {type: ICMPping, destination: 198.51.100.20}}")
	if _, err := s.reload(ctx); err != nil {
		t.Fatal(err)
	}
	s.want("a", "b", "c")

	wantProblem(t, s.removeTarget(ctx, "a", "me"), 409)
	wantProblem(t, s.removeTarget(ctx, "nobody", "me"), 404, "name")
	wantProblem(t, s.removeTarget(ctx, "b", "you"), 409, "owner")
	must(s.removeTarget(ctx, "b", "me"))
	s.want("a", "c")

	must(add("me", 0.05, ping("brief", "198.51.100.3")))
	s.want("a", "brief", "c")
	go s.watchLifetimes(ctx)
	for deadline := time.Now().Add(time.Minute); slices.Contains(s.planned(), "brief"); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it stays")
		}
	}
}

// A target that is paused is not probed and has no series, also after a reload,
// until it is resumed or its time is over.
func TestPausedTargets(t *testing.T) {
	s := newStill(t, 1, "safety: {max_pps: 6}", "targets: {a: {type: ICMPping, destination: 198.51.100.2}, b: {type: ICMPping, destination: 198.51.100.3}}")
	s.steer()
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	shown := func() (names []string) {
		for _, m := range s.probed() {
			names = append(names, m.Destination)
		}
		return names
	}
	wantProblem(t, s.pauseTarget(ctx, "nobody", api.Pause{}), 404, "name")
	wantProblem(t, s.pauseTarget(ctx, "a", api.Pause{LifetimeSeconds: -1}), 422, "/lifetime_seconds")
	must(s.pauseTarget(ctx, "a", api.Pause{Owner: "me"}))
	s.want("b")
	if len(s.store.Series()) != 1 || !slices.Equal(shown(), []string{"b"}) {
		t.Errorf("%d series, and shown are %q", len(s.store.Series()), shown())
	}
	if _, err := s.reload(ctx); err != nil {
		t.Fatal(err)
	}
	s.want("b")
	must(s.pauseTarget(ctx, "a", api.Pause{Owner: "you"}))
	if got := s.steered.Load().paused["a"].owner; got != "you" {
		t.Errorf("paused by %q", got)
	}
	must(s.resumeTarget(ctx, "a"))
	must(s.resumeTarget(ctx, "a"))
	wantProblem(t, s.resumeTarget(ctx, "nobody"), 404, "name")
	s.want("a", "b")
	must(s.pauseTarget(ctx, "b", api.Pause{LifetimeSeconds: 0.05}))
	go s.watchLifetimes(ctx)
	for deadline := time.Now().Add(time.Minute); !slices.Contains(s.planned(), "b"); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it stays paused")
		}
	}
}

// Either of safety.kill_file and the control API stops all sending, and it goes on
// when neither does.
func TestStoppedByCall(t *testing.T) {
	s := newStill(t, 1, "safety: {kill_file: stop}", "targets: {a: {type: ICMPping, destination: 198.51.100.2}}")
	s.setStopped(true)
	s.lookForKillFile()
	s.reloads()
	if !s.stopped.Load() || !s.app.Stopped.Load() || !strings.Contains(s.whyStopped(), `"netprobe-xdp ctl start"`) {
		t.Errorf("it goes on: %q", s.whyStopped())
	}
	s.setStopped(false)
	if s.stopped.Load() || s.app.Stopped.Load() || s.whyStopped() != "" {
		t.Errorf("it stays stopped: %q", s.whyStopped())
	}
}

// An event of another configuration names the targets, as many as fit a line.
func TestChangesAreNamed(t *testing.T) {
	got := changes(&Report{Added: []string{"a"}, Removed: []string{"b", "c", "d", "e", "f", "g", "h"}})
	if want := "1 added (a), 0 changed, 7 removed (b c d e f and 2 more)"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// Who is slow to take events is told how many were left out; nobody who tells
// waits, and rounds are for those who ask.
func TestEventsMissed(t *testing.T) {
	var e events
	ctx, cancel := context.WithCancel(t.Context())
	first, more := make(chan struct{}), make(chan struct{})
	var got []api.Event
	done := make(chan error)
	go func() {
		done <- e.follow(ctx, false, func(out server.Told, _ bool) error {
			var ev api.Event
			if err := json.Unmarshal(out.JSON, &ev); err != nil || ev.Type != out.Type || ev.Time.IsZero() {
				t.Errorf("%s: %s, %v", out.Type, out.JSON, err)
			}
			if len(got) == 0 {
				close(first)
				<-more
			}
			if got = append(got, ev); ev.Text == "last" {
				cancel()
			}
			return nil
		})
	}()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		e.tell(api.Event{Type: api.EventTargets})
		select {
		case <-first:
		default:
			if time.Now().After(deadline) {
				t.Fatal("nothing comes")
			}
			continue
		}
		break
	}
	for range 2 * eventsKept {
		e.tell(api.Event{Type: api.EventTargets})
		e.tell(api.Event{Type: api.EventRound})
	}
	close(more)
	for end := false; !end; {
		e.tell(api.Event{Type: api.EventTargets, Text: "last"})
		select {
		case err := <-done:
			if !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
			end = true
		case <-time.After(time.Millisecond):
		}
	}
	missed := uint64(0)
	for _, ev := range got {
		if missed += ev.Missed; ev.Type == api.EventRound {
			t.Fatal("a round comes unasked")
		}
	}
	if missed < eventsKept-10 {
		t.Errorf("%d events came and %d are said to be missed", len(got), missed)
	}
}
