// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"errors"
	"fmt"
	"net"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func counts(t *testing.T, f *Filter) Counts {
	t.Helper()
	c, err := f.Counts()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// pingLost sends n echo requests and returns how many had no answer.
func pingLost(t *testing.T, h *Host, addr string, n int) uint64 {
	t.Helper()
	out, err := h.Exec(t.Context(), "ping", "-n", "-q", "-i", "0.002", "-c", strconv.Itoa(n), "-W", "1", addr)
	m := regexp.MustCompile(`(\d+) packets transmitted, (\d+) received`).FindStringSubmatch(out)
	if m == nil {
		t.Fatalf("ping: %v\n%s", err, out)
	}
	sent, _ := strconv.ParseUint(m[1], 10, 64)
	received, _ := strconv.ParseUint(m[2], 10, 64)
	if sent != uint64(n) {
		t.Fatalf("ping sent %d of %d", sent, n)
	}
	return sent - received
}

func TestDropShare(t *testing.T) {
	l := ForTest(t, "lab")
	a, b := pair(l)
	turns := b.Host.DropTurns(Input, Match{Proto: ICMP, To: "192.0.2.2"}, 3, 10)
	chance := b.Host.DropShare(Input, Match{Proto: ICMP, To: "2001:db8::2"}, 1, 5)

	lost := pingLost(t, a.Host, "192.0.2.2", 100)
	if diff := cmp.Diff(Counts{Seen: 100, Acted: 30, EchoRequest: 30}, counts(t, turns)); diff != "" || lost != 30 {
		t.Errorf("in turns: lost %d; counters (-want +got):\n%s", lost, diff)
	}
	// By chance the host decides also over the neighbour discovery of ping, so
	// of all kinds only the echo requests are ping's.
	lost = pingLost(t, a.Host, "2001:db8::2", 200)
	got := counts(t, chance)
	if got.EchoRequest != lost || lost == 0 || lost == 200 {
		t.Errorf("by chance: lost %d, counters %+v", lost, got)
	}
	if got.Acted != got.EchoRequest+got.OtherICMP || got.Seen < 200 {
		t.Errorf("counters do not add up: %+v", got)
	}

	if err := turns.Remove(); err != nil {
		t.Fatal(err)
	}
	ping(t, a.Host, "192.0.2.2", "20")
	if after := counts(t, turns); after.Seen != 100 {
		t.Errorf("counters after Remove: %+v", after)
	}
}

func TestDropKinds(t *testing.T) {
	l := ForTest(t, "lab")
	a, b := pair(l)
	dial := func(network, addr string) error {
		return a.Host.Do(func() error {
			d := net.Dialer{Timeout: 300 * time.Millisecond}
			c, err := d.Dial(network, addr)
			if err == nil {
				c.Close()
			}
			return err
		})
	}
	for _, addr := range []string{"192.0.2.2", "2001:db8::2"} {
		// The answer of a closed port is a RST; without it the caller waits.
		rst := b.Host.DropAll(Output, Match{Proto: TCP, From: addr})
		if err := dial("tcp", net.JoinHostPort(addr, "9")); !timedOut(err) {
			t.Errorf("dial %s: %v", addr, err)
		}
		if c := counts(t, rst); c.RST == 0 || c.RST != c.Acted || c.Seen != c.Acted {
			t.Errorf("resets of %s: %+v", addr, c)
		}

		syn := b.Host.DropAll(Input, Match{Proto: TCP, To: addr, Port: 80})
		udp := b.Host.DropAll(Input, Match{Proto: UDP, To: addr + map[bool]string{true: "/32", false: "/128"}[len(addr) == 9]})
		if err := dial("tcp", net.JoinHostPort(addr, "80")); !timedOut(err) {
			t.Errorf("dial %s: %v", addr, err)
		}
		if c := counts(t, syn); c.SYN == 0 || c.SYN != c.Acted {
			t.Errorf("SYNs to %s: %+v", addr, c)
		}
		sendUDP(t, a.Host, net.JoinHostPort(addr, "99"), 7)
		if c := counts(t, udp); c.UDP != 7 || c.Acted != 7 || c.Seen != 7 {
			t.Errorf("UDP to %s: %+v", addr, c)
		}
	}
}

func timedOut(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}

// sendUDP sends n datagrams from one socket that does not care for answers.
func sendUDP(t *testing.T, h *Host, addr string, n int) {
	t.Helper()
	err := h.Do(func() error {
		to, err := net.ResolveUDPAddr("udp", addr)
		if err != nil {
			return err
		}
		c, err := net.ListenUDP("udp", nil)
		if err != nil {
			return err
		}
		defer c.Close()
		for i := range n {
			if _, err := c.WriteTo([]byte(fmt.Sprintf("datagram %d", i)), to); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestRejectOnRouter(t *testing.T) {
	l := ForTest(t, "lab")
	a, r, b := l.Host("a"), l.Router("r"), l.Host("b")
	l.Connect(a, r, Link{A: []string{"192.0.2.1/24", "2001:db8::1/64"}, B: []string{"192.0.2.254/24", "2001:db8::fe/64"}})
	l.Connect(r, b, Link{A: []string{"198.51.100.254/24", "2001:db8:1::fe/64"}, B: []string{"198.51.100.1/24", "2001:db8:1::1/64"}})
	a.SetRoute(Default4, Hop{Via: "192.0.2.254"})
	a.SetRoute(Default6, Hop{Via: "2001:db8::fe"})
	b.SetRoute(Default4, Hop{Via: "198.51.100.254"})
	b.SetRoute(Default6, Hop{Via: "2001:db8:1::fe"})
	r.UnlimitedICMP()

	reset := r.Reject(Forward, Match{Proto: TCP, Port: 1}, TCPReset)
	for _, tt := range []struct {
		port     uint16
		with     RejectWith
		err4err6 [2]error
	}{
		{2, AdminProhibited, [2]error{syscall.EHOSTUNREACH, syscall.EACCES}},
		{3, PortUnreachable, [2]error{syscall.ECONNREFUSED, syscall.ECONNREFUSED}},
	} {
		f := r.Reject(Forward, Match{Proto: UDP, Port: tt.port}, tt.with)
		for i, addr := range []string{"198.51.100.1", "2001:db8:1::1"} {
			err := a.Do(func() error { return askUDP(net.JoinHostPort(addr, strconv.Itoa(int(tt.port)))) })
			if !errors.Is(err, tt.err4err6[i]) {
				t.Errorf("UDP to %s port %d: %v, want %v", addr, tt.port, err, tt.err4err6[i])
			}
		}
		if diff := cmp.Diff(Counts{Seen: 2, Acted: 2, UDP: 2}, counts(t, f)); diff != "" {
			t.Errorf("port %d (-want +got):\n%s", tt.port, diff)
		}
	}
	for _, tt := range []struct {
		with RejectWith
		addr string
		says string
	}{
		{HostUnreachable, "198.51.100.1", "Destination Host Unreachable"},
		{HostUnreachable, "2001:db8:1::1", "Address unreachable"},
		{NoRoute, "198.51.100.1", "Destination Net Unreachable"},
		{NoRoute, "2001:db8:1::1", "No route"},
	} {
		f := r.Reject(Forward, Match{Proto: ICMP, To: tt.addr}, tt.with)
		out, err := a.Exec(t.Context(), "ping", "-n", "-c", "1", "-W", "2", tt.addr)
		if err == nil || !strings.Contains(out, tt.says) {
			t.Errorf("ping %s: %v, want %q in\n%s", tt.addr, err, tt.says, out)
		}
		if c := counts(t, f); c.EchoRequest != 1 {
			t.Errorf("ping %s: %+v", tt.addr, c)
		}
		if err := f.Remove(); err != nil {
			t.Fatal(err)
		}
	}
	for _, addr := range []string{"198.51.100.1", "2001:db8:1::1"} {
		err := a.Do(func() error { _, err := net.Dial("tcp", net.JoinHostPort(addr, "1")); return err })
		if !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("TCP to %s: %v", addr, err)
		}
		ping(t, a, addr, "3")
	}
	if diff := cmp.Diff(Counts{Seen: 2, Acted: 2, SYN: 2}, counts(t, reset)); diff != "" {
		t.Errorf("reset (-want +got):\n%s", diff)
	}
}

// askUDP sends one datagram and returns the error that comes back for it.
func askUDP(addr string) error {
	c, err := net.Dial("udp", addr)
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := c.Write([]byte("anybody there?")); err != nil {
		return err
	}
	if err := c.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return err
	}
	_, err = c.Read(make([]byte, 100))
	return err
}

func TestUnlimitedICMP(t *testing.T) {
	l := ForTest(t, "lab")
	a, b := pair(l)
	b.Host.UnlimitedICMP()
	// The filter stops the neighbour discovery of IPv6 as well.
	a.SetNeighbour("2001:db8::2", b.MAC)
	b.SetNeighbour("2001:db8::1", a.MAC)
	errs := b.Host.DropAll(Output, Match{Proto: ICMP, To: "192.0.2.0/24"})
	errs6 := b.Host.DropAll(Output, Match{Proto: ICMP, To: "2001:db8::1"})
	sendUDP(t, a.Host, "192.0.2.2:99", 500)
	sendUDP(t, a.Host, "[2001:db8::2]:99", 500)
	// Errors are sent from the receiving side's softirq, a moment later.
	waitFor(t, func() bool { return counts(t, errs).OtherICMP == 500 && counts(t, errs6).OtherICMP == 500 },
		func() string { return fmt.Sprintf("%+v %+v", counts(t, errs), counts(t, errs6)) })
}

func TestBadMatches(t *testing.T) {
	for _, m := range []Match{{Proto: "sctp"}, {Port: 80}, {Proto: ICMP, Port: 80}, {To: "somewhere"}, {From: "192.0.2.0/33"}} {
		if _, err := m.exprs(); err == nil {
			t.Errorf("%+v passed", m)
		}
	}
	l := New(Options{})
	defer l.Close()
	h := &Host{lab: l, ns: -1}
	l.err = nil
	if h.DropShare(Input, Match{}, 3, 2); l.Err() == nil {
		t.Error("3 of 2 packets passed")
	}
	l.err = nil
	if h.Reject(Input, Match{Proto: UDP}, TCPReset); l.Err() == nil {
		t.Error("a TCP reset for UDP passed")
	}
}

// waitFor waits until ok, and fails with what describe says after 10 s.
func waitFor(t *testing.T, ok func() bool, describe func() string) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("not within 10 s: %s", describe())
		}
		time.Sleep(10 * time.Millisecond)
	}
}
