// SPDX-License-Identifier: Apache-2.0

package endtoend

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/netprobe-xdp/netprobe-xdp/internal/exitcode"
	"github.com/netprobe-xdp/netprobe-xdp/internal/lab"
)

// kept is what a run keeps when all is open.
const kept = 1<<unix.CAP_NET_ADMIN | 1<<unix.CAP_NET_RAW | 1<<unix.CAP_BPF | 1<<unix.CAP_PERFMON | 1<<unix.CAP_IPC_LOCK

// privileges is what the kernel says of one thread (proc_pid_status(5)).
type privileges struct {
	inheritable, permitted, effective, bounding, ambient uint64
	noNew                                                bool
}

// String is for messages.
func (p privileges) String() string {
	return fmt.Sprintf("inheritable %x permitted %x effective %x bounding %x ambient %x no-new-privileges %v",
		p.inheritable, p.permitted, p.effective, p.bounding, p.ambient, p.noNew)
}

// threads returns the privileges of every thread of a process.
func threads(t *testing.T, pid int) []privileges {
	t.Helper()
	dirs, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	if err != nil || len(dirs) < 3 {
		t.Fatalf("%d threads of process %d (%v): a Go program has more", len(dirs), pid, err)
	}
	var all []privileges
	for _, name := range dirs {
		b, err := os.ReadFile(name)
		if err != nil {
			continue // that thread has ended
		}
		var p privileges
		into := map[string]*uint64{"CapInh": &p.inheritable, "CapPrm": &p.permitted, "CapEff": &p.effective, "CapBnd": &p.bounding, "CapAmb": &p.ambient}
		s := bufio.NewScanner(strings.NewReader(string(b)))
		for s.Scan() {
			key, value, _ := strings.Cut(s.Text(), ":")
			value = strings.TrimSpace(value)
			if at := into[key]; at != nil {
				if *at, err = strconv.ParseUint(value, 16, 64); err != nil {
					t.Fatal(err)
				}
			}
			if key == "NoNewPrivs" {
				p.noNew = value == "1"
			}
		}
		all = append(all, p)
	}
	return all
}

// confined checks that every thread has these capabilities and can have no more.
func confined(t *testing.T, pid int, want, bounding uint64) {
	t.Helper()
	for i, got := range threads(t, pid) {
		if w := (privileges{permitted: want, effective: want, bounding: bounding, noNew: true}); got != w {
			t.Errorf("thread %d: %v, want %v", i, got, w)
		}
	}
}

// TestConfined: whoever the program runs as, when all is open each of its
// threads has what opening again needs and no more; and that is enough.
func TestConfined(t *testing.T) {
	t.Parallel()
	l := lab.ForTest(t, "endtoend")
	a, b := l.Connect(l.Host("a"), l.Host("b"), lab.Link{
		A: []string{"192.0.2.1/24", "2001:db8::1/64"}, B: []string{"192.0.2.2/24", "2001:db8::2/64"}})
	config := file(t, "netprobe.yaml", pings(usual))
	run := []string{"run", "--iface", a.Name, "--config", config}
	all := threads(t, os.Getpid())[0].bounding

	t.Run("root", func(t *testing.T) {
		p := place{host: a.Host}.start(t, run...)
		p.waitFor("msg=confined")
		measured(t, a.Host, usual, "icmp", "four", "six")
		confined(t, p.pid(), kept, kept)
		p.signal(syscall.SIGTERM)
	})
	t.Run("root, another namespace", func(t *testing.T) {
		p := place{}.start(t, "run", "--iface", a.Name, "--netns", a.Host.Netns, "--config", file(t, "netprobe.yaml", pings(freePort(t))))
		p.waitFor("msg=confined")
		confined(t, p.pid(), kept|1<<unix.CAP_SYS_ADMIN, kept|1<<unix.CAP_SYS_ADMIN)
		p.signal(syscall.SIGTERM)
	})
	t.Run("file of another user", func(t *testing.T) {
		foreign := file(t, "netprobe.yaml", pings(usual))
		if err := os.Chmod(foreign, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(foreign, firstUser, firstUser); err != nil {
			t.Fatal(err)
		}
		p := place{host: a.Host}.start(t, "run", "--iface", a.Name, "--config", foreign)
		p.waitFor("a reload will fail")
		p.signal(syscall.SIGTERM)
	})
	t.Run("nobody, with file capabilities", func(t *testing.T) {
		copied := filepath.Join(folder(t, nil), "netprobe-xdp")
		in, err := os.Open(binary)
		if err != nil {
			t.Fatal(err)
		}
		defer in.Close()
		out, err := os.OpenFile(copied, os.O_CREATE|os.O_WRONLY, 0o755)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(out, in); err != nil {
			t.Fatal(err)
		}
		if err := out.Close(); err != nil {
			t.Fatal(err)
		}
		setcap := exec.Command(lab.Tool(t, "setcap", "libcap2-bin"), "cap_net_admin,cap_net_raw,cap_bpf,cap_perfmon,cap_ipc_lock+ep", copied)
		if said, err := setcap.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", setcap, err, said)
		}
		p := place{host: a.Host, program: copied, caps: []uintptr{}}.start(t, run...)
		p.waitFor("msg=confined")
		measured(t, a.Host, usual, "icmp", "four", "six")
		confined(t, p.pid(), kept, all)

		// What it kept is enough to open the interface again.
		ip := func(h *lab.Host, line string) {
			t.Helper()
			err := h.Do(func() error {
				out, err := exec.Command(lab.Tool(t, "ip", "iproute2"), strings.Fields(line)...).CombinedOutput()
				if err != nil {
					err = fmt.Errorf("ip %s: %w: %s", line, err, out)
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		before := scrape(t, a.Host, usual).sum("icmp_sent_total")
		ip(a.Host, "link del "+a.Name)
		p.waitFor("is gone")
		ip(a.Host, "link add "+a.Name+" type veth peer name "+b.Name+" netns "+b.Host.Netns)
		for _, e := range []struct {
			end  *lab.End
			last string
		}{{b, "2"}, {a, "1"}} {
			ip(e.end.Host, "addr add 192.0.2."+e.last+"/24 dev "+e.end.Name)
			ip(e.end.Host, "addr add 2001:db8::"+e.last+"/64 nodad dev "+e.end.Name)
			ip(e.end.Host, "link set "+e.end.Name+" up")
		}
		eventually(t, "forty more probes are answered", func() bool {
			page := scrape(t, a.Host, usual)
			_, answered := page.value("icmp_round_trip_seconds", "destination=four", "percentile=50")
			return answered && page.sum("icmp_sent_total") >= before+40
		})
		if s := xdp(t, a); s.program == 0 {
			t.Error("no XDP program on the interface that was made again")
		}
		confined(t, p.pid(), kept, all)
		if code := p.signal(syscall.SIGTERM); code != exitcode.OK {
			t.Errorf("SIGTERM: exit code %d", code)
		}
		nothingLeft(t, a, a.Host, usual)
	})
}
