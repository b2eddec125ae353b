// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/config"
	"github.com/netprobe-xdp/netprobe-xdp/internal/lab"
)

// An address has 65,536 echo identifiers. Targets beyond them, as of a list that
// names one address for all, are not sent, and keep nothing waiting.
func TestMoreTargetsThanIdentifiers(t *testing.T) {
	l := lab.ForTest(t, "engine")
	near, _ := l.Connect(l.Host("near"), l.Host("far"), lab.Link{A: []string{"198.51.100.1/24"}, B: []string{"198.51.100.2/24"}})
	r := newRig(t, near, 1, time.Hour)
	targets := make([]config.Target, 1<<16+2)
	for i := range targets {
		targets[i] = config.Target{Name: strconv.Itoa(i), Type: "ICMPping", Destination: "198.51.100.2", NbPackets: 1, Timeout: time.Second}
	}
	ended := make(chan error, 1)
	go func() { ended <- r.Add(planOf(t, time.Hour, [2]uint16{20000, 20000}, targets...).Targets...) }()
	select {
	case err := <-ended:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(5 * time.Minute):
		t.Fatal("targets are still being added after five minutes")
	}
	if _, series := r.totals(); series != len(targets) {
		t.Errorf("%d series, want %d", series, len(targets))
	}
}
