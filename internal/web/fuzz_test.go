// SPDX-License-Identifier: Apache-2.0

package web

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// FuzzJudge: whatever a web configuration file holds is taken or refused on one
// line, and what is taken can be looked at again.
func FuzzJudge(f *testing.F) {
	for _, text := range []string{
		"", "tls_server_config:\n  cert_file: a.crt\n  key_file: a.key\n", "basic_auth_users:\n  u: $2y$10$abcdefghijklmnopqrstuu\n",
		"tls_server_config: {cert: x, key: y, min_version: TLS13}\n", "http_server_config: {http2: false, headers: {X-Frame-Options: deny}}\n",
		"rate_limit: {interval: 1s, burst: 2}\n", "basic_auth_users: &a {u: *a}\n", "unknown: 1\n", "\tx", "- 1",
	} {
		f.Add([]byte(text))
	}
	name := filepath.Join(f.TempDir(), "web.yml")
	f.Fuzz(func(t *testing.T, text []byte) {
		if err := os.WriteFile(name, text, 0o600); err != nil {
			t.Fatal(err)
		}
		doubt, err := judge(name, Credentials{})
		if err != nil && (err.Error() == "" || strings.ContainsAny(err.Error(), "\n\r\x1b")) || strings.ContainsAny(doubt, "\n\r\x1b") {
			t.Fatalf("not one line: %q, %q", err, doubt)
		}
		if err == nil {
			if _, err := readContent(name); err != nil {
				t.Fatal(err)
			}
			usesTLS(name)
		}
	})
}
