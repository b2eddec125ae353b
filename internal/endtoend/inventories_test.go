// SPDX-License-Identifier: Apache-2.0

package endtoend

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/exitcode"
	"github.com/netprobe-xdp/netprobe-xdp/internal/lab"
)

// listed is a target of a list, pinged at 192.0.2.2. The hostname is written as
// JSON has it.
func listed(hostname string, more ...string) string {
	return fmt.Sprintf(`{"hostname": "%s", "type": "ICMPping", "destination": "192.0.2.2", "groups": ["g"], "nb_packets": 5, "timeout": 0.3%s}`,
		hostname, strings.Join(append([]string{""}, more...), ", "))
}

// replace writes a file beside and renames it, as a program that keeps a list
// does.
func replace(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name+".new", []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(name+".new", name); err != nil {
		t.Fatal(err)
	}
}

// TestFileInventory: a list that changes adds and removes targets and leaves
// the others alone; one that is rubbish changes nothing.
func TestFileInventory(t *testing.T) {
	t.Parallel()
	a, _ := pair(t)
	config := global(usual) + groups + targets(`four: {type: ICMPping, destination: 192.0.2.2, nb_packets: 50, timeout: 0.3}`) +
		"inventories: {dc: {file: dc.json}}\n"
	dir := folder(t, map[string]string{"netprobe.yaml": config, "dc.json": "[" + listed("one", `"labels": {"rack": "b7"}`) + ",\n" + listed("two") + "]"})
	list := filepath.Join(dir, "dc.json")
	p := place{host: a.Host}.start(t, "run", "--iface", a.Name, "--config", filepath.Join(dir, "netprobe.yaml"))
	p.waitFor("msg=probing")
	page := measured(t, a.Host, usual, "icmp", "four", "dc_one", "dc_two")
	page.want(t, 2, "netprobe_inventory_targets", "inventory=dc")
	page.want(t, 0, "netprobe_inventory_failures_total", "inventory=dc")
	page.want(t, 1, "netprobe_target_info", "destination=dc_one", "label_rack=b7")
	kept, _ := page.value("icmp_sent_total", "destination=dc_two")

	// One leaves, one comes, one goes when its time is over, and of the bad ones
	// each is named.
	soon := time.Now().Add(8 * time.Second).Format(time.RFC3339)
	replace(t, list, "["+listed("two")+",\n"+listed("three")+",\n"+listed("brief", `"lifetime": 1`, `"creation_date": "`+soon+`"`)+",\n"+
		listed("two")+",\n"+strings.Replace(listed("self"), "192.0.2.2", "127.0.0.1", 1)+",\n"+listed("contr\\u0007ol")+",\n"+listed("bad\xff")+"]")
	page = measured(t, a.Host, usual, "icmp", "four", "dc_two", "dc_three", "dc_brief")
	for _, said := range []string{`dc.json:4: targets.dc_two: read a second time`, `dc.json:5: targets.dc_self.destination: 127.0.0.1`, `dc.json:6: inventories.dc.hostname: read`, `dc.json:7: inventories.dc: not UTF-8`} {
		if !strings.Contains(p.stderr.String(), said) {
			t.Errorf("nothing says %q", said)
		}
	}
	page.want(t, 1, "app_target_name_dup_total", "target_name=dc_two")
	if v, ok := page.value("icmp_sent_total", "destination=dc_two"); !ok || v < kept {
		t.Errorf("dc_two: %v sent, and %v before", v, kept)
	}
	if left := page.all("icmp_sent_total", "destination=dc_one"); left != nil {
		t.Errorf("dc_one was removed, and there is %v", left)
	}
	eventually(t, "dc_brief goes", func() bool {
		return scrape(t, a.Host, usual).all("icmp_sent_total", "destination=dc_brief") == nil
	})
	page = scrape(t, a.Host, usual)
	page.want(t, 3, "netprobe_inventory_targets", "inventory=dc") // dc_self is one, and not probed

	// Rubbish, and a flood: the last good list stays.
	for i, rubbish := range []string{"<html>", "[{]", strings.Repeat("[", 12<<20), "[" + strings.Repeat(`{"hostname": "x"},`, 600_000)} {
		replace(t, list, rubbish)
		eventually(t, fmt.Sprintf("failure %d", i+1), func() bool {
			v, _ := scrape(t, a.Host, usual).value("netprobe_inventory_failures_total", "inventory=dc")
			return v == float64(i+1)
		})
	}
	p.waitFor("its last good list stays")
	if err := os.Remove(list); err != nil {
		t.Fatal(err)
	}
	eventually(t, "failure of no file", func() bool {
		v, _ := scrape(t, a.Host, usual).value("netprobe_inventory_failures_total", "inventory=dc")
		return v == 5
	})
	measured(t, a.Host, usual, "icmp", "four", "dc_two", "dc_three")
	replace(t, list, "["+listed("four")+"]")
	p.waitFor("inventory works again")
	page = measured(t, a.Host, usual, "icmp", "four", "dc_four")
	if left := page.all("icmp_sent_total", "destination=dc_two"); left != nil {
		t.Errorf("dc_two was removed, and there is %v", left)
	}

	if code := p.signal(syscall.SIGTERM); code != exitcode.OK {
		t.Errorf("SIGTERM: exit code %d", code)
	}
	nothingLeft(t, a, a.Host, usual)
}

// discovery serves a list at 127.0.0.1:9000 of the host.
func discovery(t *testing.T, listen func(func() error) error) (list *atomic.Value, asked *atomic.Int64) {
	t.Helper()
	list, asked = &atomic.Value{}, &atomic.Int64{}
	var l net.Listener
	err := listen(func() (err error) {
		l, err = net.Listen("tcp", "127.0.0.1:9000")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{ReadHeaderTimeout: patience, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if _, password, _ := r.BasicAuth(); password != "s3cret-of-cmdb" {
			http.Error(w, "no", http.StatusUnauthorized)
			return
		}
		fmt.Fprint(w, list.Load())
	})}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.Serve(l) // until it is closed
	}()
	t.Cleanup(func() {
		s.Close()
		<-done
	})
	return list, asked
}

// module is a dynamic inventory as netprobify's README describes them.
const module = `import logging
import time
from datetime import datetime, timedelta

log = logging.getLogger(__name__)


def start(targets, module_name, logging_level):
    log.info("starting %s", module_name)
    print("not a list")
    device = {
        "destination": "192.0.2.2",
        "type": "ICMPping",
        "groups": {"g"},
        "nb_packets": 5,
        "timeout": 0.3,
        "state": "in production",
        "alert_level": "paging",
        "lifetime": None,
        "creation_date": None,
    }
    old = dict(device, hostname="old", lifetime=timedelta(days=-1), creation_date=datetime.now())
    targets[module_name] = [dict(device, hostname="pe01.paris"), old]
    time.sleep(4)
    targets[module_name] = [dict(device, hostname="pe01.paris"), dict(device, hostname="pe02.paris")]
    while True:
        time.sleep(60)
`

// TestInventories: targets come from an address in Prometheus' shape, from a
// command, and from a Python module of netprobify, all at once and while one of
// them hangs; a reload keeps them, and disable_dynamic_inventories stops them.
func TestInventories(t *testing.T) {
	t.Parallel()
	lab.Tool(t, "python3", "python3")
	a, _ := pair(t)
	list, asked := discovery(t, a.Host.Do)
	list.Store(`[{"targets": ["192.0.2.2:9100"], "labels": {"env": "lab", "__meta_x": "y"}}, {"targets": ["127.0.0.1:1", "[2001:db8::2]:80"]}]`)
	bridge, err := filepath.Abs("../../scripts/netprobify-inventory.py")
	if err != nil {
		t.Fatal(err)
	}
	config := func(disabled string) string {
		return global(usual, "disable_dynamic_inventories: ["+disabled+"]") + groups + "inventories:\n" +
			"  cmdb: {url: 'http://127.0.0.1:9000/sd', interval: 1, user: me, defaults: {type: ICMPping, groups: [g], nb_packets: 5, timeout: 0.3}}\n" +
			"  script: {command: [./list.sh, web], interval: 1}\n" +
			"  hangs: {command: [sh, -c, 'sleep 1000'], timeout: 1}\n" +
			"  DCv3Lan: {command: [" + bridge + ", dynamic_inventories, DCv3Lan], streaming: true, timeout: 60}\n" +
			"  network_devices: {command: [no-such-program]}\n"
	}
	dir := folder(t, map[string]string{
		"netprobe.yaml": config("network_devices"), "password": "s3cret-of-cmdb\n",
		"list.sh": "#!/bin/sh\ncat /proc/self/status > status; env >> status\necho 'rubbish on stderr' >&2\n[ -e broken ] && exit 7\ncat <<.\n" + listed("$1") + "\n.\n",
	})
	if err := os.Chmod(filepath.Join(dir, "list.sh"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "dynamic_inventories"), 0o755); err != nil {
		t.Fatal(err)
	}
	replace(t, filepath.Join(dir, "dynamic_inventories", "DCv3Lan.py"), module)
	p := place{host: a.Host, env: []string{"NETPROBE_INVENTORIES__CMDB__PASSWORD_FILE=" + filepath.Join(dir, "password")}}.
		start(t, "run", "--iface", a.Name, "--config", filepath.Join(dir, "netprobe.yaml"))
	p.waitFor("msg=probing")
	all := []string{"cmdb_192.0.2.2:9100", "cmdb_[2001:db8::2]:80", "script_web", "DCv3Lan_pe01.paris"}
	measured(t, a.Host, usual, "icmp", append(all, "DCv3Lan_pe02.paris")...)
	page := scrape(t, a.Host, usual)
	page.want(t, 1, "netprobe_target_info", "destination=cmdb_192.0.2.2:9100", "label_env=lab")
	page.want(t, 2, "netprobe_inventory_targets", "inventory=DCv3Lan")
	page.want(t, 0, "netprobe_inventory_targets", "inventory=hangs")
	page.want(t, 0, "netprobe_inventory_last_success_timestamp_seconds", "inventory=hangs")
	if page.all("netprobe_inventory_targets", "inventory=network_devices") != nil || page.all("icmp_sent_total", "destination=DCv3Lan_old") != nil {
		t.Error("a disabled inventory or a target past its lifetime is there")
	}
	failures := func(name string) float64 {
		v, _ := scrape(t, a.Host, usual).value("netprobe_inventory_failures_total", "inventory="+name)
		return v
	}
	eventually(t, "hangs fails", func() bool { return failures("hangs") > 0 })
	for _, said := range []string{"cmdb_127.0.0.1:1.destination: 127.0.0.1 is in", "it has not ended after 1s"} {
		p.waitFor(said)
	}

	// The server and the script fail: what they said last holds.
	list.Store(strings.Repeat("rubbish ", 2_000_000))
	replace(t, filepath.Join(dir, "broken"), "")
	eventually(t, "cmdb and script fail", func() bool { return failures("cmdb") > 0 && failures("script") > 0 })
	p.waitFor(`it says: \"rubbish on stderr\"`)
	sent, _ := scrape(t, a.Host, usual).value("icmp_sent_total", "destination=script_web")

	// So it does after a reload.
	replace(t, filepath.Join(dir, "netprobe.yaml"), config("DCv3Lan, network_devices"))
	if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the targets of the module go", func() bool {
		return scrape(t, a.Host, usual).all("netprobe_target_info", "destination=DCv3Lan_pe01.paris") == nil
	})
	page = measured(t, a.Host, usual, "icmp", all[:3]...)
	if v, _ := page.value("icmp_sent_total", "destination=script_web"); v < sent {
		t.Errorf("script_web began anew: %v sent, and %v before", v, sent)
	}
	if err := os.Remove(filepath.Join(dir, "broken")); err != nil {
		t.Fatal(err)
	}
	list.Store("[]")
	eventually(t, "cmdb has none", func() bool {
		return scrape(t, a.Host, usual).all("netprobe_target_info", "destination=cmdb_192.0.2.2:9100") == nil
	})
	if strings.Contains(p.stderr.String()+p.stdout.String(), "s3cret") || asked.Load() == 0 {
		t.Error("the password is shown, or nobody asked")
	}

	status, err := os.ReadFile(filepath.Join(dir, "status"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"CapInh:\t0000000000000000\n", "CapPrm:\t0000000000000000\n", "CapEff:\t0000000000000000\n", "CapAmb:\t0000000000000000\n", "NoNewPrivs:\t1\n", "PATH=/usr/"} {
		if !strings.Contains(string(status), want) {
			t.Errorf("no %q of a command in\n%s", want, status)
		}
	}
	if strings.Contains(string(status), "NETPROBE_") {
		t.Errorf("a command sees our environment:\n%s", status)
	}

	children := childrenOf(t, p.pid())
	if code := p.signal(syscall.SIGTERM); code != exitcode.OK {
		t.Errorf("SIGTERM: exit code %d", code)
	}
	for _, pid := range children {
		eventually(t, fmt.Sprintf("process %d of an inventory ends", pid), func() bool { return syscall.Kill(pid, 0) != nil })
	}
	nothingLeft(t, a, a.Host, usual)
}

// childrenOf returns the processes that a process started.
func childrenOf(t *testing.T, pid int) (all []int) {
	t.Helper()
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range tasks {
		text, err := os.ReadFile(name)
		if err != nil {
			continue // a thread that has just ended
		}
		for word := range strings.FieldsSeq(string(text)) {
			var child int
			if _, err := fmt.Sscan(word, &child); err == nil {
				all = append(all, child)
			}
		}
	}
	return all
}
