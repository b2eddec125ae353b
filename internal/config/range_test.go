// SPDX-License-Identifier: Apache-2.0

package config

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestParseRange(t *testing.T) {
	for _, tt := range []struct {
		in, out     string
		size, block int
		first, last string
	}{
		{"192.168.*.1-5", "192.168.*.1-5", 1280, 5, "192.168.0.1", "192.168.255.5"},
		{"10.0.0.0-255", "10.0.0.*", 256, 256, "10.0.0.0", "10.0.0.255"},
		{"10.0.1-2.7-7", "10.0.1-2.7", 2, 1, "10.0.1.7", "10.0.2.7"},
		{"10-11.0.0.1", "10-11.0.0.1", 2, 1, "10.0.0.1", "11.0.0.1"},
		{"*.*.*.*", "*.*.*.*", 1 << 32, 256, "0.0.0.0", "255.255.255.255"},
	} {
		r, err := ParseRange(tt.in)
		if err != nil {
			t.Errorf("%s: %v", tt.in, err)
			continue
		}
		if r.String() != tt.out || r.Size() != tt.size || r.Block() != tt.block || r.At(0).String() != tt.first || r.At(r.Size()-1).String() != tt.last {
			t.Errorf("%s is %s: %d addresses, %d in a /24, from %s to %s; want %+v", tt.in, r, r.Size(), r.Block(), r.At(0), r.At(r.Size()-1), tt)
		}
	}
	for _, in := range []string{"", "10.0.0.1", "10.0.*", "10.0.0.0.*", "10.0.0.5-1", "10.0.0.1-256", "10.0.0.-1", "10.0.0.1-", "10.0.0.01-2", "10.0.0.**", "10.0.*-2.1", "10.0.*.0/24", "10.0.0.1--2", "10.0.0.+1-2"} {
		if r, err := ParseRange(in); err == nil {
			t.Errorf("%q was read as %s", in, r)
		}
	}
}

// A range is one with is_subnet or without, and always of IPv4.
func TestRanges(t *testing.T) {
	file := filepath.Join(t.TempDir(), "netprobe.yaml")
	text, err := os.ReadFile(filepath.Join("testdata", "invalid", "range.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	above, _, _ := strings.Cut(string(text), "targets:")
	err = os.WriteFile(file, []byte(above+`targets:
  wildcard: {type: ICMPping, destination: 192.168.*.1-5}
  marked: {type: ICMPping, destination: 192.168.0.0-255, is_subnet: true, address_family: ipv4}
`), 0o644)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"192.168.*.1-5", "192.168.0.*"} {
		if got := mustLoad(t, Options{File: file}).Targets[i]; got.Destination != want || !got.IsSubnet || got.Family != "ipv4" {
			t.Errorf("%+v, want %s", got, want)
		}
	}
}

func FuzzParseRange(f *testing.F) {
	for _, s := range []string{"192.168.*.1-5", "1-2.3-4.5-6.7-8", "*.*.*.*", "10.0.0.1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := ParseRange(s)
		if err != nil {
			return
		}
		again, err := ParseRange(r.String())
		if single, aerr := netip.ParseAddr(r.String()); aerr == nil { // 10.0.0.1-1
			if r.Size() != 1 || r.At(0) != single {
				t.Errorf("%q is %d addresses from %s", s, r.Size(), r.At(0))
			}
			return
		}
		if err != nil || again != r {
			t.Errorf("%q is %s, and that is %s, %v", s, r, again, err)
		}
		if n := r.Size(); !r.At(0).Is4() || r.At(n-1).Less(r.At(0)) || n > 1 && !r.At(n-2).Less(r.At(n-1)) {
			t.Errorf("%q goes from %s to %s", s, r.At(0), r.At(n-1))
		}
	})
}
