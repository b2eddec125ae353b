// SPDX-License-Identifier: Apache-2.0

package truth

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"

	"github.com/netprobe-xdp/netprobe-xdp/internal/lab"
	"github.com/netprobe-xdp/netprobe-xdp/internal/result"
)

// What others do to the interface while probing goes on: they rename it, take our
// program off, put their own on, give it queues or another MTU.

// steady is a run over a pair whose rounds fill most of the interval.
func steady(t *testing.T, p *pair) (r *run, all uint64) {
	t.Helper()
	const packets = 100
	r = start(t, setup{on: p.prober, hosts: []*lab.Host{p.host}, ifaces: []string{p.nearEnd.Name}, interval: 7 * time.Second, gap: 50 * time.Millisecond,
		groups: []group{{name: "g", a: 20000, z: 20255}}, targets: everyType("", packets, 300*time.Millisecond, far)})
	all = uint64(len(r.setup.targets) * packets)
	r.wait(func() bool { return arrived(t, p.host) > all/10 }, 15*time.Second, func() string { return "no probes arrive" })
	return r, all
}

// says waits until the log has a line that matches.
func (r *run) says(pattern string) {
	r.t.Helper()
	re := regexp.MustCompile(pattern)
	r.wait(func() bool { return re.MatchString(r.log.String()) }, 10*time.Second, func() string { return "the log has no line that matches " + pattern })
}

// notLost checks the round of a change: every probe is accounted for, none is lost,
// and unknown are at most as many as could be under way.
func (r *run) notLost(all, most uint64, why ...result.Doubt) {
	r.t.Helper()
	r.quiet(1, func() {
		r.t.Helper()
		got := r.all()
		r.t.Logf("round of the change: %s", show(got))
		var doubted uint64
		for _, d := range why {
			doubted += got.Unknown[d]
		}
		if got.Lost > r.unable() || got.Sent+notSent(got)+unknown(got) != all || unknown(got) != doubted || doubted > most {
			r.t.Errorf("%s; want none lost, at most %d unknown, and %d in all", show(got), most, all)
		}
	})
}

// wholeAgain checks that the second round has nothing but answers.
func (r *run) wholeAgain(all uint64) {
	r.t.Helper()
	first, silent := r.all(), r.unable()
	r.quiet(2, func() {
		r.t.Helper()
		got := r.all()
		if got.Sent-first.Sent != all || got.Lost-first.Lost != r.unable()-silent || notSent(got) != notSent(first) || unknown(got) != unknown(first) {
			r.t.Errorf("the round after it is not whole: %s, then %s", show(first), show(got))
		}
	})
}

// A name is nothing to a run that has the interface: probing goes on, the log
// says so, and metrics keep the name that was given.
func TestInterfaceRenamed(t *testing.T) {
	t.Parallel()
	p := newPair(t, 2)
	r, all := steady(t, p)
	p.ip(t, "link set "+p.nearEnd.Name+" name other0")
	r.says(`renamed; probing goes on.* was=` + p.nearEnd.Name + ` is=other0`)
	r.notLost(all, 0)
	r.wholeAgain(all)
	if _, n := r.page().sum(t, "netprobe_steered_total", `interface="`+p.nearEnd.Name+`"`); n != 2 {
		t.Errorf("%d queues are counted under the name that was given, want 2", n)
	}
}

// linkOf finds the BPF link that keeps a program on an interface.
func linkOf(t *testing.T, p *pair) link.Link {
	t.Helper()
	m := regexp.MustCompile(`prog/xdp id (\d+)`).FindStringSubmatch(must(t, p.prober, "ip", "-details", "link", "show", "dev", p.nearEnd.Name))
	if m == nil {
		t.Fatal("no XDP program is attached")
	}
	id, _ := strconv.Atoi(m[1])
	var it link.Iterator
	defer it.Close()
	for it.Next() {
		if info, err := it.Link.Info(); err == nil && info.Type == link.XDPType && info.Program == ebpf.ProgramID(id) {
			return it.Take()
		}
	}
	t.Fatalf("no link of program %d: %v", id, it.Err())
	return nil
}

// detach takes our program off as `bpftool link detach` does: the only way,
// since ip(8) cannot.
func detach(t *testing.T, p *pair) {
	t.Helper()
	if _, err := p.prober.Exec(context.WithoutCancel(t.Context()), "ip", "link", "set", p.nearEnd.Name, "xdp", "off"); err == nil {
		t.Error("ip link set xdp off took the program off")
	}
	l := linkOf(t, p)
	defer l.Close()
	if err := l.Detach(); err != nil {
		t.Fatal(err)
	}
}

// Somebody takes our program off: the kernel gets the answers then. They are
// unknown, none is lost, and the program is attached again at once.
func TestProgramTakenOff(t *testing.T) {
	t.Parallel()
	p := newPair(t, 2)
	r, all := steady(t, p)
	detach(t, p)
	r.says(`opening the interface anew.* attached=false`)
	r.wait(func() bool { return strings.Count(r.log.String(), "msg=attached") == 2 }, 10*time.Second, func() string { return "it is not attached again" })
	r.notLost(all, all/2, result.Detached)
	r.wholeAgain(all)
	if got := r.all(); unknown(got) == 0 {
		t.Error("no answer missed us: the test is void")
	}
}

// Somebody takes our program off and puts their own on: it is left alone, and
// the log says whose it is. Nothing is sent until it is gone.
func TestSlotTakenMeanwhile(t *testing.T) {
	t.Parallel()
	p := newPair(t, 2)
	r, all := steady(t, p)
	detach(t, p)
	theirs, err := ebpf.NewProgram(passing)
	if err != nil {
		t.Fatal(err)
	}
	defer theirs.Close()
	var held link.Link
	err = p.prober.Do(func() (err error) {
		held, err = link.AttachXDP(link.XDPOptions{Program: theirs, Interface: p.nearEnd.Index, Flags: link.XDPDriverMode})
		return err
	})
	if err != nil {
		t.Skipf("our program was back before another could take its place: %v", err)
	}
	r.says(`trying again.*XDP slot of ` + p.nearEnd.Name + ` is held by program somebody .*it is not replaced`)
	time.Sleep(600 * time.Millisecond)
	if info, err := held.Info(); err != nil || info.XDP().Ifindex == 0 {
		t.Errorf("their program was taken off (%v)", err)
	}
	before := arrived(t, p.host)
	if err := held.Close(); err != nil {
		t.Fatal(err)
	}
	r.wait(func() bool { return arrived(t, p.host) > before }, 10*time.Second, func() string { return "probing does not go on" })
	r.notLost(all, all/2, result.Detached)
	if got := r.all(); got.NotSent[result.LinkDown] == 0 {
		t.Errorf("%s; want some not sent", show(got))
	}
	r.wholeAgain(all)
}

// Receive queues are added: they get sockets within moments, and the answers
// that came in on them before are unknown, not lost. The kernel refuses to take queues
// away that have sockets.
func TestQueuesAdded(t *testing.T) {
	t.Parallel()
	p := newPair(t, 4)
	ethtool := func(h *lab.Host, iface string, queues int) error {
		_, err := h.Exec(context.WithoutCancel(t.Context()), "ethtool", "-L", iface, "rx", fmt.Sprint(queues), "tx", fmt.Sprint(queues))
		return err
	}
	for _, end := range []*lab.End{p.farEnd, p.nearEnd} {
		if err := ethtool(end.Host, end.Name, 1); err != nil {
			t.Fatal(err)
		}
	}
	r, all := steady(t, p)
	for _, end := range []*lab.End{p.nearEnd, p.farEnd} { // with XDP at most as many are sent on as received
		if err := ethtool(end.Host, end.Name, 4); err != nil {
			t.Fatal(err)
		}
	}
	r.says(`msg=attached.* queues=4`)
	r.notLost(all, all/4, result.UnservedQueue, result.Detached)
	r.wholeAgain(all)
	used := 0
	for q := range 4 {
		if n, _ := r.page().sum(t, "netprobe_steered_total", fmt.Sprintf(`queue="%d"`, q)); n > 0 {
			used++
		}
	}
	if used < 2 {
		t.Error("all answers came in on one queue: the test is void")
	}
	if err := ethtool(p.prober, p.nearEnd.Name, 1); err == nil {
		t.Error("the kernel took queues away that have sockets")
	} else {
		t.Logf("fewer queues: %v", err)
	}
}

// The MTU grows beyond the UMEM frames: the sockets are opened anew, and what is
// as long as the new MTU is measured.
func TestMTUGrows(t *testing.T) {
	t.Parallel()
	p := newPair(t, 2)
	for _, end := range []*lab.End{p.farEnd, p.nearEnd} {
		must(t, end.Host, "ip", "link", "set", end.Name, "mtu", "1400")
	}
	const packets = 40
	s := setup{on: p.prober, hosts: []*lab.Host{p.host}, ifaces: []string{p.nearEnd.Name}, interval: 4 * time.Second, gap: 50 * time.Millisecond,
		groups: []group{{name: "g", a: 20000, z: 20255}}}
	for family, addr := range far {
		s.targets = append(s.targets,
			target{name: "small-" + family, kind: "ICMPping", addr: addr, packets: packets, timeout: 300 * time.Millisecond},
			target{name: "large-" + family, kind: "ICMPping", addr: addr, packets: packets, timeout: 300 * time.Millisecond, size: 3000})
	}
	r := start(t, s)
	r.quiet(1, func() {
		for family := range far {
			r.whole("small-"+family, packets)
			if got := r.of("large-" + family); got.Sent != 0 || got.NotSent[result.TooLarge] != packets {
				t.Errorf("large-%s: %s; want %d not sent, too_large", family, show(got), packets)
			}
		}
		r.says(`target cannot be sent to.*=large-ipv4.*reason=too_large error="a packet would have 3020 bytes, and the MTU of the route is 1400: lower ip_payload_size by 1620, or raise the MTU"`)
		for _, end := range []*lab.End{p.farEnd, p.nearEnd} {
			must(t, end.Host, "ip", "link", "set", end.Name, "mtu", "3500")
		}
	})
	r.says(`opening the interface anew.* mtu=3500`)
	r.quiet(3, func() {
		got := r.all()
		if got.Lost > r.unable() || unknown(got) > 0 {
			t.Errorf("%s; want none lost nor unknown", show(got))
		}
		for family := range far {
			if got := r.of("large-" + family); got.Sent+r.unable() < packets {
				t.Errorf("large-%s: %s; want a whole round sent", family, show(got))
			}
		}
	})
}

// passing is somebody's XDP program.
var passing = &ebpf.ProgramSpec{
	Name: "somebody", Type: ebpf.XDP, License: "Dual BSD/GPL",
	Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 2 /* XDP_PASS */), asm.Return()},
}
