// SPDX-License-Identifier: Apache-2.0

package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/netprobe-xdp/netprobe-xdp/internal/secret"
)

// hidden is what must not be printed wherever it comes from.
const hidden = "hunter2"

func TestPush(t *testing.T) {
	base, err := os.ReadFile(filepath.Join("testdata", "valid", "no-targets.yml"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "netprobe.yaml")
	for name, text := range map[string]string{
		file:                        string(base),
		filepath.Join(dir, "token"): hidden + "\n",
		filepath.Join(dir, "s.yaml"): `
web: {config_file: web.yml}
push:
  url: https://192.0.2.1:8428/
  interval: 60
  buffer: 128MiB
  extra_labels: [site=paris, rack=a=b]
  headers: ["x-scope-orgid: hunter2"]
  bearer_token_file: token
`,
	} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c := mustLoad(t, Options{File: file})
	if diff := cmp.Diff(Push{Interval: 15 * time.Second, Timeout: 10 * time.Second, Buffer: 64 << 20}, c.Push, comparable); diff != "" || c.Web.ConfigFile != "" {
		t.Errorf("without the sections: %s, %+v", diff, c.Web)
	}

	c = mustLoad(t, Options{File: file, Settings: filepath.Join(dir, "s.yaml"), Env: []string{"NETPROBE_PUSH__INTERVAL=5s"}})
	if diff := cmp.Diff(Push{
		URL: "https://192.0.2.1:8428/api/v1/import/prometheus", Interval: 5 * time.Second, Timeout: 10 * time.Second, Buffer: 128 << 20,
		ExtraLabels: []string{"site=paris", "rack=a=b"}, Headers: []secret.Text{secret.New("X-Scope-Orgid: " + hidden)}, BearerToken: secret.InFile(filepath.Join(dir, "token")),
	}, c.Push, comparable); diff != "" {
		t.Error(diff)
	}
	if want := filepath.Join(dir, "web.yml"); c.Web.ConfigFile != want {
		t.Errorf("web.config_file %s, want %s", c.Web.ConfigFile, want)
	}

	c = mustLoad(t, Options{File: file, Env: []string{
		"NETPROBE_PUSH__URL=http://192.0.2.1/insert/0/prometheus/api/v1/import/prometheus?authKey=" + hidden, "NETPROBE_PUSH__USER=017",
		"NETPROBE_PUSH__PASSWORD=" + hidden, "NETPROBE_PUSH__HEADERS=A: " + hidden + ",B: 2", "NETPROBE_WEB__CONFIG_FILE=web.yml",
	}})
	if c.Push.User != "017" || c.Push.Password != secret.New(hidden) || len(c.Push.Headers) != 2 || c.Web.ConfigFile != "web.yml" || !strings.HasSuffix(c.Push.URL, "prometheus?authKey="+hidden) {
		t.Errorf("from the environment: %s", cmp.Diff(Push{}, c.Push, comparable))
	}
}

// Secrets do not show in what is said of them.
func TestSecretFaults(t *testing.T) {
	wants, err := filepath.Glob(filepath.Join("testdata", "invalid", "push*.want"))
	if err != nil || len(wants) < 3 {
		t.Fatal(wants, err)
	}
	for _, name := range wants {
		b, err := os.ReadFile(name)
		if err != nil || strings.Contains(string(b), hidden) {
			t.Errorf("%s repeats the secret (%v)", name, err)
		}
	}
}
