// SPDX-License-Identifier: Apache-2.0

package host

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/netprobe-xdp/netprobe-xdp/internal/exitcode"
)

func TestRead(t *testing.T) {
	f, err := Read()
	if err != nil {
		t.Fatal(err)
	}
	release, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		t.Fatal(err)
	}
	if f.Kernel != strings.TrimSpace(string(release)) {
		t.Errorf("kernel %q, /proc says %q", f.Kernel, release)
	}
	if f.MemlockSoft > f.MemlockHard || f.MemlockHard == 0 {
		t.Errorf("memlock %d of %d", f.MemlockSoft, f.MemlockHard)
	}
	// The same capability as the kernel applies it.
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW, 0)
	if err == nil {
		unix.Close(fd)
	}
	if f.Holds("CAP_NET_RAW") != (err == nil) {
		t.Errorf("CAP_NET_RAW %v, and a packet socket: %v", f.Holds("CAP_NET_RAW"), err)
	}
	if os.Geteuid() == 0 {
		if err := f.Require(); err != nil {
			t.Error(err)
		}
	}
}

func TestRequire(t *testing.T) {
	const all = 1<<unix.CAP_NET_ADMIN | 1<<unix.CAP_NET_RAW | 1<<unix.CAP_BPF | 1<<unix.CAP_PERFMON
	for _, test := range []struct {
		name    string
		caps    uint64
		missing []string
	}{
		{"none", 0, []string{"CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_BPF", "CAP_PERFMON"}},
		{"all", all, nil},
		{"without BPF", all &^ (1 << unix.CAP_BPF), []string{"CAP_BPF"}},
		{"without PERFMON", all &^ (1 << unix.CAP_PERFMON), []string{"CAP_PERFMON"}},
		{"SYS_ADMIN for BPF and PERFMON", all&^(1<<unix.CAP_BPF|1<<unix.CAP_PERFMON) | 1<<unix.CAP_SYS_ADMIN, nil},
		{"SYS_ADMIN for BPF", all&^(1<<unix.CAP_BPF) | 1<<unix.CAP_SYS_ADMIN, nil},
		{"every bit", 1<<41 - 1, nil},
	} {
		held, err := parseCapabilities(fmt.Appendf(nil, "Name:\tx\nCapPrm:\tffffffffffffffff\nCapEff:\t%016x\nCapBnd:\t0\n", test.caps))
		if err != nil {
			t.Fatal(err)
		}
		f := Facts{Kernel: "6.1", Capabilities: held}
		if d := cmp.Diff(test.missing, f.Missing()); d != "" {
			t.Errorf("%s: %s", test.name, d)
		}
		err = f.Require()
		want := exitcode.OK
		if test.missing != nil {
			want = exitcode.NoPermission
		}
		if exitcode.Of(err) != want {
			t.Errorf("%s: %v, want exit code %d", test.name, err, want)
		}
		for _, m := range test.missing {
			if !strings.Contains(err.Error(), m) {
				t.Errorf("%s: %q does not name %s", test.name, err, m)
			}
		}
		f.Features = []Feature{{Name: "AF_XDP sockets", Lacks: "needs kernel 4.18"}}
		if test.missing == nil {
			if err := f.Require(); exitcode.Of(err) != exitcode.Unavailable || !strings.Contains(err.Error(), "kernel 6.1 lacks AF_XDP sockets: needs kernel 4.18") {
				t.Errorf("%s: %v", test.name, err)
			}
		}
	}
}

// What an ordinary user may not ask the kernel is not known, which says nothing of
// the kernel.
func TestFeature(t *testing.T) {
	for _, test := range []struct {
		err  error
		want Feature
	}{
		{nil, Feature{Name: "x", OK: true}},
		{unix.EINVAL, Feature{Name: "x", Lacks: "needs kernel 4.8 (invalid argument)"}},
		{fmt.Errorf("load program: %w", unix.EPERM), Feature{Name: "x", Lacks: "operation not permitted", Denied: true}},
	} {
		if d := cmp.Diff(test.want, feature("x", "needs kernel 4.8", test.err)); d != "" {
			t.Errorf("%v: %s", test.err, d)
		}
	}
	f := Facts{Capabilities: []Capability{{"CAP_NET_ADMIN", true}, {"CAP_NET_RAW", true}, {"CAP_SYS_ADMIN", true}}, Features: []Feature{feature("x", "", unix.EPERM)}}
	if err := f.Require(); exitcode.Of(err) != exitcode.Unavailable || !strings.Contains(err.Error(), "x: refused to this process") {
		t.Errorf("%v", err)
	}
}

func TestParseCapabilitiesRefuses(t *testing.T) {
	for _, status := range []string{"", "CapEff:\n", "CapEff:\tzz\n", "CapPrm:\t00\n"} {
		if held, err := parseCapabilities([]byte(status)); err == nil {
			t.Errorf("%q: %v", status, held)
		}
	}
}

func FuzzParseCapabilities(f *testing.F) {
	f.Add([]byte("CapEff:\t000001fffeffffff\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		held, err := parseCapabilities(b)
		if (err == nil) != (len(held) == len(wanted)) {
			t.Errorf("%q: %v, %v", b, held, err)
		}
	})
}
