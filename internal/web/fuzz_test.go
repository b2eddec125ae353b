// SPDX-License-Identifier: Apache-2.0

package web

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"

	"github.com/netprobe-xdp/netprobe-xdp/internal/exitcode"
)

// Whatever stands in a web configuration file is accepted, or refused in one
// printable line.
func FuzzConfigFile(f *testing.F) {
	for _, s := range []string{"", withTLS, "basic_auth_users: {a: $2y$10$QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi}", "http_server_config: {http2: false, headers: {X-Frame-Options: deny}}", "a: &a [*a]", "basic_auth_users: {a: \"\n\"}", "tls_server_config: [1]"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if strings.Contains(s, "_file") {
			t.Skip() // names of files are not to be made up
		}
		name := filepath.Join(t.TempDir(), "web.yml")
		if err := os.WriteFile(name, []byte(s), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := judge(name, Credentials{})
		if err != nil && (exitcode.Of(err) != exitcode.Config || strings.ContainsFunc(err.Error(), func(r rune) bool { return !unicode.IsPrint(r) })) {
			t.Errorf("exit code %d, %q", exitcode.Of(err), err)
		}
	})
}
