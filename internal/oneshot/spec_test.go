// SPDX-License-Identifier: Apache-2.0

package oneshot

import (
	"strings"
	"testing"

	"github.com/netprobe-xdp/netprobe-xdp/pkg/api"
)

// What a person writes is read as it is meant, or refused.
func TestParseSpec(t *testing.T) {
	for in, want := range map[string]api.TargetSpec{
		"192.0.2.1":                  {Type: "ICMPping", Destination: "192.0.2.1"},
		"2001:db8::1":                {Type: "ICMPping", Destination: "2001:db8::1"},
		"icmp://[2001:db8::1]":       {Type: "ICMPping", Destination: "2001:db8::1"},
		"10.0.0.0/16":                {Type: "ICMPping", Destination: "10.0.0.0/16"},
		"tcp://[2001:db8::1]:443":    {Type: "TCPsyn", Destination: "2001:db8::1", DstPort: 443},
		"TCP://www.example.net:80":   {Type: "TCPsyn", Destination: "www.example.net", DstPort: 80},
		"tcp://10.0.0.0/24:443":      {Type: "TCPsyn", Destination: "10.0.0.0/24", DstPort: 443},
		"tcp://[2001:db8::/120]:443": {Type: "TCPsyn", Destination: "2001:db8::/120", DstPort: 443},
		"udp://host":                 {Type: "UDPunreachable", Destination: "host", DstPort: 33434},
		"udp://10.0.0.1-9:53":        {Type: "UDPunreachable", Destination: "10.0.0.1-9", DstPort: 53},
	} {
		got, err := ParseSpec(in)
		want.Name = in
		if err != nil || got.Name != want.Name || got.Type != want.Type || got.Destination != want.Destination || got.DstPort != want.DstPort {
			t.Errorf("%s: %+v, %v", in, got, err)
		}
	}
	for _, in := range []string{"", "tcp://host", "icmp://host:1", "host:443", "tcp://[::1:443", "tcp://2001:db8::1::443:1", "http://x:80", "tcp://x:0", "tcp://x:65536", "tcp://:80", "tcp://[::1]x"} {
		if got, err := ParseSpec(in); err == nil {
			t.Errorf("%q is read as %+v", in, got)
		}
	}
	if _, err := ParseSpec("tcp://2001:db8::1:80"); err == nil || !strings.Contains(err.Error(), "write tcp://[2001:db8::1:80]:443") {
		t.Errorf("IPv6 without brackets: %v", err)
	}
	for _, in := range []string{"10.0.0.9-2", "10.0.0.1-300", "10.0.*"} { // no names to ask the resolver for
		spec, err := ParseSpec(in)
		if err != nil {
			t.Fatal(err)
		}
		if _, p := Check(api.ProbeRequest{Targets: []api.TargetSpec{spec}, Count: 1}); p == nil || !strings.Contains(p.Error(), "read the range") {
			t.Errorf("%s: %v", in, p)
		}
	}
	all, err := ReadSpecs(strings.NewReader("# none\n192.0.2.1  tcp://a:1 # two\n\n"), "f")
	if err != nil || len(all) != 2 {
		t.Errorf("%+v, %v", all, err)
	}
	if _, err := ReadSpecs(strings.NewReader("\nbad://x\n"), "f"); err == nil || !strings.HasPrefix(err.Error(), "f:2: ") {
		t.Errorf("a bad line: %v", err)
	}
}

func FuzzParseSpec(f *testing.F) {
	for _, s := range []string{"tcp://[2001:db8::1]:443", "10.0.0.0/16", "udp://host", "[", "://", "a:b:c"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		spec, err := ParseSpec(s)
		if err == nil && (spec.Destination == "" || spec.Type == "" || spec.Type != "ICMPping" && spec.DstPort == 0) {
			t.Errorf("%q is read as %+v", s, spec)
		}
		if err == nil {
			_, _ = Check(api.ProbeRequest{Targets: []api.TargetSpec{spec}, Count: 1})
		}
	})
}

func TestParseRate(t *testing.T) {
	for in, want := range map[string]float64{"500": 500, "200k": 200_000, "1M": 1e6, "1.5k": 1500} {
		if got, err := ParseRate(in); err != nil || got != want {
			t.Errorf("%s: %v, %v", in, got, err)
		}
	}
	for _, in := range []string{"", "0", "-1", "k", "1G", "nan", "inf", "0x10", "1e99"} {
		if got, err := ParseRate(in); err == nil {
			t.Errorf("%q is read as %v", in, got)
		}
	}
}
