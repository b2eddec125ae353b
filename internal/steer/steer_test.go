// SPDX-License-Identifier: Apache-2.0

package steer

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/netprobe-xdp/netprobe-xdp/bpf"
	"github.com/netprobe-xdp/netprobe-xdp/internal/exitcode"
	"github.com/netprobe-xdp/netprobe-xdp/internal/packet"
	"github.com/netprobe-xdp/netprobe-xdp/internal/packet/packettest"
)

// needRoot skips a test where it cannot run; in CI that is a failure.
func needRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatal("needs root")
	}
	t.Skip("needs root")
}

// load returns a program for the corpus, with a number of queues.
func load(t testing.TB, queues int) *Program {
	t.Helper()
	needRoot(t)
	p, err := Load(Options{Secret: packettest.Secret, Queues: queues})
	if err != nil {
		t.Fatalf("%+v", err)
	}
	t.Cleanup(func() { p.Close() })
	if err := p.SetFilter(packettest.Filter()); err != nil {
		t.Fatal(err)
	}
	return p
}

// verdict runs a frame through the program, without a socket, and returns what
// was counted for it.
func verdict(t *testing.T, p *Program, frame []byte) packet.Verdict {
	t.Helper()
	before, err := p.Counters()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.objects.Steer.Run(&ebpf.RunOptions{Data: frame, DataOut: make([]byte, len(frame)+MetaLen)}); err != nil {
		t.Fatal(err)
	}
	after, err := p.Counters()
	if err != nil {
		t.Fatal(err)
	}
	for v := range after.Verdicts {
		if after.Verdicts[v] != before.Verdicts[v] {
			return packet.Verdict(v)
		}
	}
	t.Fatal("nothing was counted")
	return 0
}

func TestSetFilter(t *testing.T) {
	p := load(t, 1)
	probe := func(f packet.Flow) []byte {
		p := packettest.Dissect(packettest.Build(f, 0, 3))
		return p.TCP(packettest.SYN|packettest.ACK, p.Seq()+1)
	}
	old, other := packettest.Flows()[0], packettest.Flows()[0]
	other.Local, other.LocalPort, other.RemotePort = netip.MustParseAddr("192.0.2.99"), 1, 65535
	v6 := packettest.Flows()[3]

	expect := func(step string, f packet.Flow, want packet.Verdict) {
		t.Helper()
		if got := verdict(t, p, probe(f)); got != want {
			t.Errorf("%s: %v, want %v", step, got, want)
		}
	}
	expect("first filter", old, packet.NoSocket)
	expect("first filter", other, packet.NotLocal)

	both := packettest.Filter()
	both.AddLocal(other.Local)
	if err := p.SetFilter(both); err != nil {
		t.Fatal(err)
	}
	expect("address added", old, packet.NoSocket)
	expect("address added", other, packet.NotPort)

	both = packettest.Filter()
	both.AddLocal(other.Local)
	both.LocalTCP.Add(other.LocalPort)
	both.RemoteTCP.Add(other.RemotePort)
	if err := p.SetFilter(both); err != nil {
		t.Fatal(err)
	}
	expect("ports added", old, packet.NoSocket)
	expect("ports added", other, packet.NoSocket)

	only := new(packet.Filter)
	only.AddLocal(other.Local)
	only.AddLocal(v6.Local)
	only.LocalTCP.Add(other.LocalPort)
	only.RemoteTCP.Add(other.RemotePort)
	if err := p.SetFilter(only); err != nil {
		t.Fatal(err)
	}
	expect("address and ports removed", old, packet.NotLocal)
	expect("address and ports removed", other, packet.NoSocket)
	expect("ports removed", v6, packet.NotPort)

	if err := p.SetFilter(new(packet.Filter)); err != nil {
		t.Fatal(err)
	}
	expect("empty filter", other, packet.NotLocal)
	var key bpf.SteerLocalAddr
	var value uint8
	if p.objects.Locals.Iterate().Next(&key, &value) {
		t.Errorf("address %v is left in the map", text(key.Bytes))
	}
}

// TestSecret: the program uses the secret it was given.
func TestSecret(t *testing.T) {
	needRoot(t)
	p, err := Load(Options{Secret: packet.Secret{1, 2}, Queues: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if err := p.SetFilter(packettest.Filter()); err != nil {
		t.Fatal(err)
	}
	probe := packettest.Dissect(packettest.Build(packettest.Flows()[0], 0, 3))
	if got := verdict(t, p, probe.TCP(packettest.SYN|packettest.ACK, probe.Seq()+1)); got != packet.BadToken {
		t.Errorf("reply under another secret: %v", got)
	}
}

// TestCountersByQueue registers a socket on one queue of two.
func TestCountersByQueue(t *testing.T) {
	p := load(t, 2)
	fd, err := unix.Socket(unix.AF_XDP, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Register(0, fd); err != nil {
		t.Fatal(err)
	}
	if err := p.Register(2, fd); err == nil {
		t.Error("queue 2 of 2 was registered")
	}
	probe := packettest.Dissect(packettest.Build(packettest.Flows()[2], 0, 3))
	reply, request := probe.Echo(probe.Dst), packettest.Build(packettest.Flows()[2], 0, 3)
	run := func(frame []byte) uint32 {
		action, err := p.objects.Steer.Run(&ebpf.RunOptions{Data: frame, DataOut: make([]byte, len(frame)+MetaLen)})
		if err != nil {
			t.Fatal(err)
		}
		return action
	}
	for range 3 {
		if run(reply) != xdpRedirect {
			t.Fatal("the reply was not redirected")
		}
	}
	run(request)
	c, err := p.Counters()
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Queues) != 2 || c.Queues[0] != (QueueCounters{Steered: 3, Passed: 1}) || c.Queues[1] != (QueueCounters{}) {
		t.Errorf("by queue: %+v", c.Queues)
	}
	if c.Verdicts[packet.Echo] != 3 || c.Verdicts[packet.NotReply] != 1 {
		t.Errorf("by verdict: %v", c.Verdicts)
	}
	// A closed socket leaves the map: its replies stay with the host.
	unix.Close(fd)
	if run(reply) != xdpPass {
		t.Error("the reply was redirected to a closed socket")
	}
}

func TestMeta(t *testing.T) {
	good := make([]byte, 48)
	m := good[24:]
	binary.NativeEndian.PutUint64(m, 123456789)
	binary.NativeEndian.PutUint32(m[8:], metaMagic)
	binary.NativeEndian.PutUint32(m[12:], uint32(packet.Echo))
	binary.NativeEndian.PutUint64(m[16:], 1<<63)
	if got, ok := ReadMeta(good); !ok || got != (Meta{123456789, packet.Verdict(packet.Echo), 1 << 63}) {
		t.Errorf("%+v, %v", got, ok)
	}
	if _, ok := ReadMeta(good[25:]); ok {
		t.Error("23 bytes are metadata")
	}
	m[8]++
	if _, ok := ReadMeta(good); ok {
		t.Error("another magic is metadata")
	}
}

func TestLoadError(t *testing.T) {
	if err := loadError(unix.EPERM); exitcode.Of(err) != exitcode.NoPermission {
		t.Errorf("EPERM: %v", err)
	}
	if err := loadError(unix.EINVAL); exitcode.Of(err) != exitcode.Unavailable {
		t.Errorf("EINVAL: %v", err)
	}
}

// TestLoadWithoutCapability loads in a process that lacks a capability.
func TestLoadWithoutCapability(t *testing.T) {
	const variable = "NPX_STEER_LOAD"
	needRoot(t)
	if os.Getenv(variable) != "" {
		_, err := Load(Options{Queues: 1})
		fmt.Printf("exit code %d: %v\n", exitcode.Of(err), err)
		return
	}
	setpriv, err := exec.LookPath("setpriv")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip("needs setpriv of util-linux")
	}
	for _, missing := range []string{"-bpf,-sys_admin", "-net_admin,-sys_admin"} {
		child := exec.Command(setpriv, "--bounding-set="+missing, os.Args[0], "-test.run=^TestLoadWithoutCapability$")
		child.Env = append(os.Environ(), variable+"=1")
		out, err := child.CombinedOutput()
		said := string(out)
		if err != nil || !strings.Contains(said, "exit code 77") || !strings.Contains(said, "CAP_BPF") || !strings.Contains(said, "CAP_NET_ADMIN") {
			t.Errorf("without %s: %v\n%s", missing, err, said)
		}
		t.Logf("without %s: %s", missing, said)
	}
}

// FuzzReadMeta: what stands in front of a frame is ours to the byte, or nothing.
func FuzzReadMeta(f *testing.F) {
	f.Add([]byte{})
	f.Add(make([]byte, MetaLen))
	f.Add(append(make([]byte, 9), "\x01\x02\x03\x04\x05\x06\x07\x08\x31\x58\x50\x4e\x01\x00\x00\x00abcdefgh"...))
	f.Fuzz(func(t *testing.T, headroom []byte) {
		m, ok := ReadMeta(headroom)
		if !ok {
			if m != (Meta{}) {
				t.Errorf("not ours, and yet %+v", m)
			}
			return
		}
		again := binary.NativeEndian.AppendUint64(nil, m.RxNS)
		again = binary.NativeEndian.AppendUint32(again, metaMagic)
		again = append(again, headroom[len(headroom)-MetaLen+12:len(headroom)-MetaLen+16]...)
		again = binary.NativeEndian.AppendUint64(again, m.Hash)
		if string(again) != string(headroom[len(headroom)-MetaLen:]) {
			t.Errorf("%x is read as %+v", headroom, m)
		}
	})
}
