// SPDX-License-Identifier: Apache-2.0

package endtoend

import (
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/netprobe-xdp/netprobe-xdp/internal/lab"
)

// pair connects two hosts by a link: a is 192.0.2.1 and 2001:db8::1, b ends
// in 2.
func pair(t *testing.T) (a, b *lab.End) {
	t.Helper()
	l := lab.ForTest(t, "endtoend")
	return l.Connect(l.Host("a"), l.Host("b"), lab.Link{
		A: []string{"192.0.2.1/24", "2001:db8::1/64"},
		B: []string{"192.0.2.2/24", "2001:db8::2/64"},
	})
}

// freePort returns a TCP port of 127.0.0.1 here that nobody listens on.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// usual is the port of the metrics in a namespace where nobody else listens.
const usual = 8000

// global is the section of that name, for short rounds.
func global(port int, more ...string) string {
	return fmt.Sprintf("global: {probe_name: lab, interval: 1, nb_proc: 1, logging_level: INFO, prometheus_address: 127.0.0.1, prometheus_port: %d, dns_update_interval: 0%s}\n",
		port, strings.Join(append([]string{""}, more...), ", "))
}

// groups is one group, with ten source ports.
const groups = "groups: {g: {src_port_a: 65000, src_port_z: 65009}}\n"

// targets is the section of that name.
func targets(lines ...string) string { return "targets:\n  " + strings.Join(lines, "\n  ") + "\n" }

// pings probes both addresses of the pair's far host.
func pings(port int) string {
	return global(port) + groups + targets(
		`four: {type: ICMPping, destination: 192.0.2.2, nb_packets: 10, timeout: 0.3}`,
		`six: {type: ICMPping, destination: "2001:db8::2", nb_packets: 10, timeout: 0.3}`)
}

// slot is what the kernel says of an XDP slot.
type slot struct {
	program uint32 // 0: the slot is free
	mode    uint32 // nl.XDP_ATTACHED_*
}

// xdp returns what is in the XDP slot of an end.
func xdp(t *testing.T, e *lab.End) slot {
	t.Helper()
	var s slot
	err := e.Host.Do(func() error {
		link, err := netlink.LinkByName(e.Name)
		if err != nil {
			return err
		}
		if x := link.Attrs().Xdp; x != nil && x.Attached {
			s = slot{x.ProgId, x.AttachMode}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// listening says whether somebody takes connections at 127.0.0.1:port in the
// host, or here where host is nil.
func listening(t *testing.T, host *lab.Host, port int) bool {
	t.Helper()
	return reachable(t, host, fmt.Sprintf("127.0.0.1:%d", port))
}

func reachable(t *testing.T, host *lab.Host, addr string) bool {
	t.Helper()
	var c net.Conn
	err := inside(host, func() (err error) {
		c, err = net.DialTimeout("tcp", addr, patience)
		return err
	})
	if err == nil {
		c.Close()
	}
	return err == nil
}

// inside runs f in the namespace of host, or here where host is nil.
func inside(host *lab.Host, f func() error) error {
	if host == nil {
		return f()
	}
	return host.Do(f)
}

// nothingLeft checks that a run left neither its XDP program nor its port.
func nothingLeft(t *testing.T, e *lab.End, host *lab.Host, port int) {
	t.Helper()
	if s := xdp(t, e); s != (slot{}) {
		t.Errorf("left behind: XDP program %d on %s", s.program, e.Name)
	}
	if listening(t, host, port) {
		t.Errorf("left behind: something listens on port %d", port)
	}
}
