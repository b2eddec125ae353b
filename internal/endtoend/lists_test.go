// SPDX-License-Identifier: Apache-2.0

package endtoend

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/netprobe-xdp/netprobe-xdp/internal/exitcode"
)

// TestBlockList: nothing is sent to what safety.block_file holds, which check
// says beforehand, and a reload reads it again.
func TestBlockList(t *testing.T) {
	t.Parallel()
	a, _ := pair(t)
	dir := folder(t, map[string]string{
		"netprobe.yaml": pings(usual) + `  net: {type: ICMPping, destination: 192.0.2.0/29, is_subnet: true, nb_packets: 1, timeout: 0.3}` + "\nsafety: {block_file: blocked.txt}\n",
		"blocked.txt":   "192.0.2.2 # the far end\n198.51.100.0/24\n",
	})
	config := filepath.Join(dir, "netprobe.yaml")

	w := place{host: a.Host}
	var said struct {
		Configuration struct {
			Blocked []struct {
				Target, First string
				Addresses, Of int
			}
		}
	}
	report := w.run(t, "check", config, "-o", "json")
	if err := json.Unmarshal([]byte(report.stdout), &said); err != nil || report.code != exitcode.OK {
		t.Fatalf("check: %v, %+v", err, report)
	}
	if got := fmt.Sprint(said.Configuration.Blocked); got != "[{four 192.0.2.2 1 1} {net 192.0.2.2 1 8}]" {
		t.Errorf("check lists %s", got)
	}
	if report := w.run(t, "check", config); !strings.Contains(report.stdout, "\nblocked: net: 1 of 8 addresses, the first is 192.0.2.2\n") {
		t.Errorf("check: %q", report.stdout)
	}

	p := w.start(t, "run", "--iface", a.Name, "--config", config)
	p.waitFor("msg=probing")
	measured(t, a.Host, usual, "icmp", "six")
	eventually(t, "probes that are blocked", func() bool {
		return scrape(t, a.Host, usual).sum("netprobe_not_sent_total", "destination=four", "reason=blocked") > 0
	})
	if s := scrape(t, a.Host, usual).all("icmp_loss_ratio", "destination=four"); len(s) > 0 {
		t.Errorf("a blocked target has a loss: %v", s)
	}

	// Now the other family is blocked.
	if err := os.WriteFile(filepath.Join(dir, "blocked.txt"), []byte("2001:db8::/64\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	p.waitFor("configuration carried out")
	measuredOnceMore := func() bool {
		page := scrape(t, a.Host, usual)
		_, four := page.value("icmp_round_trip_seconds", "destination=four", "percentile=50")
		n, ok := page.value("netprobe_not_sent_total", "destination=six", "reason=blocked")
		return four && ok && n > 0 && len(page.all("icmp_loss_ratio", "destination=six")) == 0
	}
	eventually(t, "the list is followed", measuredOnceMore)
	if got := scrape(t, a.Host, usual).all("icmp_loss_total", "destination=six"); len(got) > 0 && got[0].value != 0 {
		t.Errorf("blocking made a loss: %v", got)
	}
}

// TestBlockListNames: what a name resolves to is looked at each time.
func TestBlockListNames(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	b.AddAddr("192.0.2.3/24")
	b.AddAddr("192.0.2.4/24")
	dns := startDnsmasq(t, b.Host, "192.0.2.3 moves.test", "192.0.2.4 never.test")
	dir := folder(t, map[string]string{
		"netprobe.yaml": global(usual) + groups + targets(
			`moves: {type: ICMPping, destination: moves.test, nb_packets: 10, timeout: 0.3, dns_update_interval: 1}`,
			`never: {type: ICMPping, destination: never.test, nb_packets: 10, timeout: 0.3, dns_update_interval: 1}`) + "safety: {allow_file: allowed.txt}\n",
		"allowed.txt": "192.0.2.0/30\n",
	})
	p := place{host: a.Host, etc: map[string]string{"resolv.conf": "nameserver 192.0.2.2\n"}}.start(t, "run", "--iface", a.Name, "--config", filepath.Join(dir, "netprobe.yaml"))
	p.waitFor("msg=probing")
	measured(t, a.Host, usual, "icmp", "moves")
	blocked := func(target string) float64 {
		return scrape(t, a.Host, usual).sum("netprobe_not_sent_total", "destination="+target, "reason=blocked")
	}
	eventually(t, "probes that are blocked", func() bool { return blocked("never") > 0 })
	if n := blocked("moves"); n != 0 {
		t.Errorf("%v probes blocked to an address that is allowed", n)
	}
	dns.set("192.0.2.4 moves.test", "192.0.2.4 never.test")
	eventually(t, "probes that are blocked at the new address", func() bool { return blocked("moves") > 10 })
	dns.set("192.0.2.3 moves.test", "192.0.2.4 never.test")
	eventually(t, "probes to the old address", func() bool {
		_, ok := scrape(t, a.Host, usual).value("icmp_loss_ratio", "destination=moves")
		return ok
	})
	page := scrape(t, a.Host, usual)
	if lost := page.sum("icmp_loss_total"); lost != 0 || page.sum("icmp_sent_total", "destination=never") != 0 {
		t.Errorf("%v lost, %v sent to what is not allowed", lost, page.sum("icmp_sent_total", "destination=never"))
	}
}

// TestKillFile: while the file exists nothing leaves, from the start on, and none
// of it is loss.
func TestKillFile(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	dir := folder(t, map[string]string{"netprobe.yaml": pings(usual) + "safety: {kill_file: stop}\n", "stop": ""})
	stop := filepath.Join(dir, "stop")
	received := func() (n uint64) {
		t.Helper()
		err := b.Host.Do(func() error {
			link, err := netlink.LinkByName(b.Name)
			if err == nil {
				n = link.Attrs().Statistics.RxPackets
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}

	p := place{host: a.Host}.start(t, "run", "--iface", a.Name, "--config", filepath.Join(dir, "netprobe.yaml"))
	p.waitFor("all sending is stopped")
	stopped := func(want float64) {
		t.Helper()
		eventually(t, fmt.Sprintf("netprobe_stopped is %v", want), func() bool {
			n, ok := scrape(t, a.Host, usual).value("netprobe_stopped")
			return ok && n == want
		})
	}
	of := func(series string, labels ...string) float64 { return scrape(t, a.Host, usual).sum(series, labels...) }
	stopped(1)
	eventually(t, "probes that are not sent", func() bool { return of("netprobe_not_sent_total", "reason=stopped") >= 20 })
	if got := of("icmp_sent_total"); got != 0 {
		t.Errorf("%v probes sent before the file was ever gone", got)
	}

	if err := os.Remove(stop); err != nil {
		t.Fatal(err)
	}
	p.waitFor("sending goes on")
	stopped(0)
	eventually(t, "answers", func() bool { return of("icmp_sent_total") >= 20 })

	if err := os.WriteFile(stop, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	stopped(1)
	// Figures come with whole rounds: that of the last probes is over by then.
	earlier := of("netprobe_not_sent_total", "reason=stopped")
	eventually(t, "three more rounds", func() bool { return of("netprobe_not_sent_total", "reason=stopped") >= earlier+60 })
	// By the far end's count: what still arrives is not of ours, since ARP and ND
	// ask once a second.
	sent, before, missed := of("icmp_sent_total"), received(), of("netprobe_not_sent_total", "reason=stopped")
	eventually(t, "a hundred probes that are not sent", func() bool { return of("netprobe_not_sent_total", "reason=stopped") >= missed+100 })
	if now := received(); now-before > 50 {
		t.Errorf("the far end received %d frames while a hundred probes were held back", now-before)
	}
	if now := of("icmp_sent_total"); now != sent {
		t.Errorf("%v probes sent while stopped", now-sent)
	}
	if lost := of("icmp_loss_total"); lost != 0 {
		t.Errorf("%v lost", lost)
	}
}
