// SPDX-License-Identifier: Apache-2.0

package truth

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/lab"
)

// While inventories that were added by a reload change as often as they may,
// with targets that stay, come, go, change and are bad, no probe of the others
// is lost or doubled.
func TestInventoriesUnderLoad(t *testing.T) {
	t.Parallel()
	const packets = 300 // a round takes 3 s
	p := newPair(t, 2)
	listen(t, p.host, lab.Discard, 80, far4, far6)
	s := setup{on: p.prober, hosts: []*lab.Host{p.host}, ifaces: []string{p.nearEnd.Name}, interval: 5 * time.Second, gap: 10 * time.Millisecond}
	for family, addr := range far {
		s.targets = append(s.targets,
			target{name: "udp-" + family, kind: "UDPunreachable", port: 33434, addr: addr, packets: packets, timeout: 500 * time.Millisecond},
			target{name: "echo-" + family, kind: "ICMPping", addr: addr, packets: packets, timeout: 500 * time.Millisecond})
	}
	r := start(t, s)

	// What they list is TCP, and what is counted of the others is not.
	list := func(n int) string {
		const item = `{"hostname": "%s", "type": "TCPsyn", "destination": %q, "dst_port": %d, "groups": ["g"], "nb_packets": %d, "timeout": 0.5}`
		return "[" + strings.Join([]string{
			fmt.Sprintf(item, "stays", far4, 80, 50), fmt.Sprintf(item, fmt.Sprint("comes-", n), far6, 80, 50), fmt.Sprintf(item, "changes", far4, 80, 50+n%7),
			fmt.Sprintf(item, "bad", far4, 0, 1), fmt.Sprintf(item, "refused", "127.0.0.1", 80, 1), fmt.Sprintf(item, "stays", far4, 80, 1),
		}, ",\n") + "]"
	}
	var asked atomic.Int64
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		n := asked.Add(1)
		if n%3 == 0 {
			http.Error(w, "no", http.StatusInternalServerError)
			return
		}
		fmt.Fprint(w, list(int(n)))
	}))
	defer web.Close()
	file := filepath.Join(t.TempDir(), "list.json")
	changed := 0
	change := func() {
		t.Helper()
		changed++
		err := os.WriteFile(file+".new", []byte(list(changed)), 0o600)
		if err == nil {
			err = os.Rename(file+".new", file)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	change()
	r.content["inventories"] = map[string]any{"web": map[string]any{"url": web.URL, "interval": 1}, "disk": map[string]any{"file": file}}
	report, err := r.reload()
	if err != nil || len(report.Added) != 4 || len(report.Removed)+len(report.Changed) != 0 {
		t.Fatalf("the reload: %+v, %v", report, err)
	}
	for end := time.Now().Add(time.Minute); r.all().Rounds < 1 && time.Now().Before(end); time.Sleep(2500 * time.Millisecond) {
		change()
	}
	r.quiet(2, func() {
		got, seen, want := r.all(), uint64(0), uint64(2*len(s.targets)*packets)
		for _, name := range []string{"Icmp:InEchos", "Icmp6InEchos", "Udp:NoPorts", "Udp6NoPorts"} {
			seen += kernelCounter(t, p.host, name)
		}
		t.Logf("%s; the host saw %d; %d lists were asked for and %d written", show(got), seen, asked.Load(), changed)
		if got.Lost = got.Lost - min(got.Lost, r.unable()); got.Sent != want || seen != want || got.Lost+got.Duplicates+got.Late+notSent(got)+unknown(got) != 0 {
			t.Errorf("%s; the host saw %d: want %d sent and seen, and nothing else", show(got), seen, want)
		}
		page := r.page()
		for _, name := range []string{"web", "disk"} {
			if n, _ := page.sum(t, "netprobe_inventory_targets", `inventory="`+name+`"`); n != 4 { // the one that is refused is one of them
				t.Errorf("%s has %d targets", name, n)
			}
			if n, _ := page.sum(t, "tcpsyn_sent_total", `destination="`+name+`_stays"`); n == 0 {
				t.Errorf("nothing was sent to %s_stays", name)
			}
		}
	})
	if asked.Load() < 5 || changed < 2 {
		t.Errorf("%d lists were asked for and %d written", asked.Load(), changed)
	}
}
