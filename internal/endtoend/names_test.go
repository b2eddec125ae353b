// SPDX-License-Identifier: Apache-2.0

package endtoend

import (
	"strings"
	"syscall"
	"testing"

	"github.com/netprobe-xdp/netprobe-xdp/internal/exitcode"
	"github.com/netprobe-xdp/netprobe-xdp/internal/lab"
)

// TestNames: a destination may be a name; its target follows what the name
// stands for, as often as dns_update_interval says.
func TestNames(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	moves := map[string]*lab.Filter{} // count what arrives at the addresses to move to, drop nothing
	for _, addr := range []string{"192.0.2.3/24", "2001:db8::3/64"} {
		b.AddAddr(addr)
		addr, _, _ = strings.Cut(addr, "/")
		moves[addr] = b.Host.DropTurns(lab.Input, lab.Match{Proto: lab.ICMP, To: addr}, 0, 1)
	}
	dns := serveNames(t, b.Host, "192.0.2.2")
	for name, addr := range map[string]string{"four.test": "192.0.2.2", "six.test": "2001:db8::2", "once.test": "192.0.2.2", "bad.test": "127.0.0.1", "own.test": "192.0.2.1"} {
		dns.set(name, addr)
	}
	const ping = "type: ICMPping, nb_packets: 10, timeout: 0.3"
	config := global(usual) + groups + targets(
		`four: {`+ping+`, destination: four.test, dns_update_interval: 1}`,
		`six: {`+ping+`, destination: six.test, address_family: ipv6, dns_update_interval: 1}`,
		`once: {`+ping+`, destination: once.test}`,
		`bad: {`+ping+`, destination: bad.test, dns_update_interval: 1}`,
		`own: {`+ping+`, destination: own.test, dns_update_interval: 1}`,
		`nowhere: {`+ping+`, destination: nowhere.test, dns_update_interval: 1}`)
	p := place{host: a.Host, etc: map[string]string{"resolv.conf": "nameserver 192.0.2.2\n"}}.start(t, "run", "--iface", a.Name, "--config", file(t, "netprobe.yaml", config))
	p.waitFor("msg=probing")
	page := measured(t, a.Host, usual, "icmp", "four", "six", "once")
	for name, addr := range map[string]string{"four": "192.0.2.2", "six": "2001:db8::2", "once": "192.0.2.2"} {
		page.want(t, 1, "netprobe_target_info", "destination="+name, "address="+addr)
		page.want(t, 1, "app_host_resolution_status", "destination="+name)
		page.want(t, 1, "app_host_resolution_change_total", "destination="+name)
	}
	page.want(t, 0, "app_host_resolution_status", "destination=nowhere")
	page.want(t, 1, "app_host_resolution_status", "destination=own") // as in netprobify
	page.want(t, 0, "app_host_resolution_change_total", "destination=own")
	for _, name := range []string{"nowhere", "bad", "own"} {
		for _, series := range []string{"icmp_sent_total", "icmp_loss_ratio"} {
			if got := page.all(series, "destination="+name); got != nil {
				t.Errorf("%s is not probed, and there is %v", name, got)
			}
		}
	}

	// What has no address is waited for by nobody.
	eventually(t, "the program is ready", func() bool {
		status, _ := curl(t, a.Host, "http://127.0.0.1:8000/-/ready")
		return status == "200"
	})

	// Another address: the probes go there, and nothing is lost on the way.
	sent, _ := page.value("icmp_sent_total", "destination=four")
	dns.set("four.test", "192.0.2.3")
	dns.set("six.test", "2001:db8::3")
	dns.set("once.test", "192.0.2.3")
	for name, addr := range map[string]string{"four": "192.0.2.3", "six": "2001:db8::3"} {
		eventually(t, name+" moves to "+addr, func() bool {
			v, ok := scrape(t, a.Host, usual).value("netprobe_target_info", "destination="+name, "address="+addr)
			return ok && v == 1
		})
		eventually(t, "pings at "+addr, func() bool {
			c, err := moves[addr].Counts()
			if err != nil {
				t.Fatal(err)
			}
			return c.Seen >= 20 // one a second may be our question for its MAC
		})
	}
	eventually(t, "another round", func() bool {
		v, _ := scrape(t, a.Host, usual).value("icmp_sent_total", "destination=four")
		return v > sent+20
	})
	page = scrape(t, a.Host, usual)
	for _, name := range []string{"four", "six"} {
		page.want(t, 2, "app_host_resolution_change_total", "destination="+name)
		page.want(t, 0, "icmp_loss_total", "destination="+name)
		page.want(t, 0, "icmp_loss_ratio", "destination="+name)
	}
	// dns_update_interval 0: once.
	page.want(t, 1, "netprobe_target_info", "destination=once", "address=192.0.2.2")
	if n := dns.questions("once.test"); n != 1 {
		t.Errorf("a name with dns_update_interval 0 was asked for %d times", n)
	}

	// No address: what was measured goes away, since it is no longer true.
	dns.set("four.test", "")
	eventually(t, "four without its series", func() bool {
		page = scrape(t, a.Host, usual)
		v, ok := page.value("app_host_resolution_status", "destination=four")
		return ok && v == 0 && page.all("icmp_loss_ratio", "destination=four") == nil && page.all("icmp_sent_total", "destination=four") == nil
	})
	dns.set("four.test", "192.0.2.2")
	dns.set("bad.test", "192.0.2.2")
	dns.set("own.test", "192.0.2.2")
	measured(t, a.Host, usual, "icmp", "four", "bad", "own").want(t, 1, "app_host_resolution_change_total", "destination=own")
	dns.set("own.test", "192.0.2.1")
	eventually(t, "our own address is not probed", func() bool {
		return scrape(t, a.Host, usual).all("icmp_sent_total", "destination=own") == nil
	})

	if code := p.signal(syscall.SIGTERM); code != exitcode.OK {
		t.Errorf("SIGTERM: exit code %d", code)
	}
	nothingLeft(t, a, a.Host, usual)
}

// TestSilentNameServer: a name server that says nothing holds up neither the
// targets that need it not, nor the end.
func TestSilentNameServer(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	b.Host.DropAll(lab.Input, lab.Match{Proto: lab.UDP, Port: 53})
	config := file(t, "netprobe.yaml", global(usual)+groups+targets(
		`four: {type: ICMPping, destination: 192.0.2.2, nb_packets: 10, timeout: 0.3}`,
		`name: {type: ICMPping, destination: name.test, dns_update_interval: 1}`))
	w := place{host: a.Host, etc: map[string]string{"resolv.conf": "nameserver 192.0.2.2\n"}}
	early := w.start(t, "run", "--iface", a.Name, "--config", config)
	early.waitFor("no longer needed") // it has read its configuration, and asks
	if code := early.signal(syscall.SIGTERM); code != exitcode.OK {
		t.Errorf("SIGTERM while names are resolved: exit code %d", code)
	}
	nothingLeft(t, a, a.Host, usual)

	p := w.start(t, "run", "--iface", a.Name, "--config", config)
	p.waitFor("msg=probing")
	page := measured(t, a.Host, usual, "icmp", "four")
	page.want(t, 0, "app_host_resolution_status", "destination=name")
	if code := p.signal(syscall.SIGINT); code != exitcode.OK {
		t.Errorf("SIGINT: exit code %d", code)
	}
	nothingLeft(t, a, a.Host, usual)
}
