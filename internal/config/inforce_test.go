// SPDX-License-Identifier: Apache-2.0

package config

import (
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/netprobe-xdp/netprobe-xdp/internal/secret"
)

// named: what says all keys names the socket, which the usual configuration does not.
var named = cmpopts.IgnoreFields(API{}, "Configured")

// What is said to be in force is a configuration, and the same one.
func TestInForce(t *testing.T) {
	for _, file := range []string{"everything.yaml", "switched-off.yaml"} {
		c := mustLoad(t, Options{File: filepath.Join("testdata", "valid", file)})
		text, err := c.InForce()
		if err != nil {
			t.Fatal(err)
		}
		again := filepath.Join(t.TempDir(), "again.yaml")
		if err := os.WriteFile(again, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		got := mustLoad(t, Options{File: again})
		parts := func(c *Config) []any {
			for i := range c.Targets {
				slices.Sort(c.Targets[i].Groups) // their order is not said
			}
			return []any{c.Global, c.Groups, c.Targets, c.Engine, c.Safety, c.Metrics, c.Web, c.Push, c.API}
		}
		if diff := cmp.Diff(parts(c), parts(got), cmpopts.EquateEmpty(), named, cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{}, secret.Text{})); diff != "" {
			t.Errorf("%s: -was +again:\n%s\n%s", file, diff, text)
		}
	}
}

// Secrets are not said to be in force.
func TestInForceHidesSecrets(t *testing.T) {
	env := []string{"NETPROBE_PUSH__URL=http://127.0.0.1:1/x?key=hunter2", "NETPROBE_PUSH__USER=u", "NETPROBE_PUSH__PASSWORD=hunter2", "NETPROBE_PUSH__HEADERS=X: hunter2", "NETPROBE_API__TOKEN=hunter2"}
	c := mustLoad(t, Options{File: filepath.Join("testdata", "valid", "switched-off.yaml"), Env: env})
	text, err := c.InForce()
	if err != nil || strings.Contains(text, "hunter2") || !strings.Contains(text, "token: (hidden)") || !strings.Contains(text, "url: http://127.0.0.1:1/x?(hidden)") {
		t.Errorf("%v\n%s", err, text)
	}
}
