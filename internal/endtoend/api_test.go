// SPDX-License-Identifier: Apache-2.0

package endtoend

import (
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/netprobe-xdp/netprobe-xdp/internal/exitcode"
	"github.com/netprobe-xdp/netprobe-xdp/internal/lab"
	"github.com/netprobe-xdp/netprobe-xdp/pkg/api"
	apiclient "github.com/netprobe-xdp/netprobe-xdp/pkg/client"
)

// TestAPI: the control API answers on its socket, below the metrics, and by TCP for
// those who have the token; it says what was measured.
func TestAPI(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	b.AddAddr("192.0.2.3/24")
	dir := folder(t, map[string]string{
		"netprobe.yaml": global(usual) + groups + targets(`answers: {type: ICMPping, state: in production, nb_packets: 10, timeout: 0.3, destination: 192.0.2.2}`, `lost: {type: ICMPping, nb_packets: 2, timeout: 0.3, destination: 192.0.2.9}`),
		"settings.yaml": "api: {listen: \"127.0.0.1:8001\", token_file: token}\n",
		"token":         "hunter2\n",
	})
	socket := filepath.Join(dir, "api.sock")
	// Somebody ended without removing it.
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	stale.SetUnlinkOnClose(false)
	stale.Close()
	run := []string{"run", "--iface", a.Name, "--config", filepath.Join(dir, "netprobe.yaml"), "--settings", filepath.Join(dir, "settings.yaml")}
	p := place{host: a.Host, env: []string{"NETPROBE_API__SOCKET=" + socket}}.start(t, run...)
	p.waitFor("msg=probing")
	if info, err := os.Stat(socket); err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("%v, %v", info, err)
	}
	measured(t, a.Host, usual, "icmp", "answers")
	eventually(t, "what does not answer has a round", func() bool {
		_, known := scrape(t, a.Host, usual).value("icmp_loss_ratio", "destination=lost")
		return known
	})

	c, err := apiclient.New(apiclient.Options{Socket: socket})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	info, err := c.Info(t.Context())
	if err != nil || info.PID != p.pid() || len(info.Interfaces) != 1 || info.Interfaces[0] != a.Name {
		t.Fatalf("%+v, %v", info, err)
	}
	s, err := c.Status(t.Context())
	if err != nil || !s.Healthy.OK || s.Targets != 2 || s.Sent == 0 || s.Lost == 0 || len(s.Interfaces) != 1 || s.Interfaces[0].Mode == "" || s.PlannedPPS == 0 {
		t.Errorf("%+v, %v", s, err)
	}
	found, err := c.Targets(t.Context(), apiclient.Query{Sort: "worst"})
	if err != nil || found.Total != 2 || found.Targets[0].Name != "lost" || *found.Targets[0].Groups[0].Round.LossRatio != 1 || found.Targets[0].Groups[0].Causes["no_neighbour"] == 0 {
		t.Errorf("%+v, %v", found, err)
	}
	one, err := c.Target(t.Context(), "answers")
	if err != nil || one.Address != "192.0.2.2" || one.Groups[0].Round.Answered != 10 || one.Groups[0].Round.RoundTrip.Max <= 0 || len(one.Paths) == 0 || one.Interface != a.Name {
		t.Errorf("%+v, %v", one, err)
	}
	if found, err := c.Targets(t.Context(), apiclient.Query{State: "in production"}); err != nil || found.Total != 1 || found.Targets[0].Name != "answers" {
		t.Errorf("in a state: %+v, %v", found, err)
	}
	eventually(t, "the worst address is known", func() bool {
		w, err := c.Worst(t.Context(), "", 1)
		return err == nil && len(w.Addresses) == 1 && w.Addresses[0].Address == "192.0.2.9"
	})
	// What there is not, is named by its parameter.
	_, one404 := c.Target(t.Context(), "nobody")
	_, history := c.History(t.Context(), "nobody", "", 0)
	_, group := c.History(t.Context(), "answers", "none", 0)
	_, worst := c.Worst(t.Context(), "nobody", 1)
	missing := map[string][]error{
		"name":   {one404, history, c.Pause(t.Context(), "nobody", api.Pause{}), c.Resume(t.Context(), "nobody"), c.RemoveTarget(t.Context(), "nobody", "ann")},
		"group":  {group},
		"target": {worst},
	}
	for _, err := range c.Debug(t.Context(), "nobody") {
		missing["name"] = append(missing["name"], err)
	}
	for field, all := range missing {
		for i, err := range all {
			var problem *api.Problem
			if !errors.As(err, &problem) || problem.Status != 404 || len(problem.Errors) != 1 || problem.Errors[0].Field != field || problem.Errors[0].Detail == "" {
				t.Errorf("%s, %d: %v", field, i, err)
			}
		}
	}
	if cfg, err := c.Config(t.Context()); err != nil || strings.Contains(cfg.YAML, "hunter2") || !strings.Contains(cfg.YAML, "destination: 192.0.2.9") {
		t.Errorf("%+v, %v", cfg, err)
	}
	if r, err := c.Reload(t.Context()); err != nil || r.Unchanged != 2 {
		t.Errorf("%+v, %v", r, err)
	}

	// What is open below the metrics, and by TCP.
	web := "http://127.0.0.1:" + strconv.Itoa(usual) + api.Prefix
	for _, c := range []struct {
		url, method, token string
		status             int
	}{
		{web + "/targets", "GET", "", 200},
		{web + "/config", "GET", "", 401},
		{web + "/config", "GET", "hunter2", 200},
		{web + "/reload", "POST", "", 401},
		{web + "/reload", "POST", "hunter3", 401},
		{web + "/reload", "POST", "hunter2", 200},
		{web + "/nothing", "GET", "", 404},
		{web + "/targets", "DELETE", "", 405},
		{"http://127.0.0.1:8001" + api.Prefix + "/health", "GET", "", 200},
		{"http://127.0.0.1:8001" + api.Prefix + "/targets", "GET", "", 401},
		{"http://127.0.0.1:8001" + api.Prefix + "/targets", "GET", "hunter2", 200},
	} {
		status, version, err := request(t, a.Host, c.method, c.url, c.token)
		if err != nil || status != c.status || version != api.Version {
			t.Errorf("%s %s with %q: %d, version %q, %v; want %d", c.method, c.url, c.token, status, version, err, c.status)
		}
	}

	// A second one does not take the socket of the first.
	second := place{host: a.Host, env: []string{"NETPROBE_GLOBAL__PROMETHEUS_PORT=9001", "NETPROBE_API__SOCKET=" + socket}}.run(t, run...)
	if second.code != exitcode.Unavailable || !strings.Contains(second.stderr, "another program answers there") {
		t.Errorf("%+v", second)
	}
	if p.signal(syscall.SIGTERM) != 0 {
		t.Error("not a good end")
	}
	if _, err := os.Lstat(socket); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is still there: %v", err)
	}
}

// request sends a request without a body from inside a host.
func request(t *testing.T, host *lab.Host, method, url, token string) (status int, version string, err error) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Netprobe-Xdp-Token", token)
	}
	answer, err := client(host).Do(r)
	if err != nil {
		return 0, "", err
	}
	defer answer.Body.Close()
	return answer.StatusCode, answer.Header.Get(api.VersionHeader), nil
}
