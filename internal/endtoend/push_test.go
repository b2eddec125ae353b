// SPDX-License-Identifier: Apache-2.0

package endtoend

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/exitcode"
	"github.com/netprobe-xdp/netprobe-xdp/internal/lab"
)

// pushing is the configuration of a program that pushes every second.
func pushing(url string, more ...string) string {
	return pings(usual) + "push: {" + strings.Join(append([]string{"url: " + url, "interval: 1s", "timeout: 1s"}, more...), ", ") + "}\n"
}

// samples are those of a series, in the order of their times, in ms.
type samples struct {
	Timestamps []int64
	Values     []float64
}

// exported reads the only series that matches from a victoria-metrics at :8428,
// as the user prom.
func exported(t *testing.T, host *lab.Host, match string) (s samples) {
	t.Helper()
	read := func(path string) string {
		req, err := http.NewRequest("GET", "http://127.0.0.1:8428"+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.SetBasicAuth("prom", "secret")
		resp, err := client(host).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s: %v", path, resp.Status, err)
		}
		return string(body)
	}
	read("/internal/force_flush")
	lines := read("/api/v1/export?" + url.Values{"match[]": {match}}.Encode())
	if err := json.Unmarshal([]byte(lines), &s); err != nil {
		t.Fatalf("%s: %v: %s", match, err, lines)
	}
	return s
}

// TestPush: a real victoria-metrics gets every page, also those that were made
// while it was stopped, each at the time at which it was measured, and the last
// one at the end of the program.
func TestPush(t *testing.T) {
	t.Parallel()
	bin := lab.Tool(t, "victoria-metrics", "victoria-metrics")
	a, _ := pair(t)
	dir := folder(t, nil)
	victoria := func() *lab.Process {
		p, err := a.Host.Start(t.Context(), bin, "-storageDataPath="+dir, "-httpListenAddr=127.0.0.1:8428", "-httpAuth.username=prom", "-httpAuth.password=secret",
			"-search.latencyOffset=0s", "-memory.allowedBytes=64MiB", "-loggerLevel=WARN")
		if err != nil {
			t.Fatal(err)
		}
		eventually(t, "victoria-metrics listens", func() bool { return listening(t, a.Host, 8428) })
		return p
	}
	first := victoria()
	w := place{host: a.Host, env: []string{"NETPROBE_PUSH__PASSWORD_FILE=" + file(t, "password", "secret\n")}}
	p := w.start(t, "run", "--iface", a.Name, "--config", file(t, "netprobe.yaml", pushing("http://127.0.0.1:8428", "user: prom", "extra_labels: [site=paris]")))
	pages := func(name string, labels ...string) int {
		v, _ := scrape(t, a.Host, usual).value(name, labels...)
		return int(v)
	}
	p.waitFor("msg=probing")
	eventually(t, "three pages are delivered", func() bool { return pages("netprobe_push_delivered_total") >= 3 })
	down := time.Now().UnixMilli()
	if err := first.Stop(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "four pages wait", func() bool { return pages("netprobe_push_waiting_pages") >= 4 })
	up := time.Now().UnixMilli()
	victoria()
	p.waitFor("works again")
	eventually(t, "nothing waits", func() bool { return pages("netprobe_push_waiting_pages") == 0 })
	if n := pages("netprobe_push_dropped_total", "reason=buffer_full") + pages("netprobe_push_dropped_total", "reason=refused"); n != 0 {
		t.Errorf("%d pages dropped", n)
	}
	if code := p.signal(syscall.SIGTERM); code != exitcode.OK {
		t.Errorf("exit code %d", code)
	}

	const ours = `{job="netprobe-xdp",instance="lab",site="paris"`
	// Every page says how many were delivered before it was made; nothing waited
	// when the last one was.
	var all samples
	defer func() {
		if t.Failed() {
			t.Log(all)
		}
	}()
	eventually(t, "all pages are there, the last one included", func() bool {
		all = exported(t, a.Host, "netprobe_push_delivered_total"+ours+"}")
		n := len(all.Values)
		return int(all.Values[n-1]) == n-1
	})
	late := 0
	for i, at := range all.Timestamps {
		if at > down && at < up {
			late++
		}
		if i > 0 && at <= all.Timestamps[i-1] {
			t.Errorf("two pages of one time: %v", all)
		}
	}
	if late < 3 { // one may have been on its way when victoria-metrics was stopped
		t.Errorf("%d pages are of the time when nothing took them, want 3 at least: %v", late, all)
	}
	four := exported(t, a.Host, "icmp_sent_total"+ours+`,destination="four",group="g"}`)
	if len(four.Values) < late || !slices.IsSorted(four.Values) {
		t.Errorf("icmp_sent_total: %v", four)
	}
	log := p.stderr.String()
	if strings.Count(log, "a page is not delivered") == 0 || strings.Count(log, "works again") != 1 || strings.Contains(log, "secret") {
		t.Error("the log lacks the beginning or the end of the failure, or holds the password")
	}
}

// TestBadPushURL: a server that fails, that does not answer, or that leads in
// circles is said once, and nothing else is disturbed.
func TestBadPushURL(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		says   string
	}{
		"fails": {func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "disk full", http.StatusInternalServerError)
		},
			"answers 500 Internal Server Error (disk full); see its log"},
		"hangs": {func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
			"does not answer within 1s; see what keeps it busy, or raise push.timeout"},
		"circles": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, r.URL.String(), http.StatusTemporaryRedirect)
		},
			"answers 307 Temporary Redirect and leads to http://127.0.0.1:9000/api/v1/import/prometheus; pages are not sent on"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, _ := pair(t)
			var l net.Listener
			if err := a.Host.Do(func() (err error) { l, err = net.Listen("tcp", "127.0.0.1:9000"); return err }); err != nil {
				t.Fatal(err)
			}
			server := &http.Server{Handler: c.answer}
			go server.Serve(l)
			t.Cleanup(func() { server.Close() })
			p := place{host: a.Host}.start(t, "run", "--iface", a.Name, "--config", file(t, "netprobe.yaml", pushing("http://127.0.0.1:9000")))
			p.waitFor(c.says)
			eventually(t, "it is tried again", func() bool {
				v, _ := scrape(t, a.Host, usual).value("netprobe_push_failed_total")
				return v >= 2
			})
			page := measured(t, a.Host, usual, "icmp", "four", "six")
			for _, s := range page.all("icmp_loss_ratio") {
				if s.value != 0 {
					t.Errorf("loss %v", s)
				}
			}
			if status, err := fetch(a.Host, usual, "/-/healthy"); err != nil {
				t.Errorf("healthy: %s %v", status, err)
			}
			if n := strings.Count(p.stderr.String(), "level=WARN"); n != 1 {
				t.Errorf("%d warnings", n)
			}
			if code := p.signal(syscall.SIGTERM); code != exitcode.OK {
				t.Errorf("exit code %d", code)
			}
		})
	}
}
