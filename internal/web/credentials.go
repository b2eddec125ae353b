// SPDX-License-Identifier: Apache-2.0

package web

import (
	"crypto/sha256"
	"crypto/subtle"
	"io"
	"log/slog"
	"net/http"
	"os"
)

// Credentials are what a client must present. As in netprobify they are
// demanded only when neither is empty.
type Credentials struct{ User, Password string }

// CredentialsFromEnv reads PROM_USER and PROM_PASSWORD.
func CredentialsFromEnv() Credentials {
	return Credentials{User: os.Getenv("PROM_USER"), Password: os.Getenv("PROM_PASSWORD")}
}

// warn says when one of the two is missing, for nothing is protected then.
func (c Credentials) warn(log *slog.Logger) {
	if (c.User == "") != (c.Password == "") {
		log.Warn("metrics are served to anyone: only one of PROM_USER and PROM_PASSWORD is set; set both, or neither")
	}
}

func (c Credentials) set() bool { return c.User != "" && c.Password != "" }

// require puts basic authentication (RFC 7617) in front of next.
func (c Credentials) require(next http.Handler) http.Handler {
	if !c.set() {
		return next
	}
	user, password := sha256.Sum256([]byte(c.User)), sha256.Sum256([]byte(c.Password))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u, p, _ := r.BasicAuth()
		// Hashes have one length, so the time tells neither how long the
		// expected text is nor how much of it was right.
		gotUser, gotPassword := sha256.Sum256([]byte(u)), sha256.Sum256([]byte(p))
		ok := subtle.ConstantTimeCompare(gotUser[:], user[:]) & subtle.ConstantTimeCompare(gotPassword[:], password[:])
		if ok == 1 {
			next.ServeHTTP(w, r)
			return
		}
		w.Header().Set("WWW-Authenticate", `Basic realm="Authentication Required"`)
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(http.StatusUnauthorized)
		io.WriteString(w, "Unauthorized Access")
	})
}
