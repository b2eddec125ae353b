// SPDX-License-Identifier: Apache-2.0

package steer

import (
	"testing"

	"github.com/netprobe-xdp/netprobe-xdp/internal/packet/packettest"
)

// BenchmarkSteer is what the XDP program costs for each kind of frame, by the kernel's
// own account of repeated test runs.
func BenchmarkSteer(b *testing.B) {
	seen := map[string]bool{}
	for _, c := range packettest.Corpus() {
		if !c.Want.Steered() || seen[c.Want.String()] {
			continue
		}
		seen[c.Want.String()] = true
		b.Run(c.Want.String(), func(b *testing.B) {
			// A test run keeps what the program moved, so there is no socket here: all
			// but the metadata and the redirect.
			p := load(b, 1)
			_, took, err := p.objects.Steer.Benchmark(c.Frame, b.N, func() {})
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(took.Nanoseconds()), "ns/frame")
		})
	}
}
