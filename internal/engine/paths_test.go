// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"testing"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/config"
	"github.com/netprobe-xdp/netprobe-xdp/internal/lab"
	"github.com/netprobe-xdp/netprobe-xdp/internal/result"
)

// Where the probes from one source port are dropped, its path shows it, round
// by round, and the other paths are whole.
func TestPathsTellSourcePortsApart(t *testing.T) {
	t.Parallel()
	const interval, perPort, deaf = time.Second, 2, 20002
	l := lab.ForTest(t, "engine")
	prober, host := l.Host("prober"), l.Host("host")
	nearEnd, _ := l.Connect(prober, host, lab.Link{Queues: 2, A: []string{near + "/24"}, B: []string{far + "/24"}})
	if _, err := host.Exec(t.Context(), "nft", "add table ip lost; add chain ip lost in { type filter hook input priority 0; }; add rule ip lost in tcp sport 20002 drop"); err != nil {
		t.Fatal(err)
	}
	r := newRig(t, nearEnd, 2, interval)
	p := planOf(t, interval, [2]uint16{20000, 20003}, config.Target{
		Name: "closed", Type: "TCPsyn", Destination: far, DstPort: 81, NbPackets: 4 * perPort, Timeout: 200 * time.Millisecond,
	})
	if err := r.Add(p.Targets...); err != nil {
		t.Fatal(err)
	}
	if paths, total := r.Paths("open", 10); paths != nil || total != 0 {
		t.Error("there are paths to a target that there is not")
	}
	for sent := uint64(0); sent < 5*4*perPort; time.Sleep(10 * time.Millisecond) {
		sum, _ := r.totals()
		sent = sum.Sent
	}
	if some, total := r.Paths("closed", 3); len(some) != 3 || total != 4 {
		t.Errorf("of at most 3 there are %d of %d; want 3 of 4", len(some), total)
	}
	paths, total := r.Paths("closed", 10)
	if len(paths) != 4 || total != 4 {
		t.Fatalf("%d paths of %d, want 4: %+v", len(paths), total, paths)
	}
	short := 0 // probes that a busy machine was too late for
	for i, path := range paths {
		if path.SourcePort != uint16(20000+i) || path.Local.String() != near || path.Remote.String() != far || path.Group != "g" || len(path.Rounds) < 5 {
			t.Errorf("path %d is %+v", i, path)
			continue
		}
		for _, round := range path.Rounds[1:5] { // the newest may be under way, the oldest had to wait for the neighbour
			answered := round.Sent
			if path.SourcePort == deaf {
				answered = 0
			}
			short += perPort - int(round.Sent)
			if round.Sent > perPort || round.Answered != answered || (round.RoundTrip > 0) != (answered > 0) || round.RoundTrip > 200*time.Millisecond {
				t.Errorf("port %d: a round of %+v; want %d sent, %d answered", path.SourcePort, round, perPort, answered)
			}
		}
	}
	sum, _ := r.totals()
	late := int(sum.NotSent[result.Behind])
	if off := int(sum.Lost)*4 - int(sum.Sent); max(off, -off) > 4*late || short > late || late > 8 {
		t.Errorf("%s, %d missing in rounds; want one in four lost", show(sum), short)
	}
}
