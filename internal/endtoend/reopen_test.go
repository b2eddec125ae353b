// SPDX-License-Identifier: Apache-2.0

package endtoend

import (
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/netprobe-xdp/netprobe-xdp/internal/exitcode"
	"github.com/netprobe-xdp/netprobe-xdp/internal/lab"
)

// TestMadeAgain: what the program keeps of its privileges is enough to take an
// interface again that was deleted and made again, as root, as an ordinary user,
// and in another namespace; and at the end nothing is left.
func TestMadeAgain(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		where func(a *lab.End) place
		netns bool
	}{
		"root":              {func(a *lab.End) place { return place{host: a.Host} }, false},
		"another namespace": {func(*lab.End) place { return place{} }, true},
		"ordinary user": {func(a *lab.End) place {
			return place{host: a.Host, caps: []uintptr{unix.CAP_NET_ADMIN, unix.CAP_NET_RAW, unix.CAP_BPF, unix.CAP_PERFMON, unix.CAP_IPC_LOCK}}
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, b := pair(t)
			served, port := a.Host, usual
			args := []string{"run", "--iface", a.Name}
			if tt.netns {
				served, port = nil, freePort(t)
				args = append(args, "--netns", a.Host.Netns)
			}
			p := tt.where(a).start(t, append(args, "--config", file(t, "netprobe.yaml", pings(port)))...)
			p.waitFor("msg=confined")
			measured(t, served, port, "icmp", "four", "six")
			ip := func(h *lab.Host, line string) {
				if _, err := h.Exec(t.Context(), lab.Tool(t, "ip", "iproute2"), strings.Fields(line)...); err != nil {
					t.Fatal(err)
				}
			}
			ip(a.Host, "link del "+a.Name)
			p.waitFor("the interface is gone")
			ip(a.Host, "link add "+a.Name+" type veth peer name "+b.Name+" netns "+b.Host.Netns)
			for _, e := range []struct {
				end    *lab.End
				v4, v6 string
			}{{b, "192.0.2.2/24", "2001:db8::2/64"}, {a, "192.0.2.1/24", "2001:db8::1/64"}} {
				ip(e.end.Host, "addr add "+e.v4+" dev "+e.end.Name)
				ip(e.end.Host, "addr add "+e.v6+" dev "+e.end.Name+" nodad")
				ip(e.end.Host, "link set "+e.end.Name+" up")
			}
			sent := func() float64 { return scrape(t, served, port).sum("icmp_sent_total") }
			before := sent()
			eventually(t, "probing goes on", func() bool { return sent() > before+40 })
			page := scrape(t, served, port)
			if lost := page.sum("icmp_loss_total"); lost != 0 {
				t.Errorf("%v probes are lost", lost)
			}
			if xdp(t, a) == (slot{}) {
				t.Error("nothing is attached")
			}
			if code := p.signal(syscall.SIGTERM); code != exitcode.OK {
				t.Errorf("SIGTERM: exit code %d", code)
			}
			nothingLeft(t, a, served, port)
		})
	}
}
