// SPDX-License-Identifier: Apache-2.0

package web

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/netprobe-xdp/netprobe-xdp/internal/config"
	"github.com/netprobe-xdp/netprobe-xdp/internal/guard"
)

// Reloaded says what a reload changed, by name of target.
type Reloaded struct {
	Added     []string `json:"added"`
	Changed   []string `json:"changed"`
	Removed   []string `json:"removed"`
	Unchanged int      `json:"unchanged"`
}

// notReloaded is the JSON of a reload that failed.
type notReloaded struct {
	Error  string          `json:"error"`
	Faults []faultInConfig `json:"faults,omitempty"`
}

type faultInConfig struct {
	File    string `json:"file"`
	Line    int    `json:"line,omitempty"`
	Key     string `json:"key,omitempty"`
	Read    string `json:"read"`
	Allowed string `json:"allowed,omitempty"`
}

// reload loads the configuration again for those who may ask for it.
func (s *Server) reload(w http.ResponseWriter, r *http.Request) {
	if err := s.mayReload(r); err != nil {
		plain(w, http.StatusForbidden, "not reloaded: "+err.Error()+"\n")
		return
	}
	done, err := s.opt.Reload(r.Context())
	asJSON := strings.Contains(r.Header.Get("Accept"), "application/json")
	if err == nil {
		if asJSON {
			for _, names := range []*[]string{&done.Added, &done.Changed, &done.Removed} {
				*names = append([]string{}, *names...) // [] rather than null
			}
			writeJSON(w, http.StatusOK, done)
		} else {
			plain(w, http.StatusOK, done.String())
		}
		return
	}
	status := http.StatusInternalServerError
	faults, wrong := errors.AsType[config.Faults](err)
	if wrong {
		status = http.StatusUnprocessableEntity
	}
	if !asJSON {
		plain(w, status, "not reloaded, probing goes on as before:\n"+err.Error()+"\n")
		return
	}
	answer := notReloaded{Error: err.Error()}
	for _, f := range faults {
		answer.Faults = append(answer.Faults, faultInConfig(f))
	}
	writeJSON(w, status, answer)
}

// mayReload returns nil when a request may change something: it does not come
// from another site's page in somebody's browser, and its sender is known or on
// this machine.
func (s *Server) mayReload(r *http.Request) error {
	if err := s.origin.Check(r); err != nil {
		return errors.New("the request comes from a page of another site")
	}
	if s.knowsClients(r) {
		return nil // who came this far has presented what was asked for
	}
	if !guard.Local(r) {
		return errors.New("without users only this machine may ask for it, directly and by a loopback address; set PROM_USER and PROM_PASSWORD, or users in web.config_file")
	}
	return nil
}

// knowsClients says whether clients have to prove who they are. The web
// configuration file may have changed since the start: it is read for every
// request, by the toolkit too.
func (s *Server) knowsClients(r *http.Request) bool {
	if s.opt.Credentials.set() || r.TLS != nil && len(r.TLS.VerifiedChains) > 0 {
		return true
	}
	if s.opt.ConfigFile == "" {
		return false
	}
	c, err := readContent(s.opt.ConfigFile)
	return err == nil && len(c.Users) > 0
}

// named is how many targets of a kind a person is told by name.
const named = 20

// String returns what a person reads.
func (d Reloaded) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "reloaded: %d added, %d changed, %d removed, %d unchanged\n", len(d.Added), len(d.Changed), len(d.Removed), d.Unchanged)
	for _, kind := range []struct {
		name    string
		targets []string
	}{{"added", d.Added}, {"changed", d.Changed}, {"removed", d.Removed}} {
		if n := len(kind.targets); n > 0 {
			fmt.Fprintf(&b, "%s: %s", kind.name, strings.Join(kind.targets[:min(n, named)], ", "))
			if n > named {
				fmt.Fprintf(&b, " and %d more", n-named)
			}
			b.WriteByte('\n')
		}
	}
	return b.String()
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // fails when the client has gone
}
