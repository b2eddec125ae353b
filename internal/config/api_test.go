// SPDX-License-Identifier: Apache-2.0

package config

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/netprobe-xdp/netprobe-xdp/pkg/api"
)

// A socket that was named has to be there, also where it is the usual one.
func TestSocketConfigured(t *testing.T) {
	for _, c := range []struct {
		name, file string
		env        []string
		want       bool
	}{
		{"left as it is", "metrics: {}\n", nil, false},
		{"the usual one in the file", "api: {socket: " + api.DefaultSocket + "}\n", nil, true},
		{"the usual one by a variable", "metrics: {}\n", []string{"NETPROBE_API__SOCKET=" + api.DefaultSocket}, true},
		{"another key of the section", "api: {listen: \"127.0.0.1:8001\"}\n", nil, false},
		{"its group", "api: {socket_group: \"0\"}\n", nil, true},
		{"none", "api: {socket: \"\"}\n", nil, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			settings := filepath.Join(t.TempDir(), "settings.yaml")
			if err := os.WriteFile(settings, []byte(c.file), 0o644); err != nil {
				t.Fatal(err)
			}
			cfg := mustLoad(t, Options{File: filepath.Join("testdata", "valid", "everything.yaml"), Settings: settings, Env: c.env})
			if cfg.API.Configured != c.want {
				t.Errorf("configured: %v, want %v", cfg.API.Configured, c.want)
			}
		})
	}
}
