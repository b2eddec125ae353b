// SPDX-License-Identifier: Apache-2.0

package api

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"strings"

	"github.com/netprobe-xdp/netprobe-xdp/internal/guard"
	wire "github.com/netprobe-xdp/netprobe-xdp/pkg/api"
)

// Door is by where a request comes in.
type Door uint8

const (
	// Socket is the UNIX socket: the file system says who may use it, for
	// everything.
	Socket Door = iota
	// TCP is a listener of its own: for those who have the token. Where there is
	// no token it is on a loopback address, and for reading.
	TCP
	// Web is below the metrics server, whose users, if there are any, have been
	// asked for already: what the page shows is as open as the metrics are, all
	// else is for those who have the token.
	Web
)

// TokenHeader may hold the token where Authorization holds a user.
const TokenHeader = "Netprobe-Xdp-Token"

// admit returns nil when a request may be answered.
func (h *handler) admit(w http.ResponseWriter, r *http.Request, t *route) error {
	if h.door == Socket {
		return nil
	}
	reads := r.Method == http.MethodGet || r.Method == http.MethodHead
	if !reads {
		// A page of another site could have somebody's browser ask.
		if err := h.origin.Check(r); err != nil {
			return NewProblem(http.StatusForbidden, "the request comes from a page of another site; use the page of this prober, or netprobe-xdp ctl")
		}
	}
	if t.state || h.door == Web && t.page && reads {
		return nil
	}
	token, err := h.backend.Token()
	if err != nil {
		h.log.Error("api: the token cannot be read; nobody who needs it is let in", "error", err)
		return NewProblem(http.StatusServiceUnavailable, "the prober cannot read its api.token_file; its log says why")
	}
	if token == "" {
		switch {
		case h.door == TCP && reads && guard.Loopback(r.Host):
			return nil
		case h.door == TCP && reads:
			return NewProblem(http.StatusForbidden, "without api.token only this machine may ask, by the name localhost or a loopback address")
		}
		return NewProblem(http.StatusForbidden, "there is no token, so nobody may do this by TCP; set api.token_file, or use the prober's socket")
	}
	given := r.Header.Get(TokenHeader)
	if bearer, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok && given == "" {
		given = bearer
	}
	// Hashes have one length: the time tells nothing of the token.
	want, got := sha256.Sum256([]byte(token)), sha256.Sum256([]byte(given))
	if given != "" && subtle.ConstantTimeCompare(want[:], got[:]) == 1 {
		return nil
	}
	w.Header().Set("WWW-Authenticate", `Bearer realm="netprobe-xdp"`)
	if h.door == Web { // a browser would ask for a user
		w.Header().Del("WWW-Authenticate")
	}
	if given == "" {
		return NewProblem(http.StatusUnauthorized, "a token is needed: the one of api.token or api.token_file, in the header "+TokenHeader+", or as Authorization: Bearer")
	}
	return NewProblem(http.StatusUnauthorized, "the token is not the prober's; it is the one of api.token or api.token_file")
}

// secure sets what every answer has.
func secure(w http.ResponseWriter) {
	w.Header().Set(wire.VersionHeader, wire.Version)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-store")
}
