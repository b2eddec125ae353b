// SPDX-License-Identifier: Apache-2.0

package resolve

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// script answers the questions for one name in turn; the last answer stays.
type script struct {
	mu    sync.Mutex
	turns []func() ([]netip.Addr, error)
	asked int
}

func (s *script) lookup(context.Context, string, string) ([]netip.Addr, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	turn := s.turns[0]
	if len(s.turns) > 1 {
		s.turns = s.turns[1:]
	}
	time.Sleep(10 * time.Millisecond)
	return turn()
}

func answer(addrs ...string) func() ([]netip.Addr, error) {
	return func() ([]netip.Addr, error) { return addrsOf(addrs...), nil }
}

func fails() ([]netip.Addr, error) {
	return nil, &net.DNSError{Err: "server misbehaving", IsTemporary: true}
}

func gone() ([]netip.Addr, error) {
	return nil, &net.DNSError{Err: "no such host", IsNotFound: true}
}

// told is a Change in short: what the target has now, and whether the resolver fails.
func told(changes []Change) []string {
	var out []string
	for _, c := range changes {
		s := c.New.String()
		if c.Err != nil {
			s += " failing"
		}
		out = append(out, s)
	}
	return out
}

// What a target is told when its name is asked for every 10 s.
func TestWhatATargetIsTold(t *testing.T) {
	type turn = func() ([]netip.Addr, error)
	const none = "invalid IP failing"
	for name, tt := range map[string]struct {
		keep  time.Duration
		turns []turn
		want  []string
	}{
		"an address that is still in the answer is kept": {0,
			[]turn{answer("192.0.2.1", "192.0.2.2"), answer("192.0.2.2", "192.0.2.1"), answer("192.0.2.3", "192.0.2.2", "192.0.2.1"), answer("192.0.2.2", "192.0.2.3")},
			[]string{"192.0.2.1", "192.0.2.2"}},
		"one lost question changes nothing": {0,
			[]turn{answer("192.0.2.1"), fails, answer("192.0.2.1"), fails, answer("192.0.2.1")}, []string{"192.0.2.1"}},
		"a resolver that fails": {0,
			[]turn{answer("192.0.2.1"), fails, fails, fails, answer("192.0.2.1")}, []string{"192.0.2.1", none, "192.0.2.1"}},
		"kept while the resolver fails": {time.Hour,
			[]turn{answer("192.0.2.1"), fails, fails, fails, answer("192.0.2.1")}, []string{"192.0.2.1", "192.0.2.1 failing", "192.0.2.1"}},
		"kept, and then another": {time.Hour,
			[]turn{answer("192.0.2.1"), fails, fails, fails, answer("192.0.2.2")}, []string{"192.0.2.1", "192.0.2.1 failing", "192.0.2.2"}},
		"kept for so long": {25 * time.Second,
			[]turn{answer("192.0.2.1"), fails}, []string{"192.0.2.1", "192.0.2.1 failing", none}},
		"no such name is an answer": {time.Hour,
			[]turn{answer("192.0.2.1"), gone}, []string{"192.0.2.1", none}},
		"nor is an address of the other family one": {time.Hour,
			[]turn{answer("192.0.2.1"), answer("2001:db8::1")}, []string{"192.0.2.1", none}},
		"nothing to keep": {time.Hour,
			[]turn{fails, fails, answer("192.0.2.1")}, []string{none, "192.0.2.1"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &script{turns: tt.turns}
				f := New(quiet, s.lookup).Refresh(t.Context(), []Name{{"a", "name", "ipv4", 10 * time.Second, tt.keep}})
				time.Sleep(5 * time.Minute)
				if diff := cmp.Diff(tt.want, told(f.Take())); diff != "" {
					t.Error(diff)
				}
				if took := f.Took("a").Load(); took != int64(10*time.Millisecond) {
					t.Errorf("the last question took %s", time.Duration(took))
				}
				if f.Took("b") != nil {
					t.Error("a target without a name was asked for")
				}
			})
		})
	}
}

// How long an address is kept counts from when it came last, to the moment.
func TestKeptToTheMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{turns: []func() ([]netip.Addr, error){answer("192.0.2.1"), fails}}
		f := New(quiet, s.lookup).Refresh(t.Context(), []Name{{"a", "name", "ipv4", time.Minute, 100 * time.Second}})
		time.Sleep(100 * time.Second)
		if got := told(f.Take()); !slices.Equal(got, []string{"192.0.2.1", "192.0.2.1 failing"}) {
			t.Errorf("before: %q", got)
		}
		time.Sleep(time.Second)
		if got := told(f.Take()); !slices.Equal(got, []string{"invalid IP failing"}) {
			t.Errorf("after: %q", got)
		}
	})
}

// A name that is resolved once, and fails when a reload asks for it again, is
// asked for until it resolves.
func TestResolvedOnceAndFailing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{turns: []func() ([]netip.Addr, error){answer("192.0.2.1"), fails, fails, fails, answer("192.0.2.2")}}
		names := []Name{{"a", "name", "ipv4", 0, 0}}
		f := New(quiet, s.lookup).Refresh(t.Context(), names)
		time.Sleep(time.Hour)
		f.Follow(names, true)
		time.Sleep(time.Hour)
		changes := f.Take()
		if got := told(changes); !slices.Equal(got, []string{"192.0.2.1", "invalid IP failing", "192.0.2.2"}) || s.asked != 5 {
			t.Errorf("asked %d times: %q", s.asked, got)
		}
		if !errors.As(changes[1].Err, new(*net.DNSError)) {
			t.Errorf("%v", changes[1].Err)
		}
	})
}
