// SPDX-License-Identifier: Apache-2.0

package endtoend

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/netprobe-xdp/netprobe-xdp/internal/exitcode"
	"github.com/netprobe-xdp/netprobe-xdp/internal/lab"
)

// TestRefuses: each mistake on the command line, in the files and of the machine
// is one line of error with its exit code, and leaves nothing behind.
func TestRefuses(t *testing.T) {
	t.Parallel()
	a, _ := pair(t)
	l := lab.ForTest(t, "endtoend")
	// Interfaces that are no good, each on a host of its own.
	down, _ := l.Connect(l.Host("down"), l.Host("x1"), lab.Link{A: []string{"192.0.2.1/24"}})
	down.SetUp(false)
	bare, _ := l.Connect(l.Host("bare"), l.Host("x2"), lab.Link{})
	tun := l.Host("tun")
	for _, args := range []string{"tuntap add dev tun0 mode tun", "link set tun0 up", "addr add 192.0.2.1/24 dev tun0"} {
		if _, err := tun.Exec(t.Context(), lab.Tool(t, "ip", "iproute2"), strings.Fields(args)...); err != nil {
			t.Fatal(err)
		}
	}
	var busy net.Listener
	err := a.Host.Do(func() (err error) {
		busy, err = net.Listen("tcp", "127.0.0.1:8001")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()

	good := file(t, "netprobe.yaml", pings(usual))
	huge := filepath.Join(folder(t, nil), "huge.yaml")
	if err := os.WriteFile(huge, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(huge, 1<<40); err != nil { // sparse
		t.Fatal(err)
	}
	pipe := filepath.Join(folder(t, nil), "pipe.yaml")
	if err := syscall.Mkfifo(pipe, 0o644); err != nil {
		t.Fatal(err)
	}
	unrouted := func(addr string) string {
		return file(t, "netprobe.yaml", global(usual)+groups+targets(`far: {type: ICMPping, destination: "`+addr+`"}`))
	}
	here := []string{"--iface", a.Name}
	config := func(name string) []string { return append(here[:1:1], a.Name, "--config", name) }
	with := func(flags ...string) []string { return append(config(good), flags...) }

	for name, tt := range map[string]struct {
		host  *lab.Host
		args  []string
		code  int
		words []string // in the line
	}{
		// Command line.
		"unknown flag":      {a.Host, with("--fast"), exitcode.Usage, []string{"unknown flag: --fast", "run --help"}},
		"argument":          {a.Host, with("netprobe.yaml"), exitcode.Usage, []string{`"netprobe.yaml"`, "--config"}},
		"no interface":      {a.Host, []string{"--config", good}, exitcode.Usage, []string{"--iface"}},
		"interface twice":   {a.Host, with("--iface", a.Name), exitcode.Usage, []string{a.Name, "twice"}},
		"mode":              {a.Host, with("--xdp-mode", "fast"), exitcode.Usage, []string{"--xdp-mode", "fast", "native", "generic"}},
		"bind":              {a.Host, with("--bind", "dma"), exitcode.Usage, []string{"--bind", "dma", "zerocopy"}},
		"flag without text": {a.Host, append(here[:2:2], "--config"), exitcode.Usage, []string{"--config"}},

		// Interfaces and namespaces.
		"missing interface": {a.Host, []string{"--iface", "nope0", "--config", good}, exitcode.Unavailable, []string{"nope0", "does not exist", a.Name}},
		"second missing":    {a.Host, with("--iface", "nope0"), exitcode.Unavailable, []string{"nope0", "does not exist"}},
		"overlong name":     {a.Host, []string{"--iface", strings.Repeat("x", 40), "--config", good}, exitcode.Unavailable, []string{"does not exist"}},
		"empty name":        {a.Host, []string{"--iface", "", "--config", good}, exitcode.Unavailable, []string{"does not exist"}},
		"down":              {down.Host, []string{"--iface", down.Name, "--config", good}, exitcode.Unavailable, []string{down.Name, "is down", "ip link set"}},
		"no address":        {bare.Host, []string{"--iface", bare.Name, "--config", good}, exitcode.Unavailable, []string{bare.Name, "no address", "ip addr add"}},
		"loopback":          {a.Host, []string{"--iface", "lo", "--config", good}, exitcode.Unavailable, []string{"lo", "loopback"}},
		"tunnel":            {tun, []string{"--iface", "tun0", "--config", good}, exitcode.Unavailable, []string{"tun0", "not Ethernet"}},
		"missing namespace": {a.Host, with("--netns", "npxendtoend-none"), exitcode.Unavailable, []string{"/run/netns/npxendtoend-none"}},
		"no namespace":      {a.Host, with("--netns", good), exitcode.Unavailable, []string{good}},

		// Routes.
		"no route":         {a.Host, config(unrouted("198.51.100.1")), exitcode.Unavailable, []string{"target far", "no route", "198.51.100.1"}},
		"no route, IPv6":   {a.Host, config(unrouted("2001:db8:9::1")), exitcode.Unavailable, []string{"target far", "no route", "2001:db8:9::1"}},
		"subnet broadcast": {a.Host, config(unrouted("192.0.2.255")), exitcode.Unavailable, []string{"target far", "192.0.2.255", "broadcast"}},

		// Serving.
		"port in use":     {a.Host, config(file(t, "netprobe.yaml", pings(8001))), exitcode.Unavailable, []string{"127.0.0.1:8001", "prometheus_port"}},
		"foreign address": {a.Host, config(file(t, "netprobe.yaml", strings.Replace(pings(usual), "127.0.0.1", "192.0.2.77", 1))), exitcode.Unavailable, []string{"192.0.2.77", "prometheus_address"}},

		// Files.
		"missing file":     {a.Host, config("nope.yaml"), exitcode.NoInput, []string{"nope.yaml"}},
		"folder":           {a.Host, config(folder(t, nil)), exitcode.NoInput, []string{".yaml, .yml or .json"}},
		"empty file":       {a.Host, config(file(t, "netprobe.yaml", "")), exitcode.NoInput, []string{"netprobe.yaml", "empty"}},
		"huge file":        {a.Host, config(huge), exitcode.NoInput, []string{"huge.yaml"}},
		"pipe":             {a.Host, config(pipe), exitcode.NoInput, []string{"pipe.yaml"}},
		"missing settings": {a.Host, with("--settings", "nope.yaml"), exitcode.NoInput, []string{"nope.yaml"}},
	} {
		t.Run(name, func(t *testing.T) {
			refused(t, place{host: tt.host}.run(t, append([]string{"run"}, tt.args...)...), tt.code, tt.words...)
			if s := xdp(t, a); s != (slot{}) {
				t.Errorf("left behind: XDP program %d", s.program)
			}
			if listening(t, tt.host, usual) {
				t.Error("left behind: the port")
			}
		})
	}
}

// TestOtherInterface: a target behind an interface that was not given is a fault
// that names it; given both, each target is probed through its own.
func TestOtherInterface(t *testing.T) {
	t.Parallel()
	l := lab.ForTest(t, "endtoend")
	host := l.Host("a")
	first, _ := l.Connect(host, l.Host("b"), lab.Link{A: []string{"192.0.2.1/24"}, B: []string{"192.0.2.2/24"}})
	second, _ := l.Connect(host, l.Host("c"), lab.Link{A: []string{"2001:db8::1/64"}, B: []string{"2001:db8::2/64"}})
	config := file(t, "netprobe.yaml", pings(usual))
	got := place{host: host}.run(t, "run", "--iface", first.Name, "--config", config)
	want := config + ":5: targets.six.destination: the route to 2001:db8::2 leaves by interface " + second.Name + "; "
	if lines := got.errorLines(t, config); got.code != exitcode.Config || len(lines) != 1 || !strings.HasPrefix(lines[0], want) || !strings.Contains(lines[0], "--iface "+second.Name) {
		t.Errorf("exit code %d, errors %q, want %q", got.code, lines, want)
	}
	nothingLeft(t, first, host, usual)

	p := place{host: host}.start(t, "run", "--iface", first.Name, "--iface", second.Name, "--config", config)
	p.waitFor("msg=probing")
	page := measured(t, host, usual, "icmp", "four", "six")
	for _, e := range []*lab.End{first, second} {
		page.want(t, 1, "netprobe_xdp_mode_info", "interface="+e.Name)
		if page.sum("netprobe_steered_total", "interface="+e.Name) == 0 {
			t.Errorf("nothing was steered on %s", e.Name)
		}
	}
	if code := p.signal(syscall.SIGTERM); code != exitcode.OK {
		t.Errorf("SIGTERM: exit code %d", code)
	}
	nothingLeft(t, first, host, usual)
	nothingLeft(t, second, host, usual)
}

// TestSomeUnrouted: where only some targets have no route, the others are
// probed, and those are not sent rather than lost, until a route appears.
func TestSomeUnrouted(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	b.AddAddr("198.51.100.1/32")
	p := place{host: a.Host}.start(t, "run", "--iface", a.Name, "--config", file(t, "netprobe.yaml", pings(usual)+
		`  far: {type: ICMPping, destination: 198.51.100.1, nb_packets: 10, timeout: 0.3}`+"\n"))
	p.waitFor("msg=probing")
	measured(t, a.Host, usual, "icmp", "four", "six")
	eventually(t, "a whole round of far, not sent", func() bool {
		v, _ := scrape(t, a.Host, usual).value("netprobe_not_sent_total", "destination=far", "reason=no_route")
		return v >= 10
	})
	page := scrape(t, a.Host, usual)
	for _, name := range []string{"icmp_loss_ratio", "icmp_round_trip_seconds"} {
		if got := page.all(name, "destination=far"); got != nil {
			t.Errorf("nothing was sent, and there is %v", got)
		}
	}
	a.Host.SetRoute("198.51.100.0/24", lab.Hop{Via: "192.0.2.2"})
	eventually(t, "far probed by its new route", func() bool {
		v, ok := scrape(t, a.Host, usual).value("icmp_loss_ratio", "destination=far")
		return ok && v == 0
	})
	scrape(t, a.Host, usual).want(t, 0, "icmp_loss_total", "destination=far")
}
