// SPDX-License-Identifier: Apache-2.0

package prober

import (
	"testing"

	"github.com/netprobe-xdp/netprobe-xdp/internal/exitcode"
	"github.com/netprobe-xdp/netprobe-xdp/internal/netdev"
)

// TestModeFor holds that a bond never gets a native program; the round trip over
// one is in internal/truth, TestKernelDevices.
func TestModeFor(t *testing.T) {
	for _, tt := range []struct{ configured, driver, want string }{
		{"auto", "veth", "auto"},
		{"native", "veth", "native"},
		{"auto", "bonding", "generic"},
		{"generic", "bonding", "generic"},
		{"native", "bonding", ""},
	} {
		got, err := modeFor(tt.configured, netdev.Info{Driver: tt.driver})
		if got != tt.want || (err != nil) != (tt.want == "") {
			t.Errorf("%s on %s: %q, %v; want %q", tt.configured, tt.driver, got, err, tt.want)
		}
		if err != nil && exitcode.Of(err) != exitcode.Unavailable {
			t.Errorf("%s on %s: exit code %d", tt.configured, tt.driver, exitcode.Of(err))
		}
	}
}
