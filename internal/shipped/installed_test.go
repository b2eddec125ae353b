// SPDX-License-Identifier: Apache-2.0

//go:build packages

package shipped

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/netprobe-xdp/netprobe-xdp/internal/lab"
)

// suite is the Debian that the package is installed in.
const suite = "bookworm"

// debian unpacks a Debian with systemd and nothing more that it does not
// need. It is made once, from where this machine's packages come from, and kept in
// build/.
func debian(t *testing.T) string {
	t.Helper()
	lab.NeedRoot(t, "install packages")
	kept, err := filepath.Abs("../../build/" + suite + ".tar")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(kept); err != nil {
		args := []string{"--quiet", "--variant=minbase", "--include=systemd,systemd-sysv,procps", suite, kept}
		for _, sources := range []string{"/etc/apt/sources.list", "/etc/apt/sources.list.d/debian.sources"} {
			if _, err := os.Stat(sources); err == nil {
				args = append(args, sources)
			}
		}
		if err := os.MkdirAll(filepath.Dir(kept), 0o755); err != nil {
			t.Fatal(err)
		}
		command(t, lab.Tool(t, "mmdebstrap", "mmdebstrap"), args...)
	}
	root := t.TempDir()
	command(t, "tar", "-C", root, "--exclude=./dev/*", "-xpf", kept)
	if err := os.Chmod(root, 0o755); err != nil {
		t.Fatal(err)
	}
	return root
}

// TestPackageInstalled installs the package in a new Debian under a systemd of its
// own: nothing runs before somebody asks for it, then it measures; an upgrade
// keeps the configuration and starts the new program; a removal stops it; a purge
// leaves nothing. lintian has nothing to say.
func TestPackageInstalled(t *testing.T) {
	deb, _ := pack(t, runtime.GOARCH)
	cmd := exec.Command(lab.Tool(t, "lintian", "lintian"), "--fail-on", "error,warning", "--allow-root", deb)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("lintian: %v\n%s", err, out)
	}

	root := debian(t)
	l := lab.ForTest(t, "installed")
	prober, far := l.Host("prober"), l.Host("far")
	near, _ := l.Connect(prober, far, lab.Link{A: []string{"192.0.2.1/24"}, B: []string{"192.0.2.2/24"}})
	command(t, "cp", deb, root+"/package.deb")
	m := &machine{t: t, root: root, unit: "netprobe-xdp.service"}
	m.start(prober, nil, "--log-target=console")
	eventually(t, "systemd is up", func() bool {
		state, _ := m.systemctl("is-system-running")
		return state == "running" || state == "degraded"
	})
	sh := func(script string) string {
		t.Helper()
		out, err := m.run("/bin/sh", "-c", "export PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive; "+script)
		if err != nil {
			t.Fatalf("%s: %v\n%s", script, err, out)
		}
		return out
	}
	is := func(what, want string) {
		t.Helper()
		if got, _ := m.systemctl(what, m.unit); got != want {
			t.Errorf("%s: %q, want %q", what, got, want)
		}
	}
	measures := func() {
		t.Helper()
		m.waitActive()
		eventually(t, "a round without loss", func() bool {
			page, err := get(prober, "http://127.0.0.1:8000/metrics")
			return err == nil && strings.Contains(page, `icmp_loss_ratio{probe_name="probe1",destination="gateway",address_family="ipv4",state="None",group="standard"} 0`+"\n")
		})
	}

	t.Log(sh("dpkg -i /package.deb"))
	is("is-active", "inactive")
	is("is-enabled", "disabled")
	t.Log(sh("netprobe-xdp version; netprobe-xdp check; systemd-analyze verify " + m.unit))
	if _, err := m.systemctl("start", m.unit); err == nil {
		t.Error("it starts without an interface")
	}
	if out := sh("journalctl -q -u " + m.unit); !strings.Contains(out, "--iface") {
		t.Errorf("the log does not say that an interface has to be named:\n%s", out)
	}

	// What the files say to do.
	example, err := os.ReadFile(root + "/etc/netprobe-xdp/netprobe.yaml")
	if err != nil {
		t.Fatal(err)
	}
	_, targets, ok := strings.Cut(string(example), "\n# targets:\n")
	if !ok {
		t.Fatalf("no targets in:\n%s", example)
	}
	targets = "targets:\n" + regexp.MustCompile(`(?m)^# `).ReplaceAllString(targets, "")
	targets = strings.NewReplacer("192.0.2.1\n", "192.0.2.2\n", "192.0.2.10\n", "192.0.2.2\n").Replace(targets)
	write(t, root, "etc/netprobe-xdp/netprobe.yaml", []byte(strings.Replace(string(example), "interval: 10", "interval: 1", 1)+targets))
	write(t, root, "etc/default/netprobe-xdp", []byte("OPTIONS=--iface "+near.Name+"\n"))
	t.Log(sh("netprobe-xdp check && systemctl enable --now " + m.unit))
	measures()
	first := m.main()
	if first == "" {
		t.Fatal("the unit has not one process")
	}
	t.Log(sh("systemctl status --no-pager " + m.unit))

	sh("dpkg -i /package.deb")
	is("is-enabled", "enabled")
	measures()
	if pid := m.main(); pid == first {
		t.Error("the upgrade left the old program running")
	}
	if got := sh("cat /etc/default/netprobe-xdp"); got != "OPTIONS=--iface "+near.Name {
		t.Errorf("the upgrade changed what was configured: %s", got)
	}

	sh("dpkg -r netprobe-xdp")
	is("is-active", "inactive")
	if pid := m.main(); pid != "" {
		t.Error("it runs after its removal")
	}
	sh("test -e /etc/netprobe-xdp/netprobe.yaml; test ! -e /usr/bin/netprobe-xdp")
	sh("dpkg -P netprobe-xdp")
	if out := sh("find / -xdev -name '*netprobe*' ! -path '/proc/*' ! -path '/var/log/*'"); out != "" {
		t.Errorf("left after the purge:\n%s", out)
	}
}
