// SPDX-License-Identifier: Apache-2.0

package resolve

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vishvananda/netns"
)

func TestLookup(t *testing.T) {
	dns := startDNS(t)
	dns.set("both.example.", addrsOf("192.0.2.1", "2001:db8::1")...)
	dns.set("four.example.", addrsOf("192.0.2.4")...)
	dns.set("empty.example.")
	r := New(quiet, dns.lookup())
	tests := []struct {
		host, family string
		want         netip.Addr
		err          string
	}{
		{"both.example.", "ipv4", netip.MustParseAddr("192.0.2.1"), ""},
		{"both.example.", "ipv6", netip.MustParseAddr("2001:db8::1"), ""},
		{"four.example.", "ipv4", netip.MustParseAddr("192.0.2.4"), ""},
		{"four.example.", "ipv6", netip.Addr{}, "resolve four.example. (ipv6): "},
		{"empty.example.", "ipv4", netip.Addr{}, "resolve empty.example. (ipv4): "},
		{"nobody.example.", "ipv4", netip.Addr{}, "no such host; check the name and the resolvers in /etc/resolv.conf"},
		{"192.0.2.9", "ipv4", netip.MustParseAddr("192.0.2.9"), ""},
		{"2001:db8::9", "ipv6", netip.MustParseAddr("2001:db8::9"), ""},
		{"192.0.2.9", "ipv6", netip.Addr{}, "resolve 192.0.2.9: not an ipv6 address; change destination or address_family"},
	}
	for _, tt := range tests {
		got, err := r.Lookup(t.Context(), tt.host, tt.family)
		if got != tt.want || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%s, %s: %v, %v; want %v, %q", tt.host, tt.family, got, err, tt.want, tt.err)
		}
		if err != nil && strings.Contains(err.Error(), "\n") {
			t.Errorf("%s, %s: more than a line: %v", tt.host, tt.family, err)
		}
	}
}

// A resolver that says nothing costs no more than its time, and its error says
// which name it was.
func TestLookupOfSilentServer(t *testing.T) {
	dns := startDNS(t)
	dns.hush()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := New(quiet, dns.lookup()).Lookup(ctx, "slow.example.", "ipv4")
	if err == nil || !strings.HasPrefix(err.Error(), "resolve slow.example. (ipv4): ") {
		t.Errorf("error %v", err)
	}
}

func TestLookupTakesTheFirstOfItsFamily(t *testing.T) {
	r := New(quiet, func(context.Context, string, string) ([]netip.Addr, error) {
		return addrsOf("2001:db8::1%eth0", "::ffff:192.0.2.1", "192.0.2.2"), nil
	})
	for family, want := range map[string]string{"ipv4": "192.0.2.1", "ipv6": "2001:db8::1"} {
		if got, err := r.Lookup(t.Context(), "x", family); err != nil || got.String() != want {
			t.Errorf("%s: %v, %v; want %s", family, got, err, want)
		}
	}
	none := New(quiet, func(context.Context, string, string) ([]netip.Addr, error) { return addrsOf("2001:db8::1"), nil })
	if got, err := none.Lookup(t.Context(), "x", "ipv4"); err == nil {
		t.Errorf("no address of the family gives %v", got)
	}
}

// No more than maxLookups are under way; each has its own time; who waits for
// its turn may give up.
func TestLookupIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var now, most atomic.Int32
		r := New(quiet, func(ctx context.Context, _, _ string) ([]netip.Addr, error) {
			if n := now.Add(1); n > most.Load() {
				most.Store(n)
			}
			defer now.Add(-1)
			<-ctx.Done()
			return nil, ctx.Err()
		})
		start := time.Now()
		const hosts = 3 * maxLookups
		errs := make(chan error, hosts)
		for i := range hosts {
			go func() {
				_, err := r.Lookup(t.Context(), fmt.Sprint("host-", i), "ipv4")
				errs <- err
			}()
		}
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := r.Lookup(ctx, "impatient", "ipv4"); !errors.Is(err, context.Canceled) {
			t.Errorf("waiting for a turn: %v", err)
		}
		for range hosts {
			if err := <-errs; !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("lookup ends with %v", err)
			}
		}
		if took := time.Since(start); took != 3*lookupTimeout || most.Load() != maxLookups {
			t.Errorf("%d lookups of a silent resolver took %s, %d at once", hosts, took, most.Load())
		}
	})
}

// A thread in another network namespace still resolves where the program was
// started: the DNS server there cannot be reached from within.
func TestLookupLeavesTheNamespace(t *testing.T) {
	if os.Geteuid() != 0 {
		if os.Getenv("CI") == "true" {
			t.Fatal("needs root to make a network namespace")
		}
		t.Skip("needs root to make a network namespace")
	}
	dns := startDNS(t)
	dns.set("both.example.", addrsOf("192.0.2.1")...)
	r := New(quiet, dns.lookup())
	errs := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with this goroutine, and the namespace with it
		errs <- func() error {
			ns, err := netns.New()
			if err != nil {
				return err
			}
			defer ns.Close()
			if c, err := net.Dial("udp", dns.conn.LocalAddr().String()); err == nil {
				c.Close()
				return errors.New("the server can be reached from the new namespace, which proves nothing")
			}
			if got, err := r.Lookup(t.Context(), "both.example.", "ipv4"); err != nil || got.String() != "192.0.2.1" {
				return fmt.Errorf("from another namespace: %v, %w", got, err)
			}
			f := r.Refresh(t.Context(), []Name{{Target: "t", Host: "both.example.", Family: "ipv4"}})
			<-f.Changed()
			if got := f.Take(); len(got) != 1 || got[0].Err != nil || got[0].New.String() != "192.0.2.1" {
				return fmt.Errorf("a Refresher started in another namespace says %+v", got)
			}
			return nil
		}()
	}()
	if err := <-errs; err != nil {
		t.Error(err)
	}
}
