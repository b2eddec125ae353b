// SPDX-License-Identifier: Apache-2.0

package packet_test

import (
	"net/netip"
	"testing"

	"github.com/netprobe-xdp/netprobe-xdp/internal/packet"
	"github.com/netprobe-xdp/netprobe-xdp/internal/packet/packettest"
)

func verifier() *packet.Verifier {
	v := packet.NewVerifier(packettest.Secret)
	v.SetFilter(packettest.Filter())
	return v
}

func TestParse(t *testing.T) {
	v := verifier()
	for _, c := range packettest.Corpus() {
		t.Run(c.Name, func(t *testing.T) {
			r := packet.Reply{Kind: 99, Number: 99, Type: 99}
			got := v.Parse(c.Frame, &r)
			if got != c.Want {
				t.Fatalf("verdict %v, want %v\n%x", got, c.Want, c.Frame)
			}
			if !got.Steered() {
				return
			}
			if r.Kind != packet.Kind(got) || r.Flow != c.Flow || r.Number != c.Number || r.From != c.From {
				t.Errorf("reply %+v, want flow %+v, number %d, from %v", r, c.Flow, c.Number, c.From)
			}
			if r.Hash != packettest.Secret.Hash(&c.Flow) {
				t.Errorf("hash %#x is not the flow's", r.Hash)
			}
			if r.TTL != 57 {
				t.Errorf("TTL %d, want 57", r.TTL)
			}
			if r.Kind == packet.Error && r.Type == 0 {
				t.Errorf("error without type: %+v", r)
			}
		})
	}
}

// TestParseAnotherSecret shows that nothing of an earlier run is taken for ours.
func TestParseAnotherSecret(t *testing.T) {
	v := packet.NewVerifier(packet.Secret{1, 2})
	v.SetFilter(packettest.Filter())
	for _, c := range packettest.Corpus() {
		var r packet.Reply
		if got := v.Parse(c.Frame, &r); got.Steered() {
			// Four bytes of a quoted UDP header hold too little to be sure.
			t.Logf("%s: %v", c.Name, got)
			if !c.Want.Steered() || c.Flow.Proto != packet.UDP {
				t.Errorf("%s: %v under another secret", c.Name, got)
			}
		}
	}
}

func TestParseWithoutFilter(t *testing.T) {
	v := packet.NewVerifier(packettest.Secret)
	for _, c := range packettest.Corpus() {
		var r packet.Reply
		if got := v.Parse(c.Frame, &r); got.Steered() {
			t.Errorf("%s: %v without a filter", c.Name, got)
		}
	}
}

func TestAlternate(t *testing.T) {
	for _, c := range packettest.Corpus() {
		if c.Name != "v4 error on 17 quoting eight bytes, id of the next probe" {
			continue
		}
		var r packet.Reply
		if verifier().Parse(c.Frame, &r); r.Number != 1235 || r.Alternate != 1234 || !r.Weak {
			t.Errorf("number %d, alternate %d, weak %v; want 1235 by id and 1234 by checksum, weak", r.Number, r.Alternate, r.Weak)
		}
		return
	}
	t.Fatal("the corpus has no such case")
}

// TestParseEveryNumber takes every number of a flow through the quotation that
// holds least.
func TestParseEveryNumber(t *testing.T) {
	v := verifier()
	sh := &packet.Shape{}
	b := make([]byte, 64)
	for port := range uint16(40) {
		f := packet.Flow{Proto: packet.UDP, Local: netip.MustParseAddr("192.0.2.1"), Remote: netip.MustParseAddr("198.51.100.7"), LocalPort: 65000, RemotePort: port}
		h := packettest.Secret.Hash(&f)
		for n := uint32(0); n < packet.UDPNumbers; n += 5 {
			p := packettest.Dissect(b[:packet.Build(b, &f, sh, h, n, [6]byte{}, [6]byte{})])
			var r packet.Reply
			got := v.Parse(p.Error(f.Remote, 3, 3, 28), &r)
			if got != packet.Verdict(packet.Error) || r.Number != n || r.Alternate != n || r.Weak {
				t.Fatalf("port %d, probe %d: %v, number %d, alternate %d, weak %v", port, n, got, r.Number, r.Alternate, r.Weak)
			}
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, c := range packettest.Corpus() {
		f.Add(c.Frame)
	}
	v := verifier()
	f.Fuzz(func(t *testing.T, frame []byte) {
		var r packet.Reply
		got := v.Parse(frame, &r)
		if got == 0 || got >= packet.NoSocket {
			t.Fatalf("verdict %v", got)
		}
		if got.Steered() && (r.Hash != packettest.Secret.Hash(&r.Flow) || !r.From.IsValid() || r.Kind != packet.Kind(got)) {
			t.Errorf("%v: %+v", got, r)
		}
	})
}

func BenchmarkParse(b *testing.B) {
	for _, name := range []string{"v4 tcp syn-ack", "v6 tcp syn-ack", "v4 echo reply", "v6 echo reply", "v4 error on 17 from the target", "v6 error on 17 from the target", "v4 tcp segment"} {
		for _, c := range packettest.Corpus() {
			if c.Name != name {
				continue
			}
			b.Run(name, func(b *testing.B) {
				v := verifier()
				var r packet.Reply
				b.ReportAllocs()
				for b.Loop() {
					v.Parse(c.Frame, &r)
				}
			})
		}
	}
}
