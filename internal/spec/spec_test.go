// SPDX-License-Identifier: Apache-2.0

package spec

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/netprobe-xdp/netprobe-xdp/pkg/api"
)

func TestParse(t *testing.T) {
	for text, want := range map[string]api.TargetSpec{
		"tcp://[2001:db8::1]:443":    {Name: "[2001:db8::1]:443", Type: "TCPsyn", Destination: "2001:db8::1", DstPort: 443},
		"tcp://192.0.2.1:443":        {Name: "192.0.2.1:443", Type: "TCPsyn", Destination: "192.0.2.1", DstPort: 443},
		"TCP6://web.example:443":     {Name: "web.example:443", Type: "TCPsyn", Destination: "web.example", DstPort: 443, Family: "ipv6"},
		"udp://host:33434":           {Name: "host:33434", Type: "UDPunreachable", Destination: "host", DstPort: 33434},
		"icmp://192.0.2.1":           {Name: "192.0.2.1", Type: "ICMPping", Destination: "192.0.2.1"},
		"icmp4://host":               {Name: "host", Type: "ICMPping", Destination: "host", Family: "ipv4"},
		"icmp://2001:db8::1":         {Name: "2001:db8::1", Type: "ICMPping", Destination: "2001:db8::1"},
		"icmp://[2001:db8::1]":       {Name: "2001:db8::1", Type: "ICMPping", Destination: "2001:db8::1"},
		"icmp://10.0.0.0/16":         {Name: "10.0.0.0/16", Type: "ICMPping", Destination: "10.0.0.0/16"},
		"tcp://[2001:db8::]/120:443": {Name: "[2001:db8::/120]:443", Type: "TCPsyn", Destination: "2001:db8::/120", DstPort: 443},
		"icmp://192.0.2.1-5":         {Name: "192.0.2.1-5", Type: "ICMPping", Destination: "192.0.2.1-5"},
		"192.0.2.1":                  {},
		"http://192.0.2.1":           {},
		"tcp://192.0.2.1":            {},
		"tcp://2001:db8::1:443:x":    {},
		"tcp://host:0":               {},
		"tcp://host:65536":           {},
		"tcp://:80":                  {},
		"icmp://":                    {},
		"icmp://host:80":             {},
		"tcp://[2001:db8::1":         {},
		"tcp://[2001:db8::1]x:443":   {},
		"tcp://[2001:db8::1]":        {},
		"icmp://a:b:c":               {},
	} {
		got, err := Parse(text)
		if diff := cmp.Diff(want, got); diff != "" || (err != nil) != (want.Type == "") || err != nil && !strings.Contains(err.Error(), "allowed: ") {
			t.Errorf("%s: %v\n%s", text, err, diff)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"tcp://[2001:db8::]/120:443", "icmp6://x", "udp://a:1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := Parse(text)
		if err == nil && (got.Destination == "" || got.Name == "" || got.Type == "" || (got.DstPort == 0) != (got.Type == "ICMPping")) {
			t.Fatalf("%q is %+v", text, got)
		}
	})
}
