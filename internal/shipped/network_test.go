// SPDX-License-Identifier: Apache-2.0

package shipped

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/ipv4"

	"github.com/netprobe-xdp/netprobe-xdp/internal/lab"
)

// network is a prober behind a router from hosts that answer in every way that
// a series tells of, and a VictoriaMetrics and a Prometheus on the prober's host
// that scrape it as configs/ says.
type network struct {
	prober *lab.Host
	iface  string
	odd    *oddHost
	probe  *lab.Process
}

// The addresses of the network.
const (
	gateway = "192.0.2.254"
	nobody  = "192.0.2.99" // on the prober's link
	farAddr = "198.51.100.2"
	oddAddr = "203.0.113.2"
)

// Where they listen on the prober's host.
const (
	victoriaMetrics = "127.0.0.1:8428"
	prometheusAddr  = "127.0.0.1:9090"
)

// newNetwork builds the network.
func newNetwork(t *testing.T) *network {
	t.Helper()
	l := lab.ForTest(t, "shipped")
	p, router, far, odd := l.Host("prober"), l.Router("router"), l.Host("far"), l.Host("odd")
	p.Sysctl("net.ipv4.ip_local_reserved_ports", "65000-65039")
	near, _ := l.Connect(p, router, lab.Link{A: []string{"192.0.2.1/24", "2001:db8::1/64"}, B: []string{gateway + "/24", "2001:db8::fe/64"}})
	l.Connect(router, far, lab.Link{A: []string{"198.51.100.1/24", "2001:db8:1::1/64"}, B: []string{farAddr + "/24", "2001:db8:1::2/64"}})
	l.Connect(router, odd, lab.Link{A: []string{"203.0.113.1/24"}, B: []string{oddAddr + "/24"}})
	p.SetRoute(lab.Default4, lab.Hop{Via: gateway})
	p.SetRoute(lab.Default6, lab.Hop{Via: "2001:db8::fe"})
	far.SetRoute(lab.Default4, lab.Hop{Via: "198.51.100.1"})
	far.SetRoute(lab.Default6, lab.Hop{Via: "2001:db8:1::1"})
	odd.SetRoute(lab.Default4, lab.Hop{Via: "203.0.113.1"})
	far.UnlimitedICMP()
	router.UnlimitedICMP()
	for _, port := range []int{80, 82} {
		if _, err := far.ListenTCP(fmt.Sprintf("[::]:%d", port), lab.Discard); err != nil {
			t.Fatal(err)
		}
	}
	far.DropShare(lab.Input, lab.Match{Proto: lab.TCP, Port: 82}, 1, 4)
	router.Reject(lab.Forward, lab.Match{Proto: lab.TCP, Port: 83}, lab.AdminProhibited)
	return &network{prober: p, iface: near.Name, odd: startOdd(t, odd)}
}

// get reads a URL from inside a host.
func get(h *lab.Host, url string) (string, error) {
	return lab.Fetch(lab.HTTPClient(h.Do, patience), url)
}

// configuration probes everything in the network. Of these targets lossy,
// rejected and nobody are in trouble, huge cannot be sent, and nameless has a name
// that no server here knows.
const configuration = `
global: {probe_name: lab, interval: 1, nb_proc: 1, logging_level: INFO, prometheus_address: 127.0.0.1, prometheus_port: 8000, dns_update_interval: 0}
groups: {g: {src_port_a: 65000, src_port_z: 65019}, other: {src_port_a: 65020, src_port_z: 65039, dscp: 8}}
targets:
  open: {type: TCPsyn, destination: 198.51.100.2, dst_port: 80, nb_packets: 10, timeout: 0.4, alert_level: paging, state: in production, threshold: {latency: 9, loss: 50}}
  open6: {type: TCPsyn, destination: "2001:db8:1::2", dst_port: 80, nb_packets: 10, timeout: 0.4}
  slow: {type: TCPsyn, destination: 198.51.100.2, dst_port: 81, nb_packets: 10, timeout: 0.4, alert_level: paging, threshold: {latency: 0.000001}}
  ping: {type: ICMPping, destination: 198.51.100.2, nb_packets: 10, timeout: 0.4}
  udp: {type: UDPunreachable, destination: 198.51.100.2, dst_port: 33434, nb_packets: 10, timeout: 0.4}
  lossy: {type: TCPsyn, destination: 198.51.100.2, dst_port: 82, nb_packets: 20, timeout: 0.4, alert_level: paging, threshold: {loss: 1}}
  rejected: {type: TCPsyn, destination: 198.51.100.2, dst_port: 83, nb_packets: 10, timeout: 0.4}
  nobody: {type: ICMPping, destination: 192.0.2.99, nb_packets: 10, timeout: 0.4}
  huge: {type: UDPunreachable, destination: 198.51.100.2, dst_port: 33435, nb_packets: 2, timeout: 0.4, ip_payload_size: 3000}
  nameless: {type: ICMPping, destination: nameless.invalid, nb_packets: 2, timeout: 0.4}
  odd: {type: ICMPping, destination: 203.0.113.2, nb_packets: 40, timeout: 0.2, explicit_groups: {exclude_from: [other]}}
`

// settings push as well, to where nobody listens.
const settings = `
metrics: {histograms: [open, ping]}
push: {url: "http://127.0.0.1:9", interval: 1s}
inventories: {rack: {file: rack.jsonl}}
`

// inventory names one target twice.
const inventory = `{"hostname": "a", "type": "ICMPping", "destination": "198.51.100.2", "groups": ["g"]}
{"hostname": "a", "type": "ICMPping", "destination": "198.51.100.2", "groups": ["g"]}
`

// start starts the program, VictoriaMetrics and Prometheus, the latter with the
// recording rules. They scrape every two seconds; all else is as in configs/.
func (n *network) start(t *testing.T) {
	t.Helper()
	vm, prometheus := lab.Tool(t, "victoria-metrics", "victoria-metrics"), lab.Tool(t, "prometheus", "prometheus")
	dir := t.TempDir()
	often := func(folder, name string) string {
		return write(t, dir, name, bytes.Replace(read(t, folder, name), []byte("scrape_interval: 10s"), []byte("scrape_interval: 2s"), 1))
	}
	n.run(t, vm, "-promscrape.config="+often("victoria-metrics", "scrape.yml"), "-storageDataPath="+filepath.Join(dir, "vm"),
		"-httpListenAddr="+victoriaMetrics, "-search.latencyOffset=0s", "-memory.allowedBytes=64MiB", "-loggerLevel=WARN")
	for _, name := range []string{"recording.yml", "alerts.yml"} {
		write(t, dir, name, read(t, "prometheus", name))
	}
	n.run(t, prometheus, "--config.file="+often("prometheus", "prometheus.yml"), "--storage.tsdb.path="+filepath.Join(dir, "prometheus"),
		"--web.listen-address="+prometheusAddr, "--log.level=warn")
	write(t, dir, "rack.jsonl", []byte(inventory))
	n.probe = n.run(t, binary, "run", "--iface", n.iface,
		"--config", write(t, dir, "netprobe.yaml", []byte(configuration)), "--settings", write(t, dir, "settings.yaml", []byte(settings)))
	for _, at := range []string{victoriaMetrics, prometheusAddr} {
		eventually(t, "the program's figures at "+at, func() bool {
			found, err := n.query(at, "netprobe_target_info")
			return err == nil && len(found) > 0
		})
	}
}

// run runs a program on the prober's host until the test ends, and shows what it
// said if the test failed.
func (n *network) run(t *testing.T, name string, args ...string) *lab.Process {
	t.Helper()
	p, err := n.prober.Start(t.Context(), name, args...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.Wait() // killed by the end of the test's context
		if t.Failed() {
			t.Logf("%s said:\n%s%s", name, p.Stdout(), p.Stderr())
		}
	})
	return p
}

// sample is one series of an answer.
type sample struct{ Metric map[string]string }

// query asks an instant query.
func (n *network) query(at, expr string) ([]sample, error) {
	var answer struct{ Result []sample }
	err := n.ask(at, "query", url.Values{"query": {expr}}, &answer)
	return answer.Result, err
}

// queryRange asks for the last 20 seconds, as a panel does.
func (n *network) queryRange(at, expr string) ([]sample, error) {
	var answer struct{ Result []sample }
	now := time.Now()
	err := n.ask(at, "query_range", url.Values{"query": {expr}, "step": {"1s"},
		"start": {fmt.Sprint(now.Add(-20 * time.Second).Unix())}, "end": {fmt.Sprint(now.Unix())}}, &answer)
	return answer.Result, err
}

// ask reads the data of an answer of the query API that both have.
func (n *network) ask(at, call string, query url.Values, data any) error {
	body, err := get(n.prober, "http://"+at+"/api/v1/"+call+"?"+query.Encode())
	if err != nil {
		return err
	}
	return json.Unmarshal([]byte(body), &struct{ Data any }{data})
}

// overflow stops the program for a moment while more answers come than its
// rings hold, until it doubts what became of some probes.
func (n *network) overflow(t *testing.T) {
	t.Helper()
	eventually(t, "answers dropped on the prober's side", func() bool {
		n.odd.flood.Store(50_000)
		eventually(t, "a flood of answers", func() bool { return n.odd.flood.Load() == 0 })
		if err := syscall.Kill(n.probe.PID(), syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		time.Sleep(500 * time.Millisecond)
		if err := syscall.Kill(n.probe.PID(), syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Second) // a round, and a scrape
		found, err := n.query(victoriaMetrics, "netprobe_unknown_total")
		return err == nil && len(found) > 0
	})
}

// oddHost answers pings as no host should: each other pair in the wrong order,
// some twice, some after the timeout, with a TTL that changes.
type oddHost struct {
	conn  net.PacketConn
	raw   *ipv4.PacketConn
	flood atomic.Int64 // how often to repeat the next answer
}

func startOdd(t *testing.T, h *lab.Host) *oddHost {
	t.Helper()
	h.Sysctl("net.ipv4.icmp_echo_ignore_all", "1") // the kernel does not answer as well
	o := &oddHost{}
	if err := h.Do(func() (err error) {
		o.conn, err = net.ListenPacket("ip4:icmp", "0.0.0.0")
		return err
	}); err != nil {
		t.Fatal(err)
	}
	o.raw = ipv4.NewPacketConn(o.conn)
	done := make(chan struct{})
	go func() { defer close(done); o.serve() }()
	t.Cleanup(func() { o.conn.Close(); <-done })
	return o
}

func (o *oddHost) serve() {
	buf := make([]byte, 2048)
	var held []byte
	for n := 0; ; n++ {
		size, from, err := o.conn.ReadFrom(buf)
		if err != nil {
			return // closed
		}
		const request, reply = 8, 0
		if size < 8 || buf[0] != request {
			continue
		}
		answer := append([]byte(nil), buf[:size]...)
		answer[0] = reply
		sum := uint32(answer[2])<<8 + uint32(answer[3]) + request<<8 // the type counts that much less
		sum = sum&0xffff + sum>>16
		answer[2], answer[3] = byte(sum>>8), byte(sum)
		send := func() { _, _ = o.conn.WriteTo(answer, from) }
		_ = o.raw.SetTTL(64 - n/8%2)
		for range o.flood.Swap(0) {
			send()
		}
		switch n % 8 {
		case 0: // after the next one
			held = answer
		case 1:
			send()
			answer = held
			send()
		case 2:
			time.AfterFunc(300*time.Millisecond, send)
		case 3:
			send()
			send()
		default:
			send()
		}
	}
}
