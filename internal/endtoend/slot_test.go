// SPDX-License-Identifier: Apache-2.0

package endtoend

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/netprobe-xdp/netprobe-xdp/internal/exitcode"
	"github.com/netprobe-xdp/netprobe-xdp/internal/lab"
)

// TestSecondRun: a second run on an interface is told who holds it and changes
// nothing, and after kill -9 of the first another one starts at once.
func TestSecondRun(t *testing.T) {
	t.Parallel()
	a, _ := pair(t)
	config := file(t, "netprobe.yaml", pings(usual))
	first := place{host: a.Host}.start(t, "run", "--iface", a.Name, "--config", config)
	first.waitFor("msg=probing")
	before := xdp(t, a)

	// On another port, so that it gets as far as the interface.
	other := place{host: a.Host, env: []string{"NETPROBE_GLOBAL__PROMETHEUS_PORT=8001"}}
	for _, mode := range []string{"auto", "native", "generic"} {
		got := other.run(t, "run", "--iface", a.Name, "--config", config, "--xdp-mode", mode)
		refused(t, got, exitcode.Unavailable, a.Name, fmt.Sprintf("process %d (netprobe-xdp)", first.pid()))
	}
	if after := xdp(t, a); before == (slot{}) || after != before {
		t.Errorf("the slot held %v, then %v", before, after)
	}
	if listening(t, a.Host, 8001) {
		t.Error("left behind: port 8001")
	}
	measured(t, a.Host, usual, "icmp", "four", "six")

	first.kill()
	if s := xdp(t, a); s != (slot{}) {
		t.Errorf("after kill -9: XDP program %d", s.program)
	}
	next := place{host: a.Host}.start(t, "run", "--iface", a.Name, "--config", config)
	next.waitFor("msg=probing")
	measured(t, a.Host, usual, "icmp", "four", "six")
	if code := next.signal(syscall.SIGTERM); code != exitcode.OK {
		t.Errorf("SIGTERM: exit code %d", code)
	}
	nothingLeft(t, a, a.Host, usual)
}

// TestSignals: at SIGTERM and SIGINT the program ends with 0, at SIGKILL it
// dies, and nothing is left in any case.
func TestSignals(t *testing.T) {
	t.Parallel()
	a, _ := pair(t)
	config := file(t, "netprobe.yaml", pings(usual))
	for _, tt := range []struct {
		signal syscall.Signal
		code   int
	}{{syscall.SIGTERM, exitcode.OK}, {syscall.SIGINT, exitcode.OK}, {syscall.SIGKILL, -1}} {
		p := place{host: a.Host}.start(t, "run", "--iface", a.Name, "--config", config)
		p.waitFor("msg=probing")
		if xdp(t, a) == (slot{}) {
			t.Error("nothing is attached")
		}
		code := p.signal(tt.signal)
		if errs := (outcome{stderr: p.stderr.String()}).errorLines(t); code != tt.code || len(errs) > 0 || p.stdout.String() != "" {
			t.Errorf("%v: exit code %d, want %d; errors %q", tt.signal, code, tt.code, errs)
		}
		nothingLeft(t, a, a.Host, usual)
	}
}

// TestSignalWhileStarting: a signal at any moment of the start is an end with 0,
// or kills the process before it can take signals.
func TestSignalWhileStarting(t *testing.T) {
	t.Parallel()
	a, _ := pair(t)
	config := file(t, "netprobe.yaml", pings(usual))
	clean := 0
	for wait := time.Duration(0); wait < 120*time.Millisecond; wait += 8 * time.Millisecond {
		p := place{host: a.Host}.start(t, "run", "--iface", a.Name, "--config", config)
		time.Sleep(wait)
		code := p.signal(syscall.SIGTERM)
		killed := p.cmd.ProcessState.Sys().(syscall.WaitStatus).Signaled()
		errs := (outcome{stderr: p.stderr.String()}).errorLines(t)
		if !killed && code != exitcode.OK || len(errs) > 0 {
			t.Errorf("SIGTERM after %v: exit code %d, errors %q", wait, code, errs)
		}
		if !killed {
			clean++
		}
		nothingLeft(t, a, a.Host, usual)
	}
	if clean == 0 {
		t.Error("no process lived long enough to take the signal")
	}
}

// TestForeignProgram: a program that someone else attached is never replaced, and
// the error says whose it is.
func TestForeignProgram(t *testing.T) {
	t.Parallel()
	me, err := os.ReadFile("/proc/self/comm")
	if err != nil {
		t.Fatal(err)
	}
	mine := fmt.Sprintf("process %d (%s)", os.Getpid(), strings.TrimSpace(string(me)))
	for name, tt := range map[string]struct {
		attach func(*testing.T, *lab.End)
		words  []string
	}{
		"link":             {func(_ *testing.T, e *lab.End) { lab.AttachPass(e) }, []string{"lab_pass", "native", mine, "stop it first"}},
		"netlink, native":  {attach(unix.XDP_FLAGS_DRV_MODE), []string{"somebody", "native", "no process", " xdp off"}},
		"netlink, generic": {attach(unix.XDP_FLAGS_SKB_MODE), []string{"somebody", "generic", "no process", " xdpgeneric off"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, _ := pair(t)
			tt.attach(t, a)
			before := xdp(t, a)
			if before == (slot{}) {
				t.Fatal("nothing is attached")
			}
			words := append([]string{a.Name, fmt.Sprintf("id %d", before.program), "not replaced"}, tt.words...)
			config := file(t, "netprobe.yaml", pings(usual))
			for _, mode := range []string{"auto", "native", "generic"} {
				refused(t, place{host: a.Host}.run(t, "run", "--iface", a.Name, "--config", config, "--xdp-mode", mode), exitcode.Unavailable, words...)
				if after := xdp(t, a); after != before {
					t.Fatalf("mode %s: the slot held %v, then %v", mode, before, after)
				}
			}
			if listening(t, a.Host, usual) {
				t.Error("left behind: the port")
			}
			report := place{host: a.Host}.run(t, "check", "--iface", a.Name)
			if report.code != exitcode.Unavailable || !strings.Contains(report.stdout, fmt.Sprintf("id %d", before.program)) {
				t.Errorf("check: %+v", report)
			}
		})
	}
}

// attach puts a program on an interface as `ip link set DEV xdp` does: it stays
// without a process.
func attach(flags int) func(*testing.T, *lab.End) {
	return func(t *testing.T, e *lab.End) {
		t.Helper()
		prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{
			Name: "somebody", Type: ebpf.XDP, License: "Dual BSD/GPL",
			Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 2 /* XDP_PASS */), asm.Return()},
		})
		if err != nil {
			t.Fatal(err)
		}
		defer prog.Close()
		err = e.Host.Do(func() error {
			link, err := netlink.LinkByName(e.Name)
			if err != nil {
				return err
			}
			return netlink.LinkSetXdpFdWithFlags(link, prog.FD(), flags)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestMode: native on a veth by default, generic when asked; where the driver
// refuses native, its words are in the log and in the error of those who insist.
func TestMode(t *testing.T) {
	t.Parallel()
	config := file(t, "netprobe.yaml", pings(usual))
	type want struct{ mode, refusal string }
	veth := func(t *testing.T) (*lab.End, string) {
		a, _ := pair(t)
		return a, a.Name
	}
	// A macvlan has no native mode above a veth.
	macvlan := func(t *testing.T) (*lab.End, string) {
		l := lab.ForTest(t, "endtoend")
		a, _ := l.Connect(l.Host("a"), l.Host("b"), lab.Link{B: []string{"192.0.2.2/24", "2001:db8::2/64"}})
		for _, args := range []string{
			"link add link " + a.Name + " name mv0 type macvlan mode bridge",
			"link set mv0 up", "addr add 192.0.2.1/24 dev mv0", "addr add 2001:db8::1/64 dev mv0 nodad",
		} {
			if _, err := a.Host.Exec(t.Context(), lab.Tool(t, "ip", "iproute2"), strings.Fields(args)...); err != nil {
				t.Fatal(err)
			}
		}
		return a, "mv0"
	}
	// A veth has it only with as many receive queues as its peer sends on.
	narrow := func(t *testing.T) (*lab.End, string) {
		l := lab.ForTest(t, "endtoend")
		a, _ := l.Connect(l.Host("a"), l.Host("b"), lab.Link{
			Queues: 2, A: []string{"192.0.2.1/24", "2001:db8::1/64"}, B: []string{"192.0.2.2/24", "2001:db8::2/64"}})
		if _, err := a.Host.Exec(t.Context(), lab.Tool(t, "ethtool", "ethtool"), "-L", a.Name, "rx", "1"); err != nil {
			t.Fatal(err)
		}
		return a, a.Name
	}
	const noMacvlan, noQueues = "Underlying driver does not support XDP in native mode", "XDP expects number of rx queues not less than peer tx queues"
	for name, tt := range map[string]struct {
		network func(*testing.T) (*lab.End, string)
		flags   []string
		want    want
	}{
		"veth":            {veth, nil, want{"native", ""}},
		"veth auto":       {veth, []string{"--xdp-mode", "auto"}, want{"native", ""}},
		"veth native":     {veth, []string{"--xdp-mode", "native"}, want{"native", ""}},
		"veth generic":    {veth, []string{"--xdp-mode", "generic"}, want{"generic", ""}},
		"macvlan":         {macvlan, nil, want{"generic", noMacvlan}},
		"macvlan native":  {macvlan, []string{"--xdp-mode", "native"}, want{"", noMacvlan}},
		"macvlan generic": {macvlan, []string{"--xdp-mode", "generic"}, want{"generic", ""}},
		"narrow veth":     {narrow, nil, want{"generic", noQueues}},
		"narrow native":   {narrow, []string{"--xdp-mode", "native"}, want{"", noQueues}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, iface := tt.network(t)
			args := append([]string{"run", "--iface", iface, "--config", config}, tt.flags...)
			if tt.want.mode == "" {
				refused(t, place{host: a.Host}.run(t, args...), exitcode.Unavailable, iface, tt.want.refusal, "generic")
				nothingLeft(t, a, a.Host, usual)
				return
			}
			p := place{host: a.Host}.start(t, args...)
			p.waitFor("msg=probing")
			log := p.stderr.String()
			if !strings.Contains(log, "xdp="+tt.want.mode) {
				t.Errorf("the log does not say xdp=%s", tt.want.mode)
			}
			if refused := strings.Contains(log, "refused native"); refused != (tt.want.refusal != "") || !strings.Contains(log, tt.want.refusal) {
				t.Errorf("the log does not say: %q", tt.want.refusal)
			}
			page := measured(t, a.Host, usual, "icmp", "four", "six")
			page.want(t, 1, "netprobe_xdp_mode_info", "interface="+iface, "mode="+tt.want.mode, "bind=copy")
			if n := len(page.all("netprobe_xdp_mode_info")); n != 1 {
				t.Errorf("%d modes", n)
			}
			if page.sum("netprobe_steered_total") == 0 {
				t.Error("no reply was steered")
			}
		})
	}
}
