// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"context"
	"log"
	"log/slog"
	"strings"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/logging"
)

// quiet is how long what clients can cause is not said again.
const quiet = time.Minute

// Sparing returns a logger for what clients can cause: each place that speaks does
// so once a minute. What a library says of its start, at INFO, is said by the
// prober already.
func Sparing(log *slog.Logger) *slog.Logger {
	return slog.New(warnings{logging.Limit(log.Handler(), 1, quiet)})
}

// ServerLog is the log of an http.Server.
func ServerLog(to *slog.Logger) *log.Logger { return log.New(faultWriter{to, Sparing(to)}, "", 0) }

// warnings takes what is above INFO.
type warnings struct{ slog.Handler }

// Enabled is part of slog.Handler.
func (h warnings) Enabled(ctx context.Context, l slog.Level) bool {
	return l > slog.LevelInfo && h.Handler.Enabled(ctx, l)
}

// WithAttrs is part of slog.Handler.
func (h warnings) WithAttrs(a []slog.Attr) slog.Handler { return warnings{h.Handler.WithAttrs(a)} }

// faultWriter takes what the HTTP server says of single connections, which is
// the clients' affair, unless our own certificate is at fault.
type faultWriter struct{ log, sparing *slog.Logger }

func (f faultWriter) Write(line []byte) (int, error) {
	text := strings.TrimSpace(string(line))
	// The words of the toolkit when it reads the files anew for a connection.
	if strings.Contains(text, "TLS handshake error") && (strings.Contains(text, ": failed to ") || strings.Contains(text, ": open ") || strings.Contains(text, ": yaml: ")) {
		f.sparing.Warn("web: certificate, key or web.config_file cannot be used; no client can connect until that is put right", "error", text)
	} else {
		f.log.Debug("client: " + text)
	}
	return len(line), nil
}
