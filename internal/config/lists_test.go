// SPDX-License-Identifier: Apache-2.0

package config

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// withLists loads a configuration beside these files, with safety as given.
func withLists(t testing.TB, safety string, files map[string]string) (*Config, error) {
	t.Helper()
	dir := t.TempDir()
	files["netprobe.yaml"] = `global: {probe_name: p, interval: 10, nb_proc: 1, logging_level: INFO, prometheus_port: 8000, dns_update_interval: 0}
groups: {g: {}}
safety: {` + safety + "}\n"
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return Load(Options{File: filepath.Join(dir, "netprobe.yaml")})
}

func TestLists(t *testing.T) {
	const block = "# nobody\n10.0.0.0/8  # all of it\n10.1.0.0/16\n\n  192.0.2.7\r\n2001:db8:1::/48\n2001:db8::7\n"
	const allow = "192.0.2.0/24\n10.2.0.0/16\n2001:db8::/32\n"
	for _, test := range []struct {
		safety       string
		blocked, not []string
	}{
		{"", nil, []string{"10.0.0.1", "::2", "192.0.2.7"}},
		{"block_file: block", []string{"10.0.0.0", "10.1.2.3", "10.2.0.1", "10.255.255.255", "192.0.2.7", "2001:db8:1::", "2001:db8:1:ffff::1", "2001:db8::7"},
			[]string{"9.255.255.255", "11.0.0.0", "192.0.2.6", "192.0.2.8", "2001:db8:2::", "2001:db8::8", "::1", "0.0.0.0"}},
		{"allow_file: allow", []string{"192.0.3.0", "192.0.1.255", "11.0.0.0", "::1", "2001:db9::"},
			[]string{"192.0.2.0", "192.0.2.255", "10.2.9.9", "2001:db8:ffff::"}},
		// What both hold is blocked.
		{"block_file: block, allow_file: allow", []string{"10.2.0.1", "192.0.2.7", "192.0.3.0", "2001:db8:1::"}, []string{"192.0.2.8", "2001:db8:2::"}},
	} {
		c, err := withLists(t, test.safety, map[string]string{"block": block, "allow": allow})
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range test.blocked {
			if !c.Safety.Lists.Blocked(netip.MustParseAddr(a)) {
				t.Errorf("{%s}: %s is not blocked", test.safety, a)
			}
		}
		for _, a := range test.not {
			if c.Safety.Lists.Blocked(netip.MustParseAddr(a)) {
				t.Errorf("{%s}: %s is blocked", test.safety, a)
			}
		}
		same, err := withLists(t, test.safety, map[string]string{"block": strings.Replace(block, "# nobody\n", "10.3.0.0/16\n", 1), "allow": allow})
		if err != nil || !same.Safety.Lists.Equal(c.Safety.Lists) {
			t.Errorf("{%s}: a prefix within another makes a difference (%v)", test.safety, err)
		}
		other, err := withLists(t, test.safety, map[string]string{"block": block + "172.16.0.0/12\n", "allow": allow + "172.16.0.0/12\n"})
		if err != nil || test.safety != "" && other.Safety.Lists.Equal(c.Safety.Lists) {
			t.Errorf("{%s}: another prefix makes no difference (%v)", test.safety, err)
		}
	}
}

func TestListsRefused(t *testing.T) {
	for _, test := range []struct {
		safety, text string
		says         []string
	}{
		{"block_file: list", "10.0.0.0/8\nten\n10.0.0.1/8\n10.0.0.0/33\nfe80::1%eth0\n::ffff:10.0.0.1\n::ffff:0:0/96\n",
			[]string{`list:2: read "ten"`, `list:3: read "10.0.0.1/8"`, `list:4: `, `list:5: `, `list:6: `, `list:7: `}},
		{"allow_file: list", "# none yet\n", []string{"safety.allow_file: ", "would block everything"}},
		{"allow_file: none", "", []string{"safety.allow_file: cannot read ", "no such file"}},
		{"block_file: .", "", []string{"safety.block_file: cannot read ", "directory"}},
		{"block_file: [a]", "", []string{"safety.block_file: ", "the name of a file"}},
		{"kill_file: 7", "", []string{"safety.kill_file: ", "the name of a file"}},
		{"block_file: list", strings.Repeat("x\n", 1000), []string{"list:100: "}},
	} {
		_, err := withLists(t, test.safety, map[string]string{"list": test.text})
		if err == nil {
			t.Errorf("{%s} with %.20q was accepted", test.safety, test.text)
			continue
		}
		for _, want := range test.says {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("{%s}: %q lacks %q", test.safety, err, want)
			}
		}
		if lines := strings.Count(err.Error(), "\n") + 1; lines > maxBadNamed {
			t.Errorf("{%s}: %d faults", test.safety, lines)
		}
	}
}

// FuzzReadPrefixes compares the sorted list with asking every line.
func FuzzReadPrefixes(f *testing.F) {
	f.Add("10.0.0.0/8\n10.1.0.0/16 # x\n192.0.2.7\n", []byte{10, 1, 2, 3})
	f.Add("::/0\n2001:db8::/32\n", []byte{0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1})
	f.Add("0.0.0.0/0\n255.255.255.255\n", []byte{255, 255, 255, 255})
	f.Fuzz(func(t *testing.T, text string, addr []byte) {
		all, bad, err := readPrefixes(strings.NewReader(text), "list")
		if err != nil && !strings.Contains(err.Error(), "token too long") || len(bad) > maxBadNamed {
			t.Fatalf("%v, %d bad", err, len(bad))
		}
		a, ok := netip.AddrFromSlice(addr)
		if !ok {
			return
		}
		want := false
		for _, p := range all {
			want = want || p.Contains(a)
		}
		if got := inOrder(all).contain(a); got != want {
			t.Errorf("%q: %v contained: %v, want %v", text, a, got, want)
		}
	})
}
