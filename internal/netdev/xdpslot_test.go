// SPDX-License-Identifier: Apache-2.0

package netdev

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestHolders(t *testing.T) {
	proc := t.TempDir()
	fd := func(pid, n, target, info string) {
		for _, dir := range []string{"fd", "fdinfo"} {
			if err := os.MkdirAll(filepath.Join(proc, pid, dir), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		for path, text := range map[string]string{"comm": "proc" + pid + "\n", "fdinfo/" + n: info} {
			if err := os.WriteFile(filepath.Join(proc, pid, path), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Symlink(target, filepath.Join(proc, pid, "fd", n)); err != nil {
			t.Fatal(err)
		}
	}
	const (
		prog    = "pos:\t0\nprog_type:\t6\nprog_tag:\t3b185187f1855c4c\nprog_id:\t12\n"
		xdpLink = "pos:\t0\nlink_type:\txdp\nlink_id:\t3\nprog_tag:\t3b185187f1855c4c\nprog_id:\t12\nifindex:\t2\n"
		tcxLink = "link_type:\ttcx\nprog_id:\t13\n"
	)
	fd("100", "3", "anon_inode:bpf-prog", prog)
	fd("100", "4", "socket:[12]", prog) // not a BPF descriptor
	fd("300", "5", "anon_inode:bpf_link", tcxLink)
	fd("400", "5", "anon_inode:bpf-prog", "prog_id:\t120\n")
	fd("self", "3", "anon_inode:bpf-prog", prog)

	want := []Process{{PID: 100, Command: "proc100"}}
	if got, hidden, err := holders(proc, 12); err != nil || hidden || !cmp.Equal(got, want) {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
	fd("200", "9", "anon_inode:bpf_link", xdpLink)
	want = []Process{{PID: 200, Command: "proc200", Link: true}}
	if got, hidden, err := holders(proc, 12); err != nil || hidden || !cmp.Equal(got, want) {
		t.Errorf("with a link: %+v, %v; want %+v", got, err, want)
	}
	h := XDPHolder{Interface: "eth0", Mode: "native", ProgramID: 12, Name: "steer", Processes: []Process{{PID: 4242, Command: "netprobe-xdp", Link: true}}}
	if got, want := h.String(), "XDP slot of eth0 is held by program steer (id 12, native mode) of process 4242 (netprobe-xdp)"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	h = XDPHolder{Interface: "eth0", Mode: "native", ProgramID: 12, Hidden: true}
	if got, want := h.String(), "XDP slot of eth0 is held by program of unknown name (id 12, native mode), by whom is hidden from this user"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func FuzzParseFDInfo(f *testing.F) {
	f.Add([]byte("pos:\t0\nlink_type:\txdp\nprog_id:\t12\n"))
	f.Add([]byte("prog_id:\t4294967296\nlink_type\n:\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		id, link := parseFDInfo(b)
		// What is appended last wins, whatever came before, unless it was a
		// line too long to read.
		if len(b) < 4096 {
			again, isLink := parseFDInfo(append(append([]byte{}, b...), "\nlink_type:\txdp\nprog_id:\t77\n"...))
			if again != 77 || !isLink {
				t.Errorf("%q: %d, %v after %d, %v", b, again, isLink, id, link)
			}
		}
	})
}
