// SPDX-License-Identifier: Apache-2.0

package resolve

import (
	"errors"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

func addrsOf(list ...string) []netip.Addr {
	var addrs []netip.Addr
	for _, a := range list {
		addrs = append(addrs, netip.MustParseAddr(a))
	}
	return addrs
}

func TestParseResolvConf(t *testing.T) {
	tests := []struct {
		name, text string
		want       []netip.Addr
	}{
		{"empty", "", nil},
		{"usual", "# made by hand\nsearch example.com\nnameserver 192.0.2.53\nnameserver 2001:db8::53\noptions ndots:2\n", addrsOf("192.0.2.53", "2001:db8::53")},
		{"no newline at the end", "nameserver 192.0.2.53", addrsOf("192.0.2.53")},
		{"carriage returns", "nameserver 192.0.2.53\r\nnameserver 192.0.2.54\r\n", addrsOf("192.0.2.53", "192.0.2.54")},
		{"tabs, further words, comments", "nameserver\t192.0.2.53 # first\nnameserver 192.0.2.54;second\nnameserver 192.0.2.55 trust-ad\n", addrsOf("192.0.2.53", "192.0.2.54", "192.0.2.55")},
		{"comments", "#nameserver 192.0.2.1\n;nameserver 192.0.2.2\n # nameserver 192.0.2.3\n", nil},
		{"once each", "nameserver 192.0.2.53\nnameserver ::ffff:192.0.2.53\nnameserver 192.0.2.53\n", addrsOf("192.0.2.53")},
		{"stubs left out", "nameserver 127.0.0.53\nnameserver 127.0.0.54\nnameserver ::1\nnameserver 127.9.9.9\nnameserver ::ffff:127.0.0.1\nnameserver 192.0.2.53\n", addrsOf("192.0.2.53")},
		{"this host by no address", "nameserver 0.0.0.0\nnameserver ::\n", nil},
		{"zone taken off", "nameserver fe80::1%eth0\nnameserver fe80::1\n", addrsOf("fe80::1")},
		{"not addresses", "nameserver\nnameserver \nnameserver example.com\nnameservers 192.0.2.1\nnameserver192.0.2.2\nNAMESERVER 192.0.2.3\nnameserver 192.0.2\n", nil},
		{"a long line", strings.Repeat("x", 1<<20) + "\nnameserver 192.0.2.53\n", addrsOf("192.0.2.53")},
		{"bytes", "\x00\xff\nnameserver \x00192.0.2.1\nnameserver 192.0.2.53\n", addrsOf("192.0.2.53")},
	}
	for _, tt := range tests {
		got, err := ParseResolvConf(strings.NewReader(tt.text))
		if err != nil || !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v, %v; want %v", tt.name, got, err, tt.want)
		}
	}
	broken := io.MultiReader(strings.NewReader("nameserver 192.0.2.53\n"), iotest.ErrReader(errors.New("disk on fire")))
	if got, err := ParseResolvConf(broken); err == nil {
		t.Errorf("a file that cannot be read whole gives %v and no error", got)
	}
}

func FuzzParseResolvConf(f *testing.F) {
	f.Add("nameserver 192.0.2.53\nnameserver fe80::1%eth0 #x\r\n")
	f.Add("nameserver\t::ffff:127.0.0.1;\n\nnameserver 0.0.0.0")
	f.Fuzz(func(t *testing.T, text string) {
		addrs, err := ParseResolvConf(strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		for i, a := range addrs {
			if !a.IsValid() || a.IsLoopback() || a.IsUnspecified() || a.Is4In6() || a.Zone() != "" || slices.Contains(addrs[:i], a) {
				t.Errorf("address %d of %v", i, addrs)
			}
		}
		// What is found is found again where it is written down plainly.
		var plain strings.Builder
		for _, a := range addrs {
			plain.WriteString("nameserver " + a.String() + "\n")
		}
		if again, _ := ParseResolvConf(strings.NewReader(plain.String())); !slices.Equal(again, addrs) {
			t.Errorf("%v written down reads %v", addrs, again)
		}
	})
}

func TestUpstream(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	stub := write("stub", "nameserver 127.0.0.53\n")
	static := write("static", "nameserver 192.0.2.1\nnameserver 127.0.0.1\n")
	systemd := write("systemd", "nameserver 192.0.2.2\n")
	missing := filepath.Join(dir, "missing")
	tests := []struct {
		name          string
		conf, systemd string
		want          []netip.Addr
		err           error
	}{
		{"no stub", static, systemd, addrsOf("192.0.2.1"), nil},
		{"stub", stub, systemd, addrsOf("192.0.2.2"), nil},
		{"stub of somebody else", stub, missing, nil, nil},
		{"no resolv.conf", missing, systemd, addrsOf("192.0.2.2"), nil},
		{"neither", missing, missing, nil, fs.ErrNotExist},
		{"not a file", dir, missing, nil, fs.ErrNotExist},
	}
	for _, tt := range tests {
		got, err := upstream(tt.conf, tt.systemd)
		if !slices.Equal(got, tt.want) || !errors.Is(err, tt.err) {
			t.Errorf("%s: %v, %v; want %v, %v", tt.name, got, err, tt.want, tt.err)
		}
	}
}
