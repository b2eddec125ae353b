// SPDX-License-Identifier: Apache-2.0

package main

import (
	"testing"

	"github.com/netprobe-xdp/netprobe-xdp/internal/oneshot"
)

// TestNameOf: what is added without a name gets one that a daemon takes.
func TestNameOf(t *testing.T) {
	for spec, want := range map[string]string{
		"icmp://192.0.2.1":         "192.0.2.1",
		"tcp://192.0.2.10:443":     "192.0.2.10_443",
		"udp://host":               "host_33434",
		"2001:db8::1":              "2001_db8__1",
		"tcp://[2001:db8::1]:443":  "2001_db8__1_443",
		"10.0.0.0/24":              "10.0.0.0_24",
		"10.0.*.1-9":               "10.0._.1-9",
		"TCP://WWW.Example.net:80": "www.example.net_80",
	} {
		s, err := oneshot.ParseSpec(spec)
		if got := nameOf(s); err != nil || got != want {
			t.Errorf("%s is called %q, want %q (%v)", spec, got, want, err)
		}
	}
}
