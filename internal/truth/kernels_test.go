// SPDX-License-Identifier: Apache-2.0

//go:build kernels

package truth

import (
	"math"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"github.com/netprobe-xdp/netprobe-xdp/internal/lab"
	"github.com/netprobe-xdp/netprobe-xdp/internal/result"
)

// What is tested here needs devices or impairments that few kernels have all
// of. scripts/test-kernels.sh boots kernels that do.

// everyKind probes a host by all types over both families.
func everyKind(p *pair, probes int) setup {
	s := setup{on: p.prober, hosts: []*lab.Host{p.host}, ifaces: []string{p.nearEnd.Name}, interval: 10 * time.Second, gap: 20 * time.Millisecond,
		groups: []group{{name: "g", a: 20000, z: 20255}}, lead: 4 * time.Second}
	s.targets = everyPort(probes, 2*time.Second)
	return s
}

// pings probes a host by echo requests over both families.
func pings(p *pair, probes int) setup {
	s := everyKind(p, probes)
	s.targets = []target{
		{name: "echo-ipv4", kind: "ICMPping", addr: far4, packets: probes, timeout: 2 * time.Second},
		{name: "echo-ipv6", kind: "ICMPping", addr: far6, packets: probes, timeout: 2 * time.Second},
	}
	return s
}

// TestKernelDevices runs a round of every type and family over the devices that
// qemu has, and over devices that stand on others.
func TestKernelDevices(t *testing.T) {
	for _, tt := range []struct {
		name string
		mode string // of XDP, that "auto" chooses
		make func(t *testing.T) *pair
	}{
		{"veth", "native", func(t *testing.T) *pair { return newPair(t, 2) }},
		{"virtio-net", "native", func(t *testing.T) *pair { return adopt(t, 1) }},
		{"e1000e", "generic", func(t *testing.T) *pair { return adopt(t, 2) }},
		{"vlan", "generic", vlans},
		{"bond", "generic", bonds},
	} {
		t.Run(tt.name, func(t *testing.T) {
			const probes = 100
			p := tt.make(t)
			listen(t, p.host, lab.Discard, 80, far4, far6)
			s := everyKind(p, probes)
			r := start(t, s)
			r.wait(func() bool { return strings.Contains(r.log.String(), "msg=attached") }, 20*time.Second, r.log.String)
			if !strings.Contains(r.log.String(), "xdp="+tt.mode) {
				t.Errorf("want mode %s:\n%s", tt.mode, r.log.String())
			}
			r.quiet(1, func() {
				for _, tg := range s.targets {
					r.whole(tg.name, probes)
				}
			})
		})
	}
}

// TestKernelDelay holds that the median moves by what a queue holds packets
// back, and nothing is lost for it.
func TestKernelDelay(t *testing.T) {
	const probes, delay = 100, 20 * time.Millisecond
	p := newPair(t, 1)
	listen(t, p.host, lab.Discard, 80, far4, far6)
	s := everyKind(p, probes)
	r := start(t, s)
	before := map[string]time.Duration{}
	r.quiet(1, func() {
		for _, tg := range s.targets {
			r.whole(tg.name, probes)
			before[tg.name] = r.median(tg.name)
		}
		impair(t, p.farEnd, netlink.NetemQdiscAttrs{Latency: uint32(delay.Microseconds())})
	})
	r.quiet(2, func() {
		for _, tg := range s.targets {
			r.whole(tg.name, 2*probes)
			moved := r.median(tg.name) - before[tg.name]
			t.Logf("%s: from %v by %v", tg.name, before[tg.name], moved)
			if off := moved - delay; off < -500*time.Microsecond || off > time.Millisecond {
				t.Errorf("%s: the median moved by %v, want %v", tg.name, moved, delay)
			}
		}
	})
}

// impaired is how many echo requests of each family an impairment is shown
// with.
const impaired = 300

// within fails the test when n of many differs from a share by more than six
// standard deviations: by chance once in a thousand million runs.
func within(t *testing.T, what string, n uint64, many, share float64) {
	t.Helper()
	t.Logf("%s: %d of %.0f, %.1f %% asked for", what, n, many, 100*share)
	if off := math.Abs(float64(n) - many*share); off > 6*math.Sqrt(many*share*(1-share)) {
		t.Errorf("%s: %d of %.0f, want a share of %.2f", what, n, many, share)
	}
}

// TestKernelLoss holds that what a queue drops is what is lost.
func TestKernelLoss(t *testing.T) {
	p := newPair(t, 1)
	impair(t, p.farEnd, netlink.NetemQdiscAttrs{Loss: 10})
	r := start(t, pings(p, impaired))
	r.quiet(1, func() {
		sum := r.all()
		within(t, "lost", sum.Lost, 2*impaired, 0.1)
		// It drops neighbour discovery too: a few packets more than replies.
		dropped := uint64(qdiscOf(t, p.farEnd).Statistics.Queue.Drops)
		if sum.Sent != 2*impaired || sum.Lost > dropped || sum.Lost+20 < dropped {
			t.Errorf("%s; the queue dropped %d", show(sum), dropped)
		}
	})
}

// TestKernelDuplicates holds that second answers are duplicates, and nothing
// else.
func TestKernelDuplicates(t *testing.T) {
	p := newPair(t, 1)
	impair(t, p.farEnd, netlink.NetemQdiscAttrs{Duplicate: 20})
	r := start(t, pings(p, impaired))
	r.quiet(1, func() {
		sum := r.all()
		within(t, "duplicates", sum.Duplicates, 2*impaired, 0.2)
		if sum.Sent != 2*impaired || sum.Lost != 0 {
			t.Error(show(sum))
		}
	})
}

// TestKernelReordering holds that answers that overtake others are counted as
// reordered, and none is lost. A quarter goes at once, the others wait for longer
// than the time between two probes: each of the first overtakes its
// predecessor unless that went at once too.
func TestKernelReordering(t *testing.T) {
	p := newPair(t, 1)
	impair(t, p.farEnd, netlink.NetemQdiscAttrs{Latency: 30_000, ReorderProb: 25})
	r := start(t, pings(p, impaired))
	r.quiet(1, func() {
		var reordered uint64
		for _, name := range []string{"echo-ipv4", "echo-ipv6"} {
			reordered += r.of(name).Reordered
		}
		within(t, "reordered", reordered, 2*impaired, 0.75*0.25)
		if sum := r.all(); sum.Sent != 2*impaired || sum.Lost != 0 || sum.Duplicates != 0 {
			t.Error(show(sum))
		}
	})
}

// TestKernelCorruption holds that a damaged answer is no answer to another
// probe, and that no figure comes of it that is out of range.
func TestKernelCorruption(t *testing.T) {
	p := newPair(t, 1)
	impair(t, p.farEnd, netlink.NetemQdiscAttrs{CorruptProb: 30})
	r := start(t, pings(p, impaired))
	r.quiet(1, func() {
		sum := r.all()
		t.Logf("30 %% damaged: %s", show(sum))
		// One flipped bit of some seventy bytes: where it is in what identifies the
		// probe, the answer is lost; elsewhere it is none the worse.
		if sum.Sent != 2*impaired || sum.Lost == 0 || sum.Lost > 2*impaired*36/100 || sum.Duplicates+sum.Late+unknown(sum)+notSent(sum) != 0 {
			t.Errorf("%s, want fewer lost than damaged, and nothing else", show(sum))
		}
		for _, name := range []string{"echo-ipv4", "echo-ipv6"} {
			if s := r.of(name); s.Min <= 0 || s.Max > 2*time.Second {
				t.Errorf("%s: round trips from %v to %v", name, s.Min, s.Max)
			}
		}
	})
}

// median is that of a target's last round.
func (r *run) median(name string) time.Duration {
	r.t.Helper()
	var one result.Snapshot
	r.series(name)[0].Snapshot(&one)
	for i, p := range one.Percentiles() {
		if p == 50 {
			return one.RoundTrips[i]
		}
	}
	r.t.Fatalf("%s has no median", name)
	return 0
}

// impair puts a queue that impairs on an end.
func impair(t *testing.T, e *lab.End, a netlink.NetemQdiscAttrs) {
	t.Helper()
	err := e.Host.Do(func() error {
		return netlink.QdiscReplace(netlink.NewNetem(netlink.QdiscAttrs{LinkIndex: e.Index, Parent: netlink.HANDLE_ROOT, Handle: netlink.MakeHandle(1, 0)}, a))
	})
	if err != nil {
		t.Fatalf("impair %s: %v", e.Name, err)
	}
}

// qdiscOf reads the queue of an end.
func qdiscOf(t *testing.T, e *lab.End) *netlink.QdiscAttrs {
	t.Helper()
	var found *netlink.QdiscAttrs
	err := e.Host.Do(func() error {
		all, err := netlink.QdiscList(&netlink.Dummy{LinkAttrs: netlink.LinkAttrs{Index: e.Index}})
		for _, q := range all {
			if q.Type() == "netem" {
				found = q.Attrs()
			}
		}
		return err
	})
	if err != nil || found == nil {
		t.Fatalf("read the queue of %s: %v, %v", e.Name, found, err)
	}
	return found
}

// adopt makes a pair of the two network cards that scripts/test-kernels.sh
// wired to each other as hub n.
func adopt(t *testing.T, hub byte) *pair {
	t.Helper()
	l := lab.ForTest(t, "truth")
	p := &pair{lab: l, prober: l.Host("prober"), host: l.Host("host")}
	p.nearEnd = card(t, p.prober, net.HardwareAddr{0x52, 0x54, 0, 0, hub, 1}, near4+"/24", near6+"/64")
	p.farEnd = card(t, p.host, net.HardwareAddr{0x52, 0x54, 0, 0, hub, 2}, far4+"/24", far6+"/64")
	p.host.UnlimitedICMP()
	return p
}

// card moves a network card into a host. It comes back when the host goes, which takes
// as long as connections of the host's last.
func card(t *testing.T, h *lab.Host, mac net.HardwareAddr, addrs ...string) *lab.End {
	t.Helper()
	name := ""
	for end := time.Now().Add(time.Minute); name == ""; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("no network card %s here", mac)
		}
		all, err := netlink.LinkList()
		if err != nil {
			t.Fatal(err)
		}
		for _, link := range all {
			if link.Attrs().HardwareAddr.String() == mac.String() {
				name = link.Attrs().Name
			}
		}
	}
	link, err := netlink.LinkByName(name)
	if err != nil {
		t.Fatal(err)
	}
	ns, err := netns.GetFromName(h.Netns)
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	if err := netlink.LinkSetNsFd(link, int(ns)); err != nil {
		t.Fatalf("move %s to %s: %v", name, h.Name, err)
	}
	return configured(t, h, name, addrs...)
}

// configured sets a device of a host up with these addresses, and waits until
// it is running.
func configured(t *testing.T, h *lab.Host, name string, addrs ...string) *lab.End {
	t.Helper()
	e := &lab.End{Host: h, Name: name}
	err := h.Do(func() error {
		link, err := netlink.LinkByName(name)
		if err != nil {
			return err
		}
		e.Index, e.MAC = link.Attrs().Index, link.Attrs().HardwareAddr
		for _, a := range addrs {
			addr, err := netlink.ParseAddr(a)
			if err != nil {
				return err
			}
			addr.Flags = 2 // IFA_F_NODAD: usable at once
			if err := netlink.AddrAdd(link, addr); err != nil {
				return err
			}
		}
		if err := netlink.LinkSetUp(link); err != nil {
			return err
		}
		for range 500 {
			if link, err = netlink.LinkByIndex(e.Index); err != nil || link.Attrs().OperState == netlink.OperUp {
				return err
			}
			time.Sleep(10 * time.Millisecond)
		}
		return nil
	})
	if err != nil {
		t.Fatalf("configure %s of %s: %v", name, h.Name, err)
	}
	return e
}

// vlans is a pair of VLAN devices on a veth pair.
func vlans(t *testing.T) *pair {
	t.Helper()
	l := lab.ForTest(t, "truth")
	p := &pair{lab: l, prober: l.Host("prober"), host: l.Host("host")}
	near, far := l.Connect(p.prober, p.host, lab.Link{})
	on := func(e *lab.End, addrs ...string) *lab.End {
		addLink(t, e.Host, &netlink.Vlan{LinkAttrs: netlink.LinkAttrs{Name: "tagged", ParentIndex: e.Index}, VlanId: 100})
		return configured(t, e.Host, "tagged", addrs...)
	}
	p.nearEnd, p.farEnd = on(near, near4+"/24", near6+"/64"), on(far, far4+"/24", far6+"/64")
	p.host.UnlimitedICMP()
	return p
}

// bonds is a pair of bonds, each over its ends of two veth pairs.
func bonds(t *testing.T) *pair {
	t.Helper()
	l := lab.ForTest(t, "truth")
	p := &pair{lab: l, prober: l.Host("prober"), host: l.Host("host")}
	var near, far []*lab.End
	for range 2 {
		n, f := l.Connect(p.prober, p.host, lab.Link{})
		near, far = append(near, n), append(far, f)
	}
	on := func(ends []*lab.End, addrs ...string) *lab.End {
		h := ends[0].Host
		bond := netlink.NewLinkBond(netlink.LinkAttrs{Name: "bond"})
		bond.Mode = netlink.BOND_MODE_ACTIVE_BACKUP
		bond.Miimon = 100
		addLink(t, h, bond)
		err := h.Do(func() error {
			for _, e := range ends {
				link, err := netlink.LinkByIndex(e.Index)
				if err != nil {
					return err
				}
				if err := netlink.LinkSetDown(link); err != nil {
					return err
				}
				if err := netlink.LinkSetBondSlave(link, &netlink.Bond{LinkAttrs: netlink.LinkAttrs{Name: "bond"}}); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatalf("bond on %s: %v", h.Name, err)
		}
		return configured(t, h, "bond", addrs...)
	}
	p.nearEnd, p.farEnd = on(near, near4+"/24", near6+"/64"), on(far, far4+"/24", far6+"/64")
	p.host.UnlimitedICMP()
	return p
}

// addLink adds a device to a host.
func addLink(t *testing.T, h *lab.Host, link netlink.Link) {
	t.Helper()
	if err := h.Do(func() error { return netlink.LinkAdd(link) }); err != nil {
		t.Fatalf("add %s %s to %s: %v", link.Type(), link.Attrs().Name, h.Name, err)
	}
}
