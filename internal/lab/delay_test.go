// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"io"
	"net"
	"regexp"
	"strconv"
	"testing"
	"time"
)

func TestWireHoldsFrames(t *testing.T) {
	l := ForTest(t, "lab")
	a, _, w := l.ConnectDelayed(l.Host("a"), l.Host("b"), Link{
		A: []string{"192.0.2.1/24", "2001:db8::1/64"},
		B: []string{"192.0.2.2/24", "2001:db8::2/64"},
	})
	shortest := func(addr string) time.Duration {
		t.Helper()
		out := ping(t, a.Host, addr, "10")
		m := regexp.MustCompile(`= ([0-9.]+)/`).FindStringSubmatch(out)
		if m == nil {
			t.Fatalf("no round trips in\n%s", out)
		}
		ms, err := strconv.ParseFloat(m[1], 64)
		if err != nil {
			t.Fatal(err)
		}
		return time.Duration(ms * float64(time.Millisecond))
	}
	for _, addr := range []string{"192.0.2.2", "2001:db8::2"} {
		w.SetHold(0, 0)
		ping(t, a.Host, addr, "1")
		// Only lower bounds hold on a machine that does other things as well.
		// ping rounds to microseconds or coarser.
		w.SetHold(20*time.Millisecond, 0)
		if got := shortest(addr); got < 19990*time.Microsecond {
			t.Errorf("one way held by 20 ms: %v", got)
		}
		w.SetHold(20*time.Millisecond, 30*time.Millisecond)
		if got := shortest(addr); got < 49990*time.Microsecond {
			t.Errorf("held by 20 ms and 30 ms: %v", got)
		}
	}
	if ab, ba := w.Carried(); ab < 42 || ba < 42 {
		t.Errorf("carried %d and %d frames", ab, ba)
	}
	if lost, err := w.Lost(); err != nil || lost != 0 {
		t.Errorf("lost %d, %v", lost, err)
	}
}

// Whatever the kernel sends arrives whole, segmentation and checksums
// included.
func TestWireCarriesTCP(t *testing.T) {
	l := ForTest(t, "lab")
	a, b, _ := l.ConnectDelayed(l.Host("a"), l.Host("b"), Link{A: []string{"2001:db8::1/64"}, B: []string{"2001:db8::2/64"}})
	if _, err := b.Host.ListenTCP("[2001:db8::2]:19", Bulk(4<<20)); err != nil {
		t.Fatal(err)
	}
	var c net.Conn
	if err := a.Host.Do(func() (err error) { c, err = net.Dial("tcp", "[2001:db8::2]:19"); return err }); err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if n, err := io.Copy(io.Discard, c); n != 4<<20 || err != nil {
		t.Errorf("%d bytes, %v", n, err)
	}
}
