// SPDX-License-Identifier: Apache-2.0

package web

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// quiet is how long the same message is not repeated.
const quiet = time.Minute

// sparingHandler is for messages that clients can cause: it passes each text on
// at most once in quiet, with how often it was held back. What the toolkit says
// of its start, at INFO, is said by the prober already.
type sparingHandler struct {
	slog.Handler
	state *sparingState
}

type sparingState struct {
	mu   sync.Mutex
	seen map[string]said
}

type said struct {
	at   time.Time
	held int
}

func sparing(log *slog.Logger) slog.Handler {
	return &sparingHandler{log.Handler(), &sparingState{seen: map[string]said{}}}
}

// Enabled is part of slog.Handler.
func (h *sparingHandler) Enabled(ctx context.Context, l slog.Level) bool {
	return l > slog.LevelInfo && h.Handler.Enabled(ctx, l)
}

// Handle is part of slog.Handler.
func (h *sparingHandler) Handle(ctx context.Context, r slog.Record) error {
	h.state.mu.Lock()
	s := h.state.seen[r.Message]
	if r.Time.Sub(s.at) < quiet {
		s.held++
		h.state.seen[r.Message] = s
		h.state.mu.Unlock()
		return nil
	}
	h.state.seen[r.Message] = said{at: r.Time}
	h.state.mu.Unlock()
	if s.held > 0 {
		r.AddAttrs(slog.Int("held_back", s.held))
	}
	return h.Handler.Handle(ctx, r)
}

// WithAttrs is part of slog.Handler.
func (h *sparingHandler) WithAttrs(a []slog.Attr) slog.Handler {
	return &sparingHandler{h.Handler.WithAttrs(a), h.state}
}

// WithGroup is part of slog.Handler.
func (h *sparingHandler) WithGroup(name string) slog.Handler {
	return &sparingHandler{h.Handler.WithGroup(name), h.state}
}

// faultWriter takes what the HTTP server says of single connections, which is
// the clients' affair, unless our own certificate is at fault.
type faultWriter struct{ log, sparing *slog.Logger }

func (f faultWriter) Write(line []byte) (int, error) {
	text := strings.TrimSpace(string(line))
	// The words of the toolkit when it reads the files anew for a connection.
	if strings.Contains(text, "TLS handshake error") && (strings.Contains(text, ": failed to ") || strings.Contains(text, ": open ") || strings.Contains(text, ": yaml: ")) {
		f.sparing.Warn("web: certificate, key or web.config_file cannot be used; no client can connect until that is put right", "error", text)
	} else {
		f.log.Debug("web: " + text)
	}
	return len(line), nil
}
