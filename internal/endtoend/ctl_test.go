// SPDX-License-Identifier: Apache-2.0

package endtoend

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/netprobe-xdp/netprobe-xdp/internal/exitcode"
	"github.com/netprobe-xdp/netprobe-xdp/internal/lab"
	"github.com/netprobe-xdp/netprobe-xdp/pkg/api"
)

// speaks serves the header of a daemon of another version, or of none, on a socket.
func speaks(t *testing.T, version string) string {
	t.Helper()
	socket := filepath.Join(folder(t, nil), "api.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	s := &httptest.Server{Listener: l, Config: &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if version != "" {
			w.Header().Set(api.VersionHeader, version)
		}
		w.WriteHeader(http.StatusNotFound)
	})}}
	s.Start()
	t.Cleanup(s.Close)
	return socket
}

// TestCtlNobody: against what is no daemon that it understands, ctl says on one
// line what to do, whatever it was asked for.
func TestCtlNobody(t *testing.T) {
	t.Parallel()
	stale := filepath.Join(folder(t, nil), "api.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: stale, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	for name, tt := range map[string]struct {
		socket string
		code   int
		want   string
	}{
		"never started": {"/nowhere/api.sock", exitcode.Unavailable, "there is no such socket; start one, or name"},
		"killed":        {stale, exitcode.Unavailable, "nobody listens on the socket any more; start one, or name"},
		"a file":        {"/etc/passwd", exitcode.Unavailable, "is no socket; name the one of a running netprobe-xdp"},
		"foreign":       {speaks(t, ""), exitcode.Unavailable, "not the control API of a netprobe-xdp"},
		"older":         {speaks(t, "0.3"), exitcode.Unavailable, "upgrade the daemon"},
		"newer":         {speaks(t, "2.0"), exitcode.Unavailable, "upgrade this program"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, line := range []string{"status", "targets", "target x", "watch", "reload", "pause x", "events", "debug x", "config", "add icmp://192.0.2.1"} {
				got := place{}.run(t, append([]string{"ctl", "--socket", tt.socket}, strings.Fields(line)...)...)
				if got.code != tt.code || got.stdout != "" || strings.Count(got.stderr, "\n") != 1 || !strings.Contains(got.stderr, tt.want) {
					t.Errorf("ctl %s: %+v", line, got)
				}
			}
		})
	}
}

// TestCtl: what ctl does to a running daemon, on its socket and on TCP, and what it
// says to who may not.
func TestCtl(t *testing.T) {
	t.Parallel()
	a, _ := pair(t)
	dir := folder(t, map[string]string{"token": "secret\n", "wrong": "guess\n"})
	socket, config := filepath.Join(dir, "api.sock"), filepath.Join(dir, "netprobe.yaml")
	text := pings(usual) + fmt.Sprintf("api: {listen: \"127.0.0.1:8001\", token_file: %s}\n", filepath.Join(dir, "token"))
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write(text)
	here := place{host: a.Host}
	start := func() *program {
		t.Helper()
		p := place{host: a.Host, env: []string{"NETPROBE_API__SOCKET=" + socket}}.start(t, "run", "--iface", a.Name, "--config", config)
		p.waitFor("msg=probing")
		return p
	}
	p := start()
	http := regexp.MustCompile(`GET|POST|DELETE|\?[a-z]+=|/api/v1| body| /(targets|owner|lifetime)`) // nobody types that
	ctl := func(w place, code int, want, line string) outcome {
		t.Helper()
		got := w.run(t, append([]string{"ctl"}, strings.Fields(line)...)...)
		if http.MatchString(got.stderr) {
			t.Errorf("ctl %s speaks HTTP: %s", line, got.stderr)
		}
		if got.code != code || !strings.Contains(got.stdout+got.stderr, want) || code != 0 && strings.Count(got.stderr, "\n") != 1 {
			t.Errorf("ctl %s: %+v, want %d and %q", line, got, code, want)
		}
		return got
	}
	on := here
	on.env = []string{"NETPROBE_API_SOCKET=" + socket, "USER=ann"}

	ctl(on, 0, a.Name, "status")
	ctl(on, 0, a.Name, "status "+a.Name)
	ctl(on, exitcode.Unavailable, "no daemon that answers has the interface eth7; "+socket+" has "+a.Name, "status eth7")
	ctl(on, 0, "four", "targets --sort worst --limit 5")
	ctl(on, exitcode.Runtime, "--sort: read \"beauty\"; allowed: name, worst", "targets --sort beauty")
	ctl(on, exitcode.Runtime, "--limit: read", "targets --limit 10001")
	for _, line := range []string{"target x", "pause x", "resume x", "remove x", "debug x"} {
		ctl(on, exitcode.Runtime, `there is no target "x"; "netprobe-xdp ctl targets" lists those`, line)
	}
	ctl(on, exitcode.Runtime, "no target is added: icmp://127.0.0.1: ", "add icmp://192.0.2.2 icmp://127.0.0.1")
	ctl(on, exitcode.Runtime, "no target is added: --timeout: ", "add icmp://192.0.2.2 --timeout 900h")
	ctl(on, exitcode.Runtime, "no target is added: --name: ", "add icmp://192.0.2.2 --name é")
	ctl(on, exitcode.Runtime, "no target is added: --name: the target \"four\" is there already", "add icmp://192.0.2.2 --name four")
	ctl(on, exitcode.Runtime, "no target is added: --group: ", "add icmp://192.0.2.2 --group x")
	ctl(on, exitcode.Runtime, "no target is added: --packets: ", "add icmp://192.0.2.2 --packets 100000000000")
	ctl(on, exitcode.Runtime, "no target is added: --label: ", "add icmp://192.0.2.2 --label a-b=c")
	ctl(on, exitcode.Runtime, "no target is added: --family: ", "add icmp://192.0.2.2 --family ipv5")
	ctl(on, exitcode.Runtime, "nothing is changed: --lifetime: ", "add icmp://192.0.2.2 --lifetime 2000000h")
	ctl(on, exitcode.Runtime, "nothing is changed: --for: ", "pause four --for 2000000h")
	ctl(on, exitcode.Runtime, "is from the configuration; remove it there and reload, or pause it", "remove four")
	ctl(on, exitcode.Usage, "allowed: tcp://", "add http://192.0.2.2")
	ctl(on, exitcode.Usage, "did you mean status", "statos")
	ctl(on, exitcode.Usage, "--for: read -1h0m0s; allowed: ", "pause four --for -1h")
	ctl(on, exitcode.Usage, "--limit: read 0; allowed: ", "targets --limit 0")
	ctl(on, 0, "enabled   gw", "add icmp://192.0.2.2 --name gw --lifetime 1h")
	ctl(on, 0, "enabled   2001_db8__2_443", "add tcp://192.0.2.2:443 tcp://[2001:db8::2]:443")
	ctl(on, 0, "removed", "remove 192.0.2.2_443")
	ctl(on, 0, "removed", "remove 2001_db8__2_443")
	ctl(on, exitcode.Runtime, `no target is removed: --owner: read "bob"; allowed: "ann@`, "remove gw --owner bob")
	ctl(on, 0, "paused gw", "pause gw --for 2h")
	ctl(on, 0, "paused for 1 h", "targets --filter gw")
	ctl(on, 0, "resumed gw", "resume gw")
	ctl(on, 0, "removed gw", "remove gw")
	ctl(on, 0, "sending stopped", "stop")
	ctl(on, 0, "SENDING IS STOPPED", "status")
	ctl(on, 0, "sending goes on", "start")
	ctl(on, 0, "2 unchanged", "reload")
	ctl(on, 0, "max_pps", "config")
	if got := ctl(on, 0, "four", "config"); strings.Contains(got.stdout, "secret") {
		t.Error("the configuration shows the token")
	}
	eventually(t, "the paths are shown", func() bool {
		return strings.Contains(on.run(t, "ctl", "target", "four").stdout, "192.0.2.1 ")
	})
	if got := on.run(t, "__complete", "ctl", "target", "fo"); got.stdout != "four\n:4\n" {
		t.Errorf("completion: %+v", got)
	}
	var all api.Targets
	if err := json.Unmarshal([]byte(ctl(on, 0, "four", "targets -o json").stdout), &all); err != nil || all.Total != 2 {
		t.Errorf("%v: %+v", err, all)
	}

	// Faults are said in the words of check.
	write(strings.Replace(text, "destination: ", "destnation: ", 1))
	said, check := on.run(t, "ctl", "reload"), here.run(t, "check", config)
	if said.code != exitcode.Config || said.stderr == "" || said.stderr != check.stderr || said.stdout != "" {
		t.Errorf("reload: %+v\ncheck: %+v", said, check)
	}
	write(text)

	// The socket is for its owner, TCP for who has the token.
	nobody := here
	nobody.caps = []uintptr{}
	ctl(nobody, exitcode.NoPermission, "ask as root", "--socket "+socket+" status")
	const server = "--server http://127.0.0.1:8001 "
	ctl(here, exitcode.NoPermission, "asks for a token", server+"status")
	ctl(here, exitcode.NoPermission, "the token is wrong", server+"--token-file "+filepath.Join(dir, "wrong")+" status")
	ctl(here, exitcode.NoInput, "read the token", server+"--token-file /nowhere status")
	ctl(here, 0, a.Name, server+"--token-file "+filepath.Join(dir, "token")+" status")
	ctl(here, exitcode.Unavailable, "begin the URL with http://", "--server https://127.0.0.1:8001 status")
	ctl(here, exitcode.Unavailable, "nobody listens there", "--server http://127.0.0.1:9 status")

	// A person leaves watch open while the daemon restarts.
	w := watch(t, here, socket)
	w.shows("four")
	w.keys("?")
	w.shows("worst first")
	w.keys("q") // closes the help
	w.keys("/six\r")
	w.shows("1-1 of 1")
	if code := p.signal(syscall.SIGTERM); code != exitcode.OK {
		t.Errorf("the daemon: exit code %d", code)
	}
	w.shows("asked again until it answers")
	start()
	w.shows("the daemon was restarted at")
	w.keys("q")
	if code := w.wait(); code != exitcode.OK || !strings.HasSuffix(w.screen.String(), "\x1b[?1049l") {
		t.Errorf("watch: exit code %d, and at the end %q", code, w.screen.String()[max(0, len(w.screen.String())-40):])
	}
	if now := w.terminal(); now != w.before {
		t.Errorf("the terminal was %+v and is %+v", w.before, now)
	}
}

// TestCtlStatusOfSeveral: all daemons that have a socket on this machine are shown, with
// the network namespace they are in; one that is dead is said to be, and hides none.
func TestCtlStatusOfSeveral(t *testing.T) {
	t.Parallel()
	a, _ := pair(t)
	b, _ := pair(t)
	first, second := holding(t, a), holding(t, b)
	dead := filepath.Join(filepath.Dir(first), "dead.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: dead, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	// Other tests have daemons too: what is said of them is not looked at.
	block := func(text, socket string) string {
		for _, b := range strings.Split(text, "\n\ndaemon ") {
			if strings.Contains(b, " at "+socket+"\n") {
				return b
			}
		}
		return ""
	}
	netns := func(of *lab.End) string { return "\nnamespace      " + of.Host.Netns + "\n" }
	for name, tt := range map[string]struct {
		where place
		args  []string
		shown [2]string // what is in the block of either
		dead  bool
		code  int
	}{
		"all":              {place{}, nil, [2]string{netns(a), netns(b)}, true, exitcode.OK},
		"by interface":     {place{}, []string{a.Name}, [2]string{netns(a), netns(b)}, false, exitcode.OK},
		"from one of them": {place{host: a.Host}, []string{a.Name}, [2]string{"configuration", netns(b)}, false, exitcode.OK},
		"none has it":      {place{}, []string{"eth7"}, [2]string{}, true, exitcode.Unavailable},
	} {
		got := tt.where.run(t, append([]string{"ctl", "status"}, tt.args...)...)
		for i, socket := range []string{first, second} {
			text := block(got.stdout, socket)
			if (text == "") != (tt.shown[i] == "") || !strings.Contains(text, tt.shown[i]) {
				t.Errorf("%s: of %s:\n%s\nwant %q", name, socket, got.stdout, tt.shown[i])
			}
		}
		// A daemon of another test may be stopped and not answer: that is a failure.
		silent := strings.Contains(got.stderr, ": no answer in time")
		if got.code != tt.code && !silent || strings.Contains(got.stderr, "at "+dead+": nobody listens") != tt.dead {
			t.Errorf("%s: exit code %d, want %d\n%s", name, got.code, tt.code, got.stderr)
		}
		if name == "from one of them" && strings.Contains(block(got.stdout, first), "namespace") {
			t.Errorf("its own namespace is named:\n%s", got.stdout)
		}
		if name == "none has it" && !(strings.Contains(got.stderr, first+" has "+a.Name) && strings.Contains(got.stderr, second+" has "+b.Name)) {
			t.Errorf("which interfaces there are is not said: %s", got.stderr)
		}
	}
	nobody := place{hidden: "/run/netprobe-xdp"} // this machine may have a daemon of its own
	if got := nobody.run(t, "ctl", "targets"); got.code != exitcode.Unavailable || !strings.Contains(got.stderr, first) || !strings.Contains(got.stderr, second) || strings.Count(got.stderr, "\n") != 1 {
		t.Errorf("nobody at the usual socket: %+v", got)
	}
	if got := (place{}).run(t, "ctl", "--socket", dead, "status", "eth7"); got.code != exitcode.Unavailable || got.stdout != "" || strings.Count(got.stderr, "\n") != 2 {
		t.Errorf("nobody answers at all: %+v", got)
	}
}

// watching is a terminal with ctl watch on it.
type watching struct {
	*program
	tty, end *os.File // the person's end, and the program's
	screen   lab.Buffer
	before   unix.Termios
}

func watch(t *testing.T, at place, socket string) *watching {
	t.Helper()
	w := &watching{}
	var err error
	if w.tty, err = os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.tty.Close() })
	n, err := unix.IoctlGetInt(int(w.tty.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(w.tty.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		err = unix.IoctlSetWinsize(int(w.tty.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 200})
	}
	if err == nil {
		w.end, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.end.Close() })
	w.before = w.terminal()
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := w.tty.Read(buf)
			_, _ = w.screen.Write(buf[:n])
			if err != nil {
				return
			}
		}
	}()
	at.terminal = w.end
	w.program = at.start(t, "ctl", "--socket", socket, "watch", "--interval", "200ms")
	return w
}

func (w *watching) terminal() unix.Termios {
	now, err := unix.IoctlGetTermios(int(w.end.Fd()), unix.TCGETS)
	if err != nil {
		return unix.Termios{}
	}
	return *now
}

// keys types.
func (w *watching) keys(text string) {
	w.t.Helper()
	if _, err := w.tty.WriteString(text); err != nil {
		w.t.Fatal(err)
	}
	time.Sleep(50 * time.Millisecond) // two that come at once are a sequence
}

// shows waits until the screen, as it was drawn last, shows text.
func (w *watching) shows(text string) {
	w.t.Helper()
	eventually(w.t, fmt.Sprintf("the screen shows %q", text), func() bool {
		drawn := strings.Split(w.screen.String(), "\x1b[H")
		return strings.Contains(drawn[len(drawn)-1], text)
	})
}
