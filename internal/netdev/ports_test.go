// SPDX-License-Identifier: Apache-2.0

package netdev

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/netprobe-xdp/netprobe-xdp/internal/exitcode"
)

// TestReservedPorts: what is read is what the kernel of that namespace was told, also
// where its list is longer than files of /proc usually are.
func TestReservedPorts(t *testing.T) {
	inHost, err := ReservedPorts("")
	if err != nil {
		t.Fatal(err)
	}
	s := newSide(t)
	var many []string
	for p := 10001; p < 14000; p += 2 {
		many = append(many, fmt.Sprint(p))
	}
	for _, tt := range []struct {
		list string
		in   []uint16
		out  []uint16
	}{
		{"\n", nil, []uint16{0, 1, 22, 65000, 65535}},
		{"22,65000-65099,65535\n", []uint16{22, 65000, 65050, 65099, 65535}, []uint16{0, 21, 23, 64999, 65100, 65534}},
		{strings.Join(many, ","), []uint16{10001, 10003, 12345, 13999}, []uint16{10000, 10002, 14001}},
	} {
		if err := s.ns.do(func() error { return os.WriteFile(reservedPorts, []byte(tt.list), 0) }); err != nil {
			t.Fatal(err)
		}
		reserved, err := ReservedPorts(s.name)
		if err != nil {
			t.Fatal(err)
		}
		for p := range 1 << 16 {
			in, out := slices.Contains(tt.in, uint16(p)), slices.Contains(tt.out, uint16(p))
			if (in || out) && reserved(uint16(p)) != in {
				t.Errorf("%.40q: port %d is reserved: %v", tt.list, p, !in)
			}
		}
	}
	again, err := ReservedPorts("")
	if err != nil {
		t.Fatal(err)
	}
	for p := range 1 << 16 {
		if again(uint16(p)) != inHost(uint16(p)) {
			t.Fatalf("port %d of this host came from another namespace", p)
		}
	}
	if _, err := ReservedPorts("npx-no-such-namespace"); exitcode.Of(err) != exitcode.Unavailable {
		t.Errorf("no such namespace: %v", err)
	}
}

func FuzzParsePorts(f *testing.F) {
	for _, list := range []string{"", "\n", "22\n", "22,8080-8089", "0-65535", "9-2", "65536", "-", "1,,2", "1-2-3"} {
		f.Add(list)
	}
	f.Fuzz(func(t *testing.T, list string) {
		has, err := parsePorts(list)
		if err != nil {
			return
		}
		for part := range strings.SplitSeq(strings.TrimSpace(list), ",") {
			var from, to uint16
			if n, _ := fmt.Sscanf(part, "%d-%d", &from, &to); n == 0 {
				continue
			} else if n == 1 {
				to = from
			}
			if from <= to && (!has(from) || !has(to)) {
				t.Errorf("%q: %d or %d is missing", list, from, to)
			}
		}
	})
}
