// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"

	"github.com/netprobe-xdp/netprobe-xdp/internal/lab"
)

// TestWire holds that answers which the veth does not deliver are counted, each
// once, and those which it does are not: a veth has no ring for what an XDP program
// sends back while the other end has none.
func TestWire(t *testing.T) {
	r, err := newRig(lab.ForTest(t, "soak"), 2)
	if err != nil {
		t.Fatal(err)
	}
	lab.Tool(t, "ethtool", "ethtool")
	ping := func(answered string) {
		t.Helper()
		out, _ := r.prober.Exec(t.Context(), "ping", "-n", "-i", "0.002", "-c", "20", "-W", "1", "10.0.0.1")
		if !strings.Contains(out, "20 packets transmitted, "+answered+" received") {
			t.Fatalf("ping: want 20 sent, %s answered:\n%s", answered, out)
		}
	}
	for i, s := range []struct {
		answered string
		want     wire
	}{
		{"0", wire{Answered: 20, Died: 20}},
		{"20", wire{Answered: 40, Died: 20}},
	} {
		if i == 1 {
			lab.AttachPass(r.near)
		}
		ping(s.answered)
		got, err := r.wire()
		if err != nil || got != s.want {
			t.Errorf("answered %s: %+v, %v; want %+v", s.answered, got, err, s.want)
		}
	}
	if err := r.lab.Err(); err != nil {
		t.Error(err)
	}
}

// TestDiedOnVeth holds that what says nothing of drops is not taken for none.
func TestDiedOnVeth(t *testing.T) {
	for _, text := range []string{"", "NIC statistics:\n     peer_ifindex: 2\n", "     rx_queue_0_xdp_tx_errors: many\n"} {
		if n, err := diedOnVeth(text); err == nil {
			t.Errorf("%q: %v, and no error", text, n)
		}
	}
}
