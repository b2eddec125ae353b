// SPDX-License-Identifier: Apache-2.0

package resolve

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// A reload changes what is followed, and nothing of what stays.
func TestFollow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tb := newTable()
		for host, addr := range map[string]string{"stays": "192.0.2.1", "once": "192.0.2.2", "goes": "192.0.2.3", "old": "192.0.2.4", "new": "192.0.2.5", "joins": "192.0.2.6"} {
			tb.set(host, addr)
		}
		stays, once := Name{"stays", "stays", "ipv4", 10 * time.Second, 0}, Name{"once", "once", "ipv4", 0, 0}
		f := New(quiet, tb.lookup).Refresh(t.Context(), []Name{
			stays, once, {"goes", "goes", "ipv4", 10 * time.Second, 0}, {"other", "old", "ipv4", 10 * time.Second, 0}})
		synctest.Wait()
		f.Take()
		told := func(want ...string) {
			t.Helper()
			synctest.Wait()
			if diff := cmp.Diff(want, news(f.Take())); diff != "" {
				t.Errorf("after %v: %s", time.Since(tb.start), diff)
			}
		}
		asked := func(host string, want ...time.Duration) {
			t.Helper()
			tb.mu.Lock()
			defer tb.mu.Unlock()
			if diff := cmp.Diff(want, tb.asked[host]); diff != "" {
				t.Errorf("%s was asked for: %s", host, diff)
			}
		}
		time.Sleep(time.Second)
		next := []Name{stays, once, {"other", "new", "ipv4", 10 * time.Second, 0}, {"joins", "joins", "ipv4", 0, 0}}
		f.Follow(next, false)
		told("joins: invalid IP to 192.0.2.6", "other: invalid IP to 192.0.2.5")
		time.Sleep(10 * time.Second)
		told()
		asked("stays", 0, 10*time.Second)
		asked("once", 0)
		asked("goes", 0)
		asked("old", 0)
		asked("new", time.Second, 11*time.Second)

		// Asked for again, and another interval.
		tb.set("once", "192.0.2.22")
		tb.set("new", "192.0.2.55")
		stays.Interval = 30 * time.Second
		next[0] = stays
		f.Follow(next, true)
		told("once: 192.0.2.2 to 192.0.2.22", "other: 192.0.2.5 to 192.0.2.55")
		time.Sleep(32 * time.Second)
		asked("stays", 0, 10*time.Second, 11*time.Second, 41*time.Second)
		asked("once", 0, 11*time.Second)

		// Again, while the answer is under way: it may be old.
		tb.mu.Lock()
		tb.slow["once"] = time.Second
		tb.mu.Unlock()
		f.Follow(next, true)
		synctest.Wait()
		tb.set("once", "192.0.2.23")
		f.Follow(next, true)
		time.Sleep(3 * time.Second)
		told("once: 192.0.2.22 to 192.0.2.23")

		f.Follow(nil, false)
		time.Sleep(time.Minute)
		told()
	})
}

// A target that goes and comes back before anybody looked has its address told
// anew: who left it out has forgotten it.
func TestFollowTwiceAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tb := newTable()
		tb.set("a", "192.0.2.1")
		tb.set("b", "192.0.2.2")
		a, b := Name{"target", "a", "ipv4", time.Minute, 0}, Name{"target", "b", "ipv4", time.Minute, 0}
		f := New(quiet, tb.lookup).Refresh(t.Context(), []Name{a})
		synctest.Wait()
		f.Take()
		for _, between := range [][]Name{nil, {b}} {
			f.Follow(between, false)
			f.Follow([]Name{a}, false)
			synctest.Wait()
			told := f.Take()
			if len(told) == 0 || told[len(told)-1].New.String() != "192.0.2.1" {
				t.Errorf("with %v between: told %v, want its address", between, news(told))
			}
		}
	})
}
