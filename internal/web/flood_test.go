// SPDX-License-Identifier: Apache-2.0

package web

import (
	"crypto/tls"
	"log/slog"
	"net"
	"strings"
	"testing"

	"github.com/netprobe-xdp/netprobe-xdp/internal/lab"
	"github.com/netprobe-xdp/netprobe-xdp/internal/logging"
)

// Clients that cannot speak TLS are no lines of the log, and few at DEBUG.
func TestClientsDoNotFloodTheLog(t *testing.T) {
	for _, c := range []struct {
		level    slog.Level
		from, to int
	}{{slog.LevelInfo, 0, 0}, {slog.LevelDebug, 1, 60}} {
		dir := t.TempDir()
		certificate(t, dir)
		var log lab.Buffer
		opt := options()
		opt.Log = logging.New(&log, false, c.level)
		opt.ConfigFile = write(t, dir, "web.yml", withTLS, 0o600)
		s := serve(t, opt)
		for i := range 300 {
			conn, err := net.Dial("tcp", s.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			if i%2 == 0 {
				_, _ = conn.Write([]byte("GET / HTTP/1.1\r\n\r\n"))
			} else { // does not trust our certificate
				_ = tls.Client(conn, &tls.Config{ServerName: "elsewhere.example"}).Handshake()
			}
			conn.Close()
		}
		if n := strings.Count(log.String(), "\n"); n < c.from || n > c.to {
			t.Errorf("%v: %d lines, want %d to %d:\n%.2000s", c.level, n, c.from, c.to, log.String())
		}
	}
}
