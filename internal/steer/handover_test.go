// SPDX-License-Identifier: Apache-2.0

package steer

import (
	"bytes"
	"net"
	"testing"
	"time"

	mpacket "github.com/mdlayher/packet"

	"github.com/netprobe-xdp/netprobe-xdp/internal/packet/packettest"
	"github.com/netprobe-xdp/netprobe-xdp/internal/xsk"
)

// TestHandOver sends the corpus through a veth pair: exactly the replies reach a
// real socket, whole, each with its receive time.
func TestHandOver(t *testing.T) {
	for _, mode := range []string{ModeNative, ModeGeneric} {
		t.Run(mode, func(t *testing.T) {
			inNamespace(t, func() { handOver(t, mode) })
		})
	}
}

func handOver(t *testing.T, mode string) {
	p := load(t, 1)
	ifindex := veth(t, 1, 1)
	socket, err := xsk.Open(xsk.Options{Ifindex: ifindex, RxFrames: 1024, TxFrames: 64, FrameSize: 4096, Bind: "copy"})
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	if err := p.Register(0, socket.FD()); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Attach(ifindex, mode); err != nil {
		t.Fatal(err)
	}
	peer, err := net.InterfaceByName("b")
	if err != nil {
		t.Fatal(err)
	}
	wire, err := mpacket.Listen(peer, mpacket.Raw, 0x88b5, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer wire.Close()
	base := time.Now()
	offset, uncertainty, err := ClockOffset(base)
	if err != nil {
		t.Fatal(err)
	}

	var want [][]byte
	for _, c := range packettest.Corpus() {
		if len(c.Frame) < 14 || mode == ModeGeneric && c.Frame[12] != 0x08 && c.Frame[12] != 0x86 {
			continue // generic mode never sees a tag: the kernel has taken it out
		}
		if len(c.Frame) > 1514 {
			continue
		}
		before := time.Since(base)
		if _, err := wire.WriteTo(c.Frame, &mpacket.Addr{HardwareAddr: net.HardwareAddr(c.Frame[:6])}); err != nil {
			t.Fatalf("%s: %v", c.Name, err)
		}
		if !c.Want.Steered() {
			continue
		}
		want = append(want, c.Frame)
		deadline := time.Now().Add(10 * time.Second)
		for socket.Receive(8) == 0 {
			if time.Now().After(deadline) {
				t.Fatalf("%s did not arrive", c.Name)
			}
			time.Sleep(100 * time.Microsecond)
		}
		after := time.Since(base)
		frame, meta := socket.Frame(0)
		m, ok := ReadMeta(meta)
		if !ok || m.Verdict != c.Want || !bytes.Equal(frame, c.Frame) {
			t.Fatalf("%s: metadata %x (%v), frame\n%x, want\n%x", c.Name, meta, ok, frame, c.Frame)
		}
		if at := time.Duration(m.RxNS) - offset; at < before-uncertainty || at > after+uncertainty {
			t.Errorf("%s: received at %v, sent after %v, seen at %v", c.Name, at, before, after)
		}
		socket.Release()
	}
	if n := socket.Receive(8); n != 0 {
		t.Errorf("%d frames more than were ours", n)
	}
	c, err := p.Counters()
	if err != nil {
		t.Fatal(err)
	}
	if c.Queues[0].Steered != uint64(len(want)) || len(want) == 0 {
		t.Errorf("counted %d steered, received %d", c.Queues[0].Steered, len(want))
	}
}
