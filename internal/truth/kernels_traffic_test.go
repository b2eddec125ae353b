// SPDX-License-Identifier: Apache-2.0

//go:build kernels

package truth

import (
	"strings"
	"testing"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/lab"
)

// TestKernelHostTraffic says what the host's own TCP is left with beside us on the
// network cards that qemu has, and holds that in native mode the kernel goes on joining
// segments that pass our program (GRO) where it did so without us. In generic mode it
// does not, whatever the program (netif_elide_gro in include/linux/netdevice.h).
func TestKernelHostTraffic(t *testing.T) {
	for _, tt := range []struct {
		name  string
		hub   byte
		modes []string
	}{
		{"virtio-net", 1, []string{"native", "generic"}},
		{"e1000e", 2, []string{"generic"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := adopt(t, tt.hub)
			alone := hostTraffic(t, p, "nothing attached")
			for _, mode := range tt.modes {
				s := pings(p, 10)
				s.mode = mode
				r := start(t, s)
				r.wait(func() bool { return strings.Contains(r.log.String(), "msg=attached") }, 20*time.Second, r.log.String)
				if !strings.Contains(r.log.String(), "xdp="+mode) {
					t.Fatalf("want mode %s:\n%s", mode, r.log.String())
				}
				if beside := hostTraffic(t, p, mode); mode == "native" && alone > 3000 && beside < 3000 {
					t.Errorf("%s: packets of %.0f bytes reach IP, %.0f without us: they are not joined any more", mode, beside, alone)
				}
				r.stop()
			}
		})
	}
}

// hostTraffic measures a stream in each direction, and returns how many bytes a
// packet brought to the IP of the prober's host.
func hostTraffic(t *testing.T, p *pair, mode string) float64 {
	t.Helper()
	in, err := lab.MeasureStream(p.host, far4, p.prober, 4*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	out, err := lab.MeasureStream(p.prober, near4, p.host, 4*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s: received %.3f Gbit/s in packets of %.0f bytes, sent %.3f Gbit/s", mode, in.Gbit, in.PacketSize, out.Gbit)
	return in.PacketSize
}
