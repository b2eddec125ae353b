// SPDX-License-Identifier: Apache-2.0

package endtoend

import (
	"strings"
	"syscall"
	"testing"

	"github.com/netprobe-xdp/netprobe-xdp/internal/exitcode"
)

const asJSON = `{
  "global": {"probe_name": "lab", "interval": 1, "nb_proc": 1, "logging_level": "INFO", "prometheus_address": "127.0.0.1", "prometheus_port": 8000, "dns_update_interval": 0},
  "groups": {"g": {"src_port_a": 65000, "src_port_z": 65009}},
  "targets": {
    "four": {"type": "ICMPping", "destination": "192.0.2.2", "nb_packets": 10, "timeout": 0.3},
    "six": {"type": "ICMPping", "destination": "2001:db8::2", "nb_packets": 10, "timeout": 0.3}
  }
}
`

// TestFormats: a configuration is YAML or JSON by the ending of its name, and
// netprobe.yaml in the working folder is found without being named.
func TestFormats(t *testing.T) {
	t.Parallel()
	a, _ := pair(t)
	for name, tt := range map[string]struct{ file, text string }{
		"yaml":  {"probe.yaml", pings(usual)},
		"yml":   {"probe.yml", pings(usual)},
		"json":  {"probe.json", asJSON},
		"found": {"", pings(usual)},
	} {
		t.Run(name, func(t *testing.T) {
			w, args := place{host: a.Host}, []string{"run", "--iface", a.Name}
			if tt.file == "" {
				w.dir = folder(t, map[string]string{"netprobe.yaml": tt.text})
			} else {
				args = append(args, "--config", file(t, tt.file, tt.text))
			}
			p := w.start(t, args...)
			p.waitFor("msg=probing")
			page := measured(t, a.Host, usual, "icmp", "four", "six")
			if got := page.all("icmp_loss_ratio", "probe_name=lab", "group=g", "state=None"); len(got) != 2 {
				t.Errorf("series %v", page.all("icmp_loss_ratio"))
			}
			if code := p.signal(syscall.SIGTERM); code != exitcode.OK {
				t.Errorf("SIGTERM: exit code %d", code)
			}
		})
	}
}

// TestLayers: the environment overrides the file and the settings, flags override
// both; sections of ours may stand in either file.
func TestLayers(t *testing.T) {
	t.Parallel()
	const generic = "engine: {xdp_mode: generic}\n"
	for name, tt := range map[string]struct {
		own      string // in the file itself
		settings string
		env      []string
		flags    []string
		port     int
		mode     string
	}{
		"defaults":                  {"", "", nil, nil, usual, "native"},
		"own section":               {generic, "", nil, nil, usual, "generic"},
		"settings":                  {"", generic, nil, nil, usual, "generic"},
		"environment over file":     {generic, "", []string{"NETPROBE_ENGINE__XDP_MODE=native", "NETPROBE_GLOBAL__PROMETHEUS_PORT=9100"}, nil, 9100, "native"},
		"environment over settings": {"", generic, []string{"NETPROBE_ENGINE__XDP_MODE=native"}, nil, usual, "native"},
		"flag over environment":     {"", "", []string{"NETPROBE_ENGINE__XDP_MODE=native"}, []string{"--xdp-mode", "generic"}, usual, "generic"},
		"flag over settings":        {"", generic, nil, []string{"--xdp-mode", "native"}, usual, "native"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, _ := pair(t)
			args := append([]string{"run", "--iface", a.Name, "--config", file(t, "netprobe.yaml", pings(usual)+tt.own)}, tt.flags...)
			if tt.settings != "" {
				args = append(args, "--settings", file(t, "settings.yaml", tt.settings))
			}
			p := place{host: a.Host, env: tt.env}.start(t, args...)
			p.waitFor("msg=probing")
			page := measured(t, a.Host, tt.port, "icmp", "four", "six")
			page.want(t, 1, "netprobe_xdp_mode_info", "mode="+tt.mode)
			if tt.port != usual && listening(t, a.Host, usual) {
				t.Error("the file's port is taken too")
			}
		})
	}
}

// TestCredentials: with PROM_USER and PROM_PASSWORD the metrics ask for them.
func TestCredentials(t *testing.T) {
	t.Parallel()
	a, _ := pair(t)
	p := place{host: a.Host, env: []string{"PROM_USER=prom", "PROM_PASSWORD=secret"}}.start(t, "run", "--iface", a.Name, "--config", file(t, "netprobe.yaml", pings(usual)))
	p.waitFor("msg=probing")
	for url, want := range map[string]string{
		"http://127.0.0.1:8000/metrics":             "401 Unauthorized",
		"http://prom:wrong@127.0.0.1:8000/metrics":  "401 Unauthorized",
		"http://prom:secret@127.0.0.1:8000/metrics": "200 OK",
	} {
		resp, err := client(a.Host).Get(url)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.Status != want {
			t.Errorf("%s: %s, want %s", url, resp.Status, want)
		}
	}
	if log := p.stderr.String(); strings.Contains(log, "secret") {
		t.Error("the password is in the log")
	}
}
