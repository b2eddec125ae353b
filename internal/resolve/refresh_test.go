// SPDX-License-Identifier: Apache-2.0

package resolve

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/netprobe-xdp/netprobe-xdp/internal/config"
)

func TestNames(t *testing.T) {
	cfg := &config.Config{Targets: []config.Target{
		{Name: "a", Destination: "www.example.com", Family: "ipv6", DNSUpdateInterval: time.Minute},
		{Name: "b", Destination: "192.0.2.1", Family: "ipv4"},
		{Name: "c", Destination: "2001:db8::1", Family: "ipv6"},
		{Name: "d", Destination: "192.0.2.0/24", Family: "ipv4", IsSubnet: true},
		{Name: "e", Destination: "localhost", Family: "ipv4"},
	}}
	want := []Name{{"a", "www.example.com", "ipv6", time.Minute, 0}, {"e", "localhost", "ipv4", 0, 0}}
	if diff := cmp.Diff(want, Names(cfg)); diff != "" {
		t.Error(diff)
	}
}

// table is a resolver whose answers a test changes; it notes when it was asked.
type table struct {
	mu    sync.Mutex
	addrs map[string]string // "" or missing: no such host
	slow  map[string]time.Duration
	asked map[string][]time.Duration // since start
	start time.Time
}

func newTable() *table {
	return &table{addrs: map[string]string{}, slow: map[string]time.Duration{}, asked: map[string][]time.Duration{}, start: time.Now()}
}

var errNoHost = errors.New("no such host")

func (tb *table) lookup(ctx context.Context, _, host string) ([]netip.Addr, error) {
	tb.mu.Lock()
	addr, slow := tb.addrs[host], tb.slow[host]
	tb.asked[host] = append(tb.asked[host], time.Since(tb.start))
	tb.mu.Unlock()
	select {
	case <-time.After(slow):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if addr == "" {
		return nil, errNoHost
	}
	return addrsOf(addr), nil
}

func (tb *table) set(host, addr string) {
	tb.mu.Lock()
	defer tb.mu.Unlock()
	tb.addrs[host] = addr
}

// news is a Change in short.
func news(changes []Change) []string {
	var out []string
	for _, c := range changes {
		s := fmt.Sprintf("%s: %s to %s", c.Target, c.Old, c.New)
		if c.Err != nil {
			s = fmt.Sprintf("%s: %s to none", c.Target, c.Old)
		}
		out = append(out, s)
	}
	slices.Sort(out)
	return out
}

func TestRefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tb := newTable()
		tb.set("often", "192.0.2.1")
		tb.set("once", "192.0.2.2")
		tb.set("gone", "192.0.2.3")
		f := New(quiet, tb.lookup).Refresh(t.Context(), []Name{
			{"a", "often", "ipv4", time.Minute, 0}, {"b", "once", "ipv4", 0, 0}, {"c", "never", "ipv4", 0, 0},
			{"d", "gone", "ipv4", 2 * time.Minute, 0}, {"literal", "192.0.2.9", "ipv4", time.Second, 0},
		})
		step := func(wait time.Duration, want ...string) {
			t.Helper()
			time.Sleep(wait)
			synctest.Wait()
			if len(want) > 0 {
				<-f.Changed()
			}
			if diff := cmp.Diff(want, news(f.Take())); diff != "" {
				t.Errorf("after %s: %s", time.Since(tb.start), diff)
			}
		}
		const none = "invalid IP"
		step(0, "a: "+none+" to 192.0.2.1", "b: "+none+" to 192.0.2.2", "c: "+none+" to none", "d: "+none+" to 192.0.2.3")
		step(90 * time.Second) // the same again is no news, nor is the same failure
		tb.set("often", "192.0.2.11")
		tb.set("once", "192.0.2.12")
		tb.set("never", "192.0.2.13")
		tb.set("gone", "")
		step(31*time.Second, "a: 192.0.2.1 to 192.0.2.11", "c: "+none+" to 192.0.2.13", "d: 192.0.2.3 to none")
		step(10 * time.Minute)
		tb.set("gone", "192.0.2.3")
		step(2*time.Minute, "d: "+none+" to 192.0.2.3")

		tb.mu.Lock()
		defer tb.mu.Unlock()
		if got := tb.asked["once"]; len(got) != 1 {
			t.Errorf("interval 0 was asked for at %v", got)
		}
		if got, want := tb.asked["never"], []time.Duration{0, 30 * time.Second, 60 * time.Second, 90 * time.Second, 120 * time.Second}; !slices.Equal(got, want) {
			t.Errorf("a name without address and with interval 0 was asked for at %v, want %v", got, want)
		}
		if got := tb.asked["often"]; len(got) != 15 || got[14] != 14*time.Minute {
			t.Errorf("a name with interval 1m was asked for at %v", got)
		}
		if got := tb.asked["192.0.2.9"]; got != nil {
			t.Errorf("a literal was asked for at %v", got)
		}
	})
}

// Names whose resolver hangs take their time; others are not late, and whoever
// never takes the changes holds nobody up.
func TestRefreshIsNotHeldUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tb := newTable()
		var names []Name
		for i := range maxLookups - 1 {
			host := fmt.Sprint("hangs-", i)
			tb.slow[host] = time.Hour
			names = append(names, Name{host, host, "ipv4", time.Second, 0})
		}
		for i := range 100 {
			host := fmt.Sprint("fine-", i)
			tb.set(host, "192.0.2.1")
			names = append(names, Name{host, host, "ipv4", 10 * time.Second, 0})
		}
		f := New(quiet, tb.lookup).Refresh(t.Context(), names)
		time.Sleep(time.Minute + time.Second)
		synctest.Wait()
		tb.mu.Lock()
		for i := range 100 {
			if got := tb.asked[fmt.Sprint("fine-", i)]; len(got) != 7 || got[6] != time.Minute {
				t.Errorf("fine-%d was asked for at %v", i, got)
			}
		}
		tb.mu.Unlock()
		changes := f.Take()
		if len(changes) != 100+maxLookups-1 {
			t.Errorf("%d changes", len(changes))
		}
		for _, c := range changes {
			if c.Err != nil && (c.Took != lookupTimeout || !errors.Is(c.Err, context.DeadlineExceeded)) {
				t.Errorf("%s took %s: %v", c.Target, c.Took, c.Err)
			}
		}
	})
}

// A Refresher that is ended says nothing any more: a lookup that was cut off is
// not a failure of its name.
func TestRefreshEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tb := newTable()
		tb.slow["slow"] = 3 * time.Second
		ctx, cancel := context.WithCancel(t.Context())
		f := New(quiet, tb.lookup).Refresh(ctx, []Name{{"a", "slow", "ipv4", time.Second, 0}})
		time.Sleep(time.Second)
		cancel()
		time.Sleep(time.Hour)
		if got := f.Take(); got != nil {
			t.Errorf("after the end: %+v", got)
		}
		if got := tb.asked["slow"]; len(got) != 1 {
			t.Errorf("asked at %v", got)
		}
	})
}

// The same over real packets: an address that changes in the DNS is news.
func TestRefreshOverDNS(t *testing.T) {
	dns := startDNS(t)
	dns.set("moves.example.", addrsOf("192.0.2.1")...)
	f := New(quiet, dns.lookup()).Refresh(t.Context(), []Name{{"a", "moves.example.", "ipv4", 10 * time.Millisecond, 0}})
	for _, want := range []struct{ next, news string }{
		{"192.0.2.2", "a: invalid IP to 192.0.2.1"},
		{"", "a: 192.0.2.1 to 192.0.2.2"},
		{"192.0.2.3", "a: 192.0.2.2 to none"},
		{"192.0.2.3", "a: invalid IP to 192.0.2.3"},
	} {
		select {
		case <-f.Changed():
		case <-time.After(30 * time.Second):
			t.Fatalf("no change, want %s", want.news)
		}
		if got := news(f.Take()); !slices.Equal(got, []string{want.news}) {
			t.Fatalf("changes %q, want %q", got, want.news)
		}
		if want.next == "" {
			dns.set("moves.example.")
		} else {
			dns.set("moves.example.", netip.MustParseAddr(want.next))
		}
	}
}
