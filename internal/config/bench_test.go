// SPDX-License-Identifier: Apache-2.0

package config

import (
	"bytes"
	"fmt"
	"runtime"
	"testing"
)

// BenchmarkLoad shows that the time for a target does not grow with their
// number.
func BenchmarkLoad(b *testing.B) {
	for _, n := range []int{1_000, 10_000, 100_000} {
		b.Run(fmt.Sprintf("targets=%d", n), func(b *testing.B) {
			var file bytes.Buffer
			file.WriteString("global: {probe_name: p, interval: 60, logging_level: INFO, prometheus_port: 8000, dns_update_interval: 0}\ngroups: {a: {}, b: {}}\ntargets:\n")
			for i := range n {
				fmt.Fprintf(&file, "  host-%d.example.com:\n    type: TCPsyn\n    destination: 10.%d.%d.%d\n    dst_port: 443\n    nb_packets: 2\n    timeout: 0.5\n", i, i>>16, i>>8&255, i&255)
			}
			b.ReportAllocs()
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			var c *Config
			for b.Loop() {
				var err error
				c, err = decode(&source{"bench.yaml", file.Bytes()}, nil, Options{File: "bench.yaml"})
				if err != nil || len(c.Targets) != n {
					b.Fatal(err)
				}
			}
			b.StopTimer()
			runtime.GC()
			runtime.ReadMemStats(&after)
			b.ReportMetric(float64(int64(after.HeapAlloc)-int64(before.HeapAlloc))/float64(n), "heap-B/target")
			runtime.KeepAlive(c)
			runtime.KeepAlive(&file)
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/target")
		})
	}
}
