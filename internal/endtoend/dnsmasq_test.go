// SPDX-License-Identifier: Apache-2.0

package endtoend

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/lab"
)

// dnsmasq is Debian's name server on 192.0.2.2 of a host. It hands out several
// addresses in another order each time. The test's goroutine uses it.
type dnsmasq struct {
	t     *testing.T
	host  *lab.Host
	hosts string // file of lines "address name"
	*lab.Process
}

func startDnsmasq(t *testing.T, host *lab.Host, lines ...string) *dnsmasq {
	t.Helper()
	d := &dnsmasq{t: t, host: host, hosts: filepath.Join(folder(t, nil), "hosts")}
	d.write(lines...)
	d.run()
	return d
}

func (d *dnsmasq) run() {
	d.t.Helper()
	var err error
	d.Process, err = d.host.Start(d.t.Context(), lab.Tool(d.t, "dnsmasq", "dnsmasq-base"), "--no-daemon", "--conf-file=/dev/null", "--no-resolv", "--no-hosts",
		"--user=root", "--pid-file=", "--listen-address=192.0.2.2", "--bind-interfaces", "--local=/test/", "--addn-hosts="+d.hosts, "--log-queries")
	if err == nil {
		err = d.WaitFor(d.t.Context(), "read "+d.hosts)
	}
	if err != nil {
		d.t.Fatal(err)
	}
}

func (d *dnsmasq) write(lines ...string) {
	d.t.Helper()
	if err := os.WriteFile(d.hosts, []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
		d.t.Fatal(err)
	}
}

// set gives out other addresses from now on.
func (d *dnsmasq) set(lines ...string) {
	d.t.Helper()
	d.write(lines...)
	d.signal(syscall.SIGHUP)
}

func (d *dnsmasq) signal(s syscall.Signal) {
	d.t.Helper()
	if err := syscall.Kill(d.PID(), s); err != nil {
		d.t.Fatal(err)
	}
}

// asked returns how often a name was asked for since it runs.
func (d *dnsmasq) asked(question string) int {
	return strings.Count(d.Stderr()+d.Stdout(), question)
}

// TestDnsmasq: a real name server that returns many addresses, changes them, is
// slow, fails and comes back moves targets, or not, as is configured; what needs
// no name server notices nothing.
func TestDnsmasq(t *testing.T) {
	t.Parallel()
	for name, keep := range map[string]bool{"inactive while it fails": false, "kept while it fails": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testDnsmasq(t, keep)
		})
	}
}

func testDnsmasq(t *testing.T, keep bool) {
	a, b := pair(t)
	four := []string{"192.0.2.3", "192.0.2.4", "192.0.2.5", "192.0.2.6"}
	six := []string{"2001:db8::3", "2001:db8::4"}
	var zone []string
	for _, addr := range four {
		b.AddAddr(addr + "/24")
		zone = append(zone, addr+" many.test")
	}
	for _, addr := range six {
		b.AddAddr(addr + "/64")
		zone = append(zone, addr+" many.test")
	}
	dns := startDnsmasq(t, b.Host, zone...)
	const ping = "type: ICMPping, nb_packets: 10, timeout: 0.3"
	config := "global: {probe_name: lab, interval: 1, nb_proc: 1, logging_level: INFO, prometheus_address: 127.0.0.1, prometheus_port: 8000, dns_update_interval: 1}\n" +
		groups + targets(
		`fixed: {`+ping+`, destination: 192.0.2.2}`,
		`four: {`+ping+`, destination: many.test, threshold: {loss: 5}}`, // at the interval of the section global
		`six: {`+ping+`, destination: many.test, address_family: ipv6, dns_update_interval: 1}`)
	if keep {
		config += "engine: {dns_keep: 1h}\n"
	}
	p := place{host: a.Host, etc: map[string]string{"resolv.conf": "nameserver 192.0.2.2\n"}}.start(t, "run", "--iface", a.Name, "--config", file(t, "netprobe.yaml", config))
	p.waitFor("msg=probing")
	page := measured(t, a.Host, usual, "icmp", "fixed", "four", "six")
	address := func(target string) string {
		t.Helper()
		infos := page.all("netprobe_target_info", "destination="+target)
		if len(infos) != 1 {
			t.Fatalf("%s: %v", target, infos)
		}
		return infos[0].labels["address"]
	}
	first := map[string]string{"four": address("four"), "six": address("six")}

	// Many addresses, in turn: the one in use is kept.
	eventually(t, "six questions of each", func() bool { return dns.asked("query[A] many.test") >= 6 && dns.asked("query[AAAA] many.test") >= 6 })
	page = scrape(t, a.Host, usual)
	for target, addr := range first {
		page.want(t, 1, "app_host_resolution_change_total", "destination="+target)
		page.want(t, 1, "app_host_resolution_status", "destination="+target)
		if got := address(target); got != addr {
			t.Errorf("%s went from %s to %s, which are both in the answer", target, addr, got)
		}
		if v, ok := page.value("app_host_resolution_duration", "destination="+target); !ok || v <= 0 || v > 5 {
			t.Errorf("%s: resolved in %v s (%v)", target, v, ok)
		}
	}
	if all := page.all("app_host_resolution_duration", "destination=fixed"); all != nil {
		t.Errorf("nobody is asked for an address: %v", all)
	}

	// The address in use leaves the answer: another, and nothing is lost.
	var rest []string
	for _, line := range zone {
		if addr, _, _ := strings.Cut(line, " "); addr != first["four"] && addr != first["six"] {
			rest = append(rest, line)
		}
	}
	sent, _ := page.value("icmp_sent_total", "destination=four")
	dns.set(rest...)
	eventually(t, "both move", func() bool {
		page = scrape(t, a.Host, usual)
		return address("four") != first["four"] && address("six") != first["six"]
	})
	more := func(target string, than float64) {
		t.Helper()
		eventually(t, "more probes of "+target, func() bool {
			page = scrape(t, a.Host, usual)
			v, _ := page.value("icmp_sent_total", "destination="+target)
			return v >= than
		})
	}
	more("four", sent+20) // on top of those before: the counters go on
	for target := range first {
		page.want(t, 2, "app_host_resolution_change_total", "destination="+target)
		page.want(t, 0, "icmp_loss_total", "destination="+target)
	}

	// Slow.
	dns.signal(syscall.SIGSTOP)
	time.Sleep(1500 * time.Millisecond)
	dns.signal(syscall.SIGCONT)
	eventually(t, "a slow answer", func() bool {
		page = scrape(t, a.Host, usual)
		v, _ := page.value("app_host_resolution_duration", "destination=four")
		return v >= 0.25
	})
	page.want(t, 1, "app_host_resolution_status", "destination=four")

	// Gone.
	_ = dns.Stop() // it says that a signal ended it
	eventually(t, "the status says so", func() bool {
		page = scrape(t, a.Host, usual)
		v, ok := page.value("app_host_resolution_status", "destination=four")
		return ok && v == 0
	})
	if sent, probed := page.value("icmp_sent_total", "destination=four"); probed != keep {
		t.Errorf("probed while the name server fails: %v, dns_keep: %v", probed, keep)
	} else if keep {
		more("four", sent+20)
		page.want(t, 0, "icmp_loss_total", "destination=four")
		page.want(t, 0, "app_host_resolution_status", "destination=four")
	}
	if !keep { // exactly what was measured goes
		for _, s := range page {
			stays := slices.Contains([]string{"threshold", "app_host_resolution_status", "app_host_resolution_change_total", "app_host_resolution_duration", "netprobe_target_info"}, s.name)
			if s.labels["destination"] == "four" && !stays {
				t.Errorf("four is not probed, and there is %v", s)
			}
		}
	}
	page.want(t, 5, "threshold", "destination=four", "type=loss")
	page.want(t, 2, "app_host_resolution_change_total", "destination=four")
	fixed, _ := page.value("icmp_sent_total", "destination=fixed")
	more("fixed", fixed+20)
	page.want(t, 0, "icmp_loss_total", "destination=fixed")

	// Back again.
	dns.run()
	eventually(t, "the status says so", func() bool {
		page = scrape(t, a.Host, usual)
		v, _ := page.value("app_host_resolution_status", "destination=four")
		return v == 1
	})
	page = measured(t, a.Host, usual, "icmp", "fixed", "four")
	if keep {
		page.want(t, 2, "app_host_resolution_change_total", "destination=four")
	}

	// No such name is an answer, and nothing is kept.
	dns.set(rest[len(rest)-1]) // of the other family
	eventually(t, "four is not probed", func() bool {
		page = scrape(t, a.Host, usual)
		return page.all("icmp_sent_total", "destination=four") == nil
	})
	page.want(t, 0, "app_host_resolution_status", "destination=four")
	page.want(t, 0, "icmp_loss_total", "destination=fixed")
}
