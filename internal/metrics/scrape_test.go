// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/lab"
)

// serve serves a page on a free loopback port until the test ends, and returns
// its URL.
func serve(t *testing.T, page http.Handler) string {
	t.Helper()
	s := httptest.NewServer(page)
	t.Cleanup(s.Close)
	return s.URL
}

// skip skips a test that lacks something, and fails it where nothing may be
// lacking.
func skip(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(why)
	}
	t.Skip(why)
}

// promtool finds no parse error, and lints nothing but netprobify's own names.
func TestPromtool(t *testing.T) {
	if _, err := exec.LookPath("promtool"); err != nil {
		skip(t, "needs promtool: apt-get install prometheus")
	}
	out, err := promtool(get(t, New(sample())))
	if err == nil {
		t.Log("nothing linted")
	}
	for line := range strings.Lines(out) {
		name, _, _ := strings.Cut(line, " ")
		if !isContract(t, name) {
			t.Errorf("promtool: %s", line)
		}
	}
	// The check itself notices a page that cannot be parsed and a name of ours
	// that is not good.
	for _, bad := range []string{"x{a=\"b} 1\n", "# HELP netprobe_x_total x\n# TYPE netprobe_x_total gauge\nnetprobe_x_total 1\n"} {
		if out, err := promtool(bad); err == nil || isContract(t, strings.Fields(out)[0]) {
			t.Errorf("promtool accepts %q: %s", bad, out)
		}
	}
}

func promtool(page string) (string, error) {
	cmd := exec.Command("promtool", "check", "metrics")
	cmd.Stdin = strings.NewReader(page)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func isContract(t *testing.T, name string) bool {
	for _, c := range contract(t) {
		if c.name == name {
			return true
		}
	}
	return false
}

func TestScrapedByPrometheus(t *testing.T) {
	bin, dir, addr := lab.Tool(t, "prometheus", "prometheus"), t.TempDir(), freeAddr(t)
	config := scrapeConfig(t, dir, serve(t, New(sample())))
	start(t, bin, "--config.file="+config, "--storage.tsdb.path="+filepath.Join(dir, "tsdb"), "--web.listen-address="+addr)
	checkScraper(t, addr)
}

func TestScrapedByVictoriaMetrics(t *testing.T) {
	bin, dir, addr := lab.Tool(t, "victoria-metrics", "victoria-metrics"), t.TempDir(), freeAddr(t)
	config := scrapeConfig(t, dir, serve(t, New(sample())))
	start(t, bin, "-promscrape.config="+config, "-storageDataPath="+filepath.Join(dir, "data"), "-httpListenAddr="+addr,
		"-search.latencyOffset=0s", "-memory.allowedBytes=64MiB")
	checkScraper(t, addr)
}

// scrapeConfig writes what both scrapers read.
func scrapeConfig(t *testing.T, dir, target string) string {
	t.Helper()
	file := filepath.Join(dir, "scrape.yml")
	config := fmt.Sprintf(`
global:
  scrape_interval: 1s
scrape_configs:
  - job_name: netprobe
    static_configs: [{targets: ["%s"]}]
`, strings.TrimPrefix(target, "http://"))
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// start runs a program until the test ends, and shows what it said if the test
// failed.
func start(t *testing.T, bin string, args ...string) {
	t.Helper()
	var out bytes.Buffer
	cmd := exec.Command(bin, args...)
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if t.Failed() {
			t.Logf("%s said:\n%s", bin, out.String())
		}
	})
}

// checkScraper asks a scraper, by the query API that both have, for what it
// should have read.
func checkScraper(t *testing.T, addr string) {
	t.Helper()
	for _, c := range []struct{ query, value string }{
		{`up{job="netprobe"}`, "1"},
		{`tcpsyn_sent_total{probe_name="probe1",destination="web.example",address_family="ipv4",state="in production",group="transit1"}`, "6"},
		{`tcpsyn_loss_ratio{destination="dark",state="None"}`, "1"},
		{`tcpsyn_round_trip_seconds{destination="web.example",percentile="95"}`, "0.00025"},
		{`icmp_loss_total{destination="gateway"}`, "1"},
		{`udp_unreachable_round_trip_seconds{destination="ns1",percentile="50"}`, "0.0005"},
		{`netprobe_not_sent_total{destination="gateway",reason="ring_full"}`, "1"},
		{`netprobe_steered_total{queue="0"}`, "9"},
		{`threshold{type="loss",group="standard",alert_level="paging"}`, "10"},
		{`netprobify_info`, "1"},
		// The join that alert rules for netprobify use.
		{`tcpsyn_round_trip_seconds{percentile="95"} - on(destination, probe_name, group) threshold{type="latency",alert_level="paging"}`, "-0.19975"},
	} {
		var got string
		for deadline := time.Now().Add(60 * time.Second); ; time.Sleep(200 * time.Millisecond) {
			var err error
			if got, err = query(addr, c.query); err == nil && got == c.value {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s: %q (%v), want %q", c.query, got, err, c.value)
			}
		}
	}
}

// query returns the value of the only series that matches, or "".
func query(addr, q string) (string, error) {
	res, err := http.Get("http://" + addr + "/api/v1/query?query=" + url.QueryEscape(q))
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return "", err
	}
	var answer struct {
		Data struct {
			Result []struct{ Value [2]any }
		}
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return "", fmt.Errorf("%s: %w", body, err)
	}
	if n := len(answer.Data.Result); n != 1 {
		return "", fmt.Errorf("%d series", n)
	}
	return fmt.Sprint(answer.Data.Result[0].Value[1]), nil
}
