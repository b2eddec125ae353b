// SPDX-License-Identifier: Apache-2.0

package endtoend

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/netprobe-xdp/netprobe-xdp/internal/exitcode"
	"github.com/netprobe-xdp/netprobe-xdp/internal/lab"
)

// TestReloadInterface: a reload takes up an interface and gives it back, for an
// ordinary user too, whose program gave up what only its start needed.
func TestReloadInterface(t *testing.T) {
	t.Parallel()
	for name, caps := range map[string][]uintptr{
		"root":             nil,
		"an ordinary user": {unix.CAP_NET_ADMIN, unix.CAP_NET_RAW, unix.CAP_BPF, unix.CAP_PERFMON, unix.CAP_IPC_LOCK},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := lab.ForTest(t, "endtoend")
			host := l.Host("a")
			one, _ := l.Connect(host, l.Host("b"), lab.Link{A: []string{"192.0.2.1/24"}, B: []string{"192.0.2.2/24"}})
			two, _ := l.Connect(host, l.Host("c"), lab.Link{A: []string{"198.51.100.1/24"}, B: []string{"198.51.100.2/24"}})
			const ping = "{type: ICMPping, nb_packets: 10, timeout: 0.3, destination: "
			with := func(interfaces string, more ...string) string {
				return global(usual) + groups + targets(append(more, `stays: `+ping+`192.0.2.2}`)...) + fmt.Sprintf("engine: {interfaces: [%s]}\n", interfaces)
			}
			config := file(t, "netprobe.yaml", with(""))
			p := place{host: host, caps: caps}.start(t, "run", "--iface", one.Name, "--config", config)
			reload := func(text string) {
				t.Helper()
				next := filepath.Join(filepath.Dir(config), "next")
				if err := os.WriteFile(next, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
				if err := os.Rename(next, config); err != nil {
					t.Fatal(err)
				}
				if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
					t.Fatal(err)
				}
			}
			p.waitFor("msg=probing")
			measured(t, host, usual, "icmp", "stays")
			reload(with(two.Name, `comes: `+ping+`198.51.100.2}`))
			page := measured(t, host, usual, "icmp", "stays", "comes")
			page.want(t, 1, "netprobe_xdp_mode_info", "interface="+two.Name)
			if xdp(t, two) == (slot{}) {
				t.Errorf("no XDP program on %s", two.Name)
			}
			reload(with(""))
			eventually(t, "the interface is given back", func() bool {
				return xdp(t, two) == (slot{}) && scrape(t, host, usual).all("netprobe_xdp_mode_info", "interface="+two.Name) == nil
			})
			page = measured(t, host, usual, "icmp", "stays")
			page.want(t, 0, "icmp_loss_total", "destination=stays")
			if got := page.all("netprobe_unknown_total"); got != nil {
				t.Errorf("there is %v", got)
			}
			if code := p.signal(syscall.SIGTERM); code != exitcode.OK {
				t.Errorf("SIGTERM: exit code %d", code)
			}
			nothingLeft(t, one, host, usual)
		})
	}
}
