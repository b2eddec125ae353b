// SPDX-License-Identifier: Apache-2.0

package endtoend

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/netprobe-xdp/netprobe-xdp/internal/exitcode"
)

// TestReload: SIGHUP and a changed file make the program read its configuration
// again. What stays goes on counting, what goes disappears, and a file with a
// fault changes nothing but app_reload_conf_failed_status.
func TestReload(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	b.AddAddr("192.0.2.3/24")
	const ping = "{type: ICMPping, nb_packets: 10, timeout: 0.3, threshold: {loss: 5}, destination: "
	dir := folder(t, map[string]string{
		"netprobe.yaml": global(usual) + groups + targets(`inv_a: `+ping+`192.0.2.2}`, `inv_a1: `+ping+`192.0.2.3}`),
		"settings.yaml": "engine: {reload_on_change: false}\n",
	})
	// replace lets a file change in one step.
	replace := func(name, text string) {
		t.Helper()
		next := filepath.Join(dir, "next")
		if err := os.WriteFile(next, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(next, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	p := place{host: a.Host}.start(t, "run", "--iface", a.Name, "--config", filepath.Join(dir, "netprobe.yaml"), "--settings", filepath.Join(dir, "settings.yaml"))
	hangup := func() {
		t.Helper()
		if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
	}
	p.waitFor("msg=probing")
	sent, _ := measured(t, a.Host, usual, "icmp", "inv_a", "inv_a1").value("icmp_sent_total", "destination=inv_a")

	// One goes, one comes; the third is none the wiser.
	replace("netprobe.yaml", global(usual)+groups+targets(`inv_a: `+ping+`192.0.2.2}`, `new: `+ping+`192.0.2.3}`))
	hangup()
	p.waitFor("configuration carried out")
	page := measured(t, a.Host, usual, "icmp", "inv_a", "new")
	for _, series := range []string{"icmp_sent_total", "icmp_loss_total", "icmp_loss_ratio", "icmp_round_trip_seconds", "threshold", "app_host_resolution_status", "netprobe_target_info"} {
		if got := page.all(series, "destination=inv_a1"); got != nil {
			t.Errorf("a target that is gone has %v", got)
		}
		if got := page.all(series, "destination=inv_a"); got == nil {
			t.Errorf("a target that stays has no %s", series)
		}
	}
	if now, _ := page.value("icmp_sent_total", "destination=inv_a"); now < sent {
		t.Errorf("a target that stays counted %v probes before and %v after", sent, now)
	}
	page.want(t, 0, "icmp_loss_total", "destination=inv_a")
	page.want(t, 0, "app_reload_conf_failed_status")

	// A fault, and what a scraper sees of it.
	replace("netprobe.yaml", global(usual)+groups+targets(`inv_a: {type: ICMPping, destination: 192.0.2.2, nb_packets: many}`))
	hangup()
	eventually(t, "the reload is known to have failed", func() bool {
		v, ok := scrape(t, a.Host, usual).value("app_reload_conf_failed_status")
		return ok && v == 1
	})
	p.waitFor("netprobe.yaml:")
	if !strings.Contains(p.stderr.String(), "targets.inv_a.nb_packets: read many") {
		t.Error("the log does not name the fault")
	}
	measured(t, a.Host, usual, "icmp", "inv_a", "new")

	// A good one again, which asks for its changes to be noticed.
	replace("netprobe.yaml", global(usual)+groups+targets(`inv_a: `+ping+`192.0.2.2}`))
	replace("settings.yaml", "engine: {reload_on_change: true, tick: 2ms}\n")
	hangup()
	p.waitFor("engine.tick: another value than the 1ms that is in use")
	eventually(t, "the reload is known to have worked", func() bool {
		page := scrape(t, a.Host, usual)
		v, ok := page.value("app_reload_conf_failed_status")
		return ok && v == 0 && page.all("icmp_sent_total", "destination=new") == nil
	})
	replace("netprobe.yaml", global(usual)+groups+targets(`inv_a: `+ping+`192.0.2.2}`, `noticed: `+ping+`192.0.2.3}`))
	page = measured(t, a.Host, usual, "icmp", "inv_a", "noticed")
	page.want(t, 0, "icmp_loss_total", "destination=inv_a")
	if got := page.all("netprobe_not_sent_total", "destination=inv_a"); got != nil {
		t.Errorf("a target that stays has %v", got)
	}

	// As Kubernetes replaces a mounted configuration: a link to a link.
	for name, text := range map[string]string{"one": "unused", "two": global(usual) + groups + targets(`inv_a: `+ping+`192.0.2.2}`, `mounted: `+ping+`192.0.2.3}`)} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
		if name == "one" {
			b, err := os.ReadFile(filepath.Join(dir, "netprobe.yaml"))
			if err != nil {
				t.Fatal(err)
			}
			text = string(b)
		}
		if err := os.WriteFile(filepath.Join(dir, name, "netprobe.yaml"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	link := func(to, name string) {
		t.Helper()
		if err := os.Symlink(to, filepath.Join(dir, "link")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(dir, "link"), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	link("one", "..data")
	link("..data/netprobe.yaml", "netprobe.yaml")
	link("two", "..data")
	measured(t, a.Host, usual, "icmp", "inv_a", "mounted")

	if code := p.signal(syscall.SIGTERM); code != exitcode.OK {
		t.Errorf("SIGTERM: exit code %d", code)
	}
	nothingLeft(t, a, a.Host, usual)
}
