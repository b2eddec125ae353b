// SPDX-License-Identifier: Apache-2.0

package netdev

import (
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/lab"
	"github.com/netprobe-xdp/netprobe-xdp/internal/logging"
)

// Stations that fall silent, come back and change their MAC addresses, two
// hundred at a time, cost the log a few lines, and what began and ended is in it.
func TestNeighboursDoNotFloodTheLog(t *testing.T) {
	var log lab.Buffer
	c := newClock(t)
	c.hops = newNeighbours(logging.New(&log, false, slog.LevelInfo), true)
	var all []netip.Addr
	for a := netip.MustParseAddr("10.0.0.1"); len(all) < 200; a = a.Next() {
		all = append(all, a)
		c.use(a)
	}
	for round := range 10 {
		c.run(10 * time.Second) // nobody answers
		for _, a := range all {
			r := reply([6]byte{2, 0, 0, 0, 0, byte(round)})
			r.Addr = a
			c.hops.heard(r, r.MAC, c.now)
		}
	}
	text := log.String()
	for _, event := range []string{`msg="next hop does not answer"`, `msg="next hop answers again"`, `msg="next hop has a new MAC address"`} {
		if n := strings.Count(text, event); n == 0 || n > 60 {
			t.Errorf("%s: %d lines of 2,000 events", event, n)
		}
	}
}
