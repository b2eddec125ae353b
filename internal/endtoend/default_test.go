// SPDX-License-Identifier: Apache-2.0

package endtoend

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/netprobe-xdp/netprobe-xdp/internal/exitcode"
	"github.com/netprobe-xdp/netprobe-xdp/internal/lab"
)

// office is a host behind a router whose IPv6 gateway is given, and resolvers
// behind that: 198.51.100.53 and 2001:db8:53::53.
func office(t *testing.T, gateway6 func(router *lab.End) string) (host, router *lab.End) {
	t.Helper()
	l := lab.ForTest(t, "endtoend")
	h, r, dns := l.Host("a"), l.Router("r"), l.Host("dns")
	host, router = l.Connect(h, r, lab.Link{
		A: []string{"192.0.2.1/24", "2001:db8::1/64"},
		B: []string{"192.0.2.254/24", "2001:db8::fe/64"},
	})
	l.Connect(r, dns, lab.Link{
		A: []string{"198.51.100.1/24", "2001:db8:53::1/64"},
		B: []string{"198.51.100.53/24", "2001:db8:53::53/64"},
	})
	h.SetRoute(lab.Default4, lab.Hop{Via: "192.0.2.254"})
	h.SetRoute(lab.Default6, lab.Hop{Via: gateway6(router), On: host})
	dns.SetRoute(lab.Default4, lab.Hop{Via: "198.51.100.1"})
	dns.SetRoute(lab.Default6, lab.Hop{Via: "2001:db8:53::1"})
	return host, router
}

const resolvers = "nameserver 198.51.100.53\nnameserver 2001:db8:53::53\n"

// TestDefault: without a configuration the default gateways and the upstream
// resolvers are pinged every 10 s, served on 127.0.0.1:8000, and the log says so.
func TestDefault(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/etc/netprobe-xdp/netprobe.yaml"); !errors.Is(err, fs.ErrNotExist) {
		t.Skip("this machine has a configuration of its own in /etc/netprobe-xdp")
	}
	hostname, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	linkLocal := func(r *lab.End) string { return r.LinkLocal().String() }
	global := func(*lab.End) string { return "2001:db8::fe" }
	for _, tt := range []struct {
		name    string
		gateway func(*lab.End) string
		etc     map[string]string
		env     []string
	}{
		{"link-local gateway", linkLocal, map[string]string{"resolv.conf": resolvers}, nil},
		// The environment overrides what is built in as well.
		{"stub resolver", global, map[string]string{"resolv.conf": "nameserver 127.0.0.53\n", "systemd.conf": resolvers},
			[]string{"NETPROBE_GLOBAL__INTERVAL=1"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			host, router := office(t, tt.gateway)
			p := place{host: host.Host, etc: tt.etc, env: tt.env}.start(t, "run", "--iface", host.Name)
			p.waitFor("msg=probing")
			said := p.stderr.String()
			gateway6 := tt.gateway(router)
			for _, want := range []string{
				"no configuration file",
				"gateway-ipv4 (192.0.2.254), ", "gateway-ipv6 (" + gateway6 + "), ",
				"resolver-ipv4-1 (198.51.100.53), ", "resolver-ipv6-1 (2001:db8:53::53) ",
				"http://127.0.0.1:8000/metrics",
			} {
				if !strings.Contains(said, want) {
					t.Errorf("the log does not say %q", want)
				}
			}
			if every := "every 10s"; strings.Contains(said, every) != (tt.env == nil) {
				t.Errorf("%q in the log: %v", every, tt.env != nil)
			}
			page := measured(t, host.Host, usual, "icmp", "gateway-ipv4", "gateway-ipv6", "resolver-ipv4-1", "resolver-ipv6-1")
			for name, addr := range map[string]string{
				"gateway-ipv4": "192.0.2.254", "gateway-ipv6": gateway6,
				"resolver-ipv4-1": "198.51.100.53", "resolver-ipv6-1": "2001:db8:53::53",
			} {
				page.want(t, 1, "netprobe_target_info", "destination="+name, "address="+addr)
			}
			if n := len(page.all("netprobe_target_info")); n != 4 {
				t.Errorf("%d targets, want 4: %v", n, page.all("netprobe_target_info"))
			}
			if got := page.all("icmp_loss_ratio", "probe_name="+strings.ToLower(hostname)); len(got) != 4 {
				t.Errorf("%d targets have the host's name %s as probe name, want 4", len(got), hostname)
			}
			if reachable(t, router.Host, "192.0.2.1:8000") {
				t.Error("the metrics are served to the network")
			}
			if code := p.signal(syscall.SIGTERM); code != exitcode.OK {
				t.Errorf("SIGTERM: exit code %d", code)
			}
			nothingLeft(t, host, host.Host, usual)
		})
	}
}

// TestNothingToProbe: without a configuration, a gateway and a resolver there is
// nothing to do, which is said.
func TestNothingToProbe(t *testing.T) {
	t.Parallel()
	a, _ := pair(t)
	got := place{host: a.Host, etc: map[string]string{"resolv.conf": "nameserver 127.0.0.1\n"}}.run(t, "run", "--iface", a.Name)
	refused(t, got, exitcode.Unavailable, "nothing to probe", a.Name, "--config")
	nothingLeft(t, a, a.Host, usual)
}

// refused checks that a command line ended with this code and one line of error
// that holds these words.
func refused(t *testing.T, got outcome, code int, words ...string) {
	t.Helper()
	lines := got.errorLines(t)
	if got.code != code || got.stdout != "" || len(lines) != 1 {
		t.Errorf("exit code %d, stdout %q, %d lines of error, want code %d and one line:\n%s", got.code, got.stdout, len(lines), code, got.stderr)
		return
	}
	for _, w := range words {
		if !strings.Contains(lines[0], w) {
			t.Errorf("the error lacks %q: %s", w, lines[0])
		}
	}
}
