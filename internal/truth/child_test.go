// SPDX-License-Identifier: Apache-2.0

package truth

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/lab"
	"golang.org/x/sys/unix"
)

// child is the program in a process of its own, which can be stopped and
// continued as a whole or in one thread. The test's goroutine uses it.
type child struct {
	run // its config, names and phase; what needs the Store does not work
	cmd *exec.Cmd
}

// program builds the program once for all tests of this process.
var program = sync.OnceValues(func() (string, error) {
	file := filepath.Join(built, "netprobe-xdp")
	return file, lab.BuildProgram(file)
})

// built is where the program is, if a test needed it.
var built string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "npxtruth")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	built = dir
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// startChild runs the program with these settings until the test ends. Without
// a phase of their own, the targets keep their names, and so the phases that the
// planner gives them.
func startChild(t *testing.T, s setup, settings map[string]any, together bool) *child {
	t.Helper()
	file, err := program()
	if err != nil {
		t.Fatal(err)
	}
	if len(s.groups) == 0 {
		s.groups = []group{{name: "g", a: 20000, z: 20063}}
	}
	if s.lead == 0 {
		s.lead = usualLead
	}
	c := &child{run: run{t: t, setup: s, interval: s.interval, ended: make(chan struct{}), names: map[string]string{}}}
	c.phase = time.Duration((time.Now().UnixNano() + int64(s.lead)) % int64(s.interval))
	if together {
		c.names = inPhase(t, s, c.phase)
	} else {
		for _, tg := range s.targets {
			c.names[tg.name] = tg.name
		}
	}
	dir := t.TempDir()
	cfg := c.config(t)
	write(t, filepath.Join(dir, "netprobe.yaml"), cfg)
	if settings == nil {
		settings = map[string]any{}
	}
	if settings["safety"] == nil {
		settings["safety"] = map[string]any{"max_pps": 100_000, "max_prefix_pps": 100_000}
	}
	write(t, filepath.Join(dir, "settings.yaml"), settings)
	args := []string{"run", "--netns", s.on.Netns, "--config", filepath.Join(dir, "netprobe.yaml"), "--settings", filepath.Join(dir, "settings.yaml")}
	for _, i := range s.ifaces {
		args = append(args, "--iface", i)
	}
	c.cmd = exec.Command(file, args...)
	c.cmd.Env = append(os.Environ(), "GOGC=off") // a collection waits for a thread that is stopped, and everybody for it
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	c.cmd.Stdout, c.cmd.Stderr = &c.log, &c.log
	started := make(chan error)
	go func() { // the death signal comes when the thread that started the child ends
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := c.cmd.Start()
		started <- err
		if err == nil {
			c.err = c.cmd.Wait()
			close(c.ended)
		}
	}()
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.end()
		if t.Failed() {
			t.Logf("the program's log:\n%s", c.log.String())
		}
	})
	c.running.Addr = addrOf(fmt.Sprintf("127.0.0.1:%v", cfg["global"].(map[string]any)["prometheus_port"]))
	c.wait(func() bool { return strings.Contains(c.log.String(), "msg=probing") }, 30*time.Second,
		func() string { return "the program does not start: " + c.log.String() })
	return c
}

// addrOf is an address as text.
type addrOf string

func (addrOf) Network() string  { return "tcp" }
func (a addrOf) String() string { return string(a) }

// end ends the program by the signal of Ctrl-C.
func (c *child) end() {
	_ = c.cmd.Process.Signal(syscall.SIGCONT)
	_ = c.cmd.Process.Signal(os.Interrupt)
	select {
	case <-c.ended:
	case <-time.After(10 * time.Second):
		c.t.Errorf("the program did not end within 10 s of SIGINT")
		_ = c.cmd.Process.Kill()
		<-c.ended
	}
}

// stopFor stops the whole process for d.
func (c *child) stopFor(d time.Duration) {
	c.t.Helper()
	if err := c.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		c.t.Fatal(err)
	}
	time.Sleep(d)
	if err := c.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		c.t.Fatal(err)
	}
}

// workers returns the threads that sleep in ppoll: they are the engine's.
func (c *child) workers() []int {
	c.t.Helper()
	found := map[int]bool{}
	dir := fmt.Sprintf("/proc/%d/task", c.cmd.Process.Pid)
	for range 200 {
		threads, err := os.ReadDir(dir)
		if err != nil {
			c.t.Fatal(err)
		}
		for _, th := range threads {
			b, err := os.ReadFile(filepath.Join(dir, th.Name(), "syscall"))
			if f := strings.Fields(string(b)); err == nil && len(f) > 0 && f[0] == fmt.Sprint(unix.SYS_PPOLL) {
				found[int(number(c.t, th.Name()))] = true
			}
		}
		time.Sleep(time.Millisecond)
	}
	var all []int
	for id := range found {
		all = append(all, id)
	}
	return all
}

// stopThread stops one thread of the program for d, as a scheduler would that
// gives it no time; the others go on.
func (c *child) stopThread(id int, d time.Duration) {
	c.t.Helper()
	done := make(chan error)
	go func() { // whoever traces must be one thread throughout
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		done <- func() error {
			if err := unix.PtraceSeize(id); err != nil {
				return fmt.Errorf("trace thread %d: %w", id, err)
			}
			if err := unix.PtraceInterrupt(id); err != nil {
				return fmt.Errorf("stop thread %d: %w", id, err)
			}
			if _, err := unix.Wait4(id, nil, unix.WALL, nil); err != nil {
				return fmt.Errorf("wait for thread %d to stop: %w", id, err)
			}
			time.Sleep(d)
			return unix.PtraceDetach(id)
		}()
	}()
	if err := <-done; err != nil {
		c.t.Fatal(err)
	}
}

// figures are what the page says over all targets, or over those with a label.
type figures struct {
	sent, lost, notSent, unknown, late, duplicates uint64
}

func (f figures) String() string {
	return fmt.Sprintf("%d sent, %d lost, %d not sent, %d unknown, %d late, %d duplicates", f.sent, f.lost, f.notSent, f.unknown, f.late, f.duplicates)
}

func (p page) figures(t *testing.T, labels ...string) (f figures) {
	t.Helper()
	sum := func(names ...string) (n uint64) {
		for _, name := range names {
			v, _ := p.sum(t, name, labels...)
			n += v
		}
		return n
	}
	f.sent = sum("icmp_sent_total", "tcpsyn_sent_total", "udp_unreachable_sent_total")
	f.lost = sum("icmp_loss_total", "tcpsyn_loss_total", "udp_unreachable_loss_total")
	f.notSent = sum("netprobe_not_sent_total")
	f.unknown = sum("netprobe_unknown_total")
	f.late = sum("netprobe_late_total")
	f.duplicates = sum("netprobe_duplicates_total")
	return f
}

// value reads the largest of a metric's series that have all of these labels.
func (p page) value(t *testing.T, metric string, labels ...string) (most float64) {
	t.Helper()
	for line := range strings.Lines(string(p)) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), " ")
		if base, set, _ := strings.Cut(strings.TrimSuffix(name, "}"), "{"); ok && base == metric && hasAll(set, labels) {
			v, err := strconv.ParseFloat(value, 64)
			if err != nil {
				t.Fatal(err)
			}
			most = max(most, v)
		}
	}
	return most
}

func hasAll(set string, labels []string) bool {
	for _, l := range labels {
		if !strings.Contains(","+set+",", ","+l+",") {
			return false
		}
	}
	return true
}

// destinations reads how many probes of each target are accounted for: sent,
// not sent, or unknown.
func (p page) destinations(t *testing.T) map[string]uint64 {
	t.Helper()
	all := map[string]uint64{}
	for line := range strings.Lines(string(p)) {
		name, rest, _ := strings.Cut(line, "{")
		switch name {
		case "icmp_sent_total", "tcpsyn_sent_total", "udp_unreachable_sent_total", "netprobe_not_sent_total", "netprobe_unknown_total":
			_, rest, _ = strings.Cut(rest, `destination="`)
			destination, rest, _ := strings.Cut(rest, `"`)
			_, value, _ := strings.Cut(rest, "} ")
			all[destination] += number(t, strings.TrimSpace(value))
		}
	}
	return all
}

// pause waits until every target has the same number of whole rounds of so many
// probes, more than after, and returns the figures and that number. Every
// planned probe is accounted for then, and nothing is under way.
func (c *child) pause(packets, after uint64, limit time.Duration) (f figures, rounds uint64) {
	c.t.Helper()
	var text string
	c.wait(func() bool {
		p := c.page()
		f, text = p.figures(c.t), ""
		all := p.destinations(c.t)
		rounds = all[c.names[c.setup.targets[0].name]] / packets
		for _, tg := range c.setup.targets {
			if n := all[c.names[tg.name]]; n != rounds*packets {
				text += fmt.Sprintf(" %s %d", tg.name, n)
			}
		}
		return rounds > after && text == ""
	}, limit, func() string {
		return fmt.Sprintf("%s; the targets are not at the same whole round, %d:%s", f, rounds, text)
	})
	return f, rounds
}

// reach waits until this many probes are accounted for.
func (c *child) reach(probes uint64) {
	c.t.Helper()
	var f figures
	c.wait(func() bool {
		f = c.page().figures(c.t)
		return f.sent+f.notSent+f.unknown >= probes
	}, 60*time.Second, func() string { return fmt.Sprintf("%s; want %d", f, probes) })
}
