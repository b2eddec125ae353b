// SPDX-License-Identifier: Apache-2.0

package truth

import (
	"testing"
	"time"
)

// The process is stopped for five seconds (SIGSTOP, a debugger, a host that
// swaps) and continued: what was due meanwhile is not sent, reason behind, the
// answers that arrived meanwhile count, nothing is lost, and the next rounds are whole.
func TestStoppedForFiveSeconds(t *testing.T) {
	t.Parallel()
	const packets = 100
	p := newPair(t, 2)
	s := setup{on: p.prober, hosts: nil, ifaces: []string{p.nearEnd.Name}, interval: 2 * time.Second, gap: 10 * time.Millisecond,
		groups: []group{{name: "g", a: 20000, z: 20255}}, targets: everyType("", packets, 300*time.Millisecond, far)}
	all := uint64(len(s.targets) * packets)
	c := startChild(t, s, nil, true)
	c.wait(func() bool { return arrived(t, p.host) > all/3 }, 20*time.Second, func() string { return "no probes arrive" })
	c.stopFor(5 * time.Second)
	f, rounds := c.pause(packets, 1, 20*time.Second)
	behind, _ := c.page().sum(t, "netprobe_not_sent_total", `reason="behind"`)
	t.Logf("%s, %d of them behind, in %d rounds; the host saw %d", f, behind, rounds, arrived(t, p.host))
	if f.lost != 0 || f.late != 0 || f.duplicates != 0 || behind == 0 || f.sent+f.unknown > arrived(t, p.host) {
		t.Errorf("%s, %d behind; want none lost, and some behind", f, behind)
	}
	after, more := c.pause(packets, rounds, 20*time.Second)
	if after.sent-f.sent != uint64(more-rounds)*all || after.lost != 0 || after.notSent != f.notSent || after.unknown != f.unknown {
		t.Errorf("the round after it is not whole: %s, then %s", f, after)
	}
}
