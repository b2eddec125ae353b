// SPDX-License-Identifier: Apache-2.0

package endtoend

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/netprobe-xdp/netprobe-xdp/internal/exitcode"
	"github.com/netprobe-xdp/netprobe-xdp/internal/lab"
)

// usualLock is how much memory a process may lock unless somebody raised it: the
// memory of one queue, 6 MiB, and not of two.
const usualLock = 8 << 20

// TestCapabilities: for an ordinary user, the capabilities that the README names are enough,
// and each that is missing is named.
func TestCapabilities(t *testing.T) {
	t.Parallel()
	a, _ := pair(t)
	const admin, raw, bpf, perfmon, sysadmin = unix.CAP_NET_ADMIN, unix.CAP_NET_RAW, unix.CAP_BPF, unix.CAP_PERFMON, unix.CAP_SYS_ADMIN
	enough := []uintptr{admin, raw, bpf, perfmon}
	config := file(t, "netprobe.yaml", pings(usual))
	run := []string{"run", "--iface", a.Name, "--config", config}
	for name, tt := range map[string]struct {
		caps    []uintptr
		missing string
	}{
		"none":             {[]uintptr{}, "missing CAP_NET_ADMIN, CAP_NET_RAW, CAP_BPF, CAP_PERFMON;"},
		"no CAP_NET_ADMIN": {[]uintptr{raw, bpf, perfmon}, "missing CAP_NET_ADMIN;"},
		"no CAP_NET_RAW":   {[]uintptr{admin, bpf, perfmon}, "missing CAP_NET_RAW;"},
		"no CAP_BPF":       {[]uintptr{admin, raw, perfmon}, "missing CAP_BPF;"},
		"no CAP_PERFMON":   {[]uintptr{admin, raw, bpf}, "missing CAP_PERFMON;"},
	} {
		t.Run(name, func(t *testing.T) {
			w := place{host: a.Host, caps: tt.caps}
			refused(t, w.run(t, run...), exitcode.NoPermission, tt.missing)
			nothingLeft(t, a, a.Host, usual)
			report := w.run(t, "check", "--iface", a.Name)
			if report.code != exitcode.NoPermission || !strings.Contains(report.stdout, tt.missing) || len(report.errorLines(t)) != 1 {
				t.Errorf("check: %+v", report)
			}
		})
	}
	for name, caps := range map[string][]uintptr{"CAP_BPF and CAP_PERFMON": enough, "CAP_SYS_ADMIN": {admin, raw, sysadmin}} {
		t.Run("enough with "+name, func(t *testing.T) {
			w := place{host: a.Host, caps: caps, lock: usualLock}
			if report := w.run(t, "check", "--iface", a.Name); report.code != exitcode.OK || report.stderr != "" {
				t.Errorf("check: %+v", report)
			}
			p := w.start(t, run...)
			p.waitFor("msg=probing")
			measured(t, a.Host, usual, "icmp", "four", "six")
			if code := p.signal(syscall.SIGTERM); code != exitcode.OK {
				t.Errorf("SIGTERM: exit code %d", code)
			}
			nothingLeft(t, a, a.Host, usual)
		})
	}
	t.Run("another namespace", func(t *testing.T) {
		refused(t, place{caps: enough}.run(t, append(run, "--netns", a.Host.Netns)...), exitcode.NoPermission, "missing CAP_SYS_ADMIN;")
	})
	t.Run("low port", func(t *testing.T) {
		w := place{host: a.Host, caps: enough, env: []string{"NETPROBE_GLOBAL__PROMETHEUS_PORT=80"}}
		a.Host.Sysctl("net.ipv4.ip_unprivileged_port_start", "1024")
		refused(t, w.run(t, run...), exitcode.NoPermission, "prometheus_port", "CAP_NET_BIND_SERVICE")
		nothingLeft(t, a, a.Host, usual)
	})
	t.Run("secret file", func(t *testing.T) {
		secret := filepath.Join(folder(t, nil), "netprobe.yaml")
		if err := os.WriteFile(secret, []byte(pings(usual)), 0o600); err != nil {
			t.Fatal(err)
		}
		w := place{host: a.Host, caps: enough}
		refused(t, w.run(t, "run", "--iface", a.Name, "--config", secret), exitcode.NoInput, secret, "permission denied")
		refused(t, w.run(t, "check", secret), exitcode.NoInput, secret, "permission denied")
	})
	t.Run("locked memory", func(t *testing.T) {
		l := lab.ForTest(t, "endtoend")
		a, _ := l.Connect(l.Host("a"), l.Host("b"), lab.Link{
			Queues: 2, A: []string{"192.0.2.1/24", "2001:db8::1/64"}, B: []string{"192.0.2.2/24", "2001:db8::2/64"}})
		run := []string{"run", "--iface", a.Name, "--config", config}
		w := place{host: a.Host, caps: enough, lock: usualLock}
		refused(t, w.run(t, run...), exitcode.Unavailable, a.Name, "LimitMEMLOCK", "CAP_IPC_LOCK", "6144 KiB are needed for each queue")
		nothingLeft(t, a, a.Host, usual)
		w.caps = append(enough[:4:4], unix.CAP_IPC_LOCK)
		p := w.start(t, run...)
		p.waitFor("queues=2")
		measured(t, a.Host, usual, "icmp", "four", "six")
	})
	t.Run("demo", func(t *testing.T) {
		refused(t, place{caps: []uintptr{}}.run(t, "demo"), exitcode.NoPermission, "root")
	})
}
