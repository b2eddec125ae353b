// SPDX-License-Identifier: Apache-2.0

package api

import (
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	wire "github.com/netprobe-xdp/netprobe-xdp/pkg/api"
)

// tokenOnly is a backend that is asked for its token and nothing else: who is let
// in, is seen without being answered.
type tokenOnly struct {
	Backend
	token string
}

func (b tokenOnly) Token() (string, error) { return b.token, nil }

// kinds say who may do what a route is for. A new route has to be placed here.
var kinds = map[string]string{
	"GET /health":                 "state",
	"GET /ready":                  "state",
	"GET /info":                   "page",
	"GET /status":                 "page",
	"GET /config":                 "read",
	"GET /targets":                "page",
	"GET /targets/{name}":         "page",
	"GET /targets/{name}/history": "page",
	"GET /targets/{name}/debug":   "read",
	"GET /worst":                  "page",
	"GET /openapi.yaml":           "page",
	"GET /events":                 "page",
	"POST /targets":               "change",
	"DELETE /targets/{name}":      "change",
	"POST /targets/{name}/pause":  "change",
	"POST /targets/{name}/resume": "change",
	"POST /probe":                 "change",
	"POST /reload":                "change",
	"POST /stop":                  "change",
	"POST /start":                 "change",
}

// Every route by every way in, with and without tokens, and from pages of other
// sites and names.
func TestAccess(t *testing.T) {
	doors := []struct {
		name  string
		door  Door
		token string // of the prober
		// The status with no token given, a wrong one and the right one; 0: let in.
		want map[string][3]int
	}{
		{"socket", Socket, "", map[string][3]int{"state": {}, "page": {}, "read": {}, "change": {}}},
		{"socket, with a token", Socket, "hunter2", map[string][3]int{"state": {}, "page": {}, "read": {}, "change": {}}},
		{"TCP", TCP, "", map[string][3]int{"state": {}, "page": {}, "read": {}, "change": {403, 403, 403}}},
		{"TCP, with a token", TCP, "hunter2", map[string][3]int{"state": {}, "page": {401, 401, 0}, "read": {401, 401, 0}, "change": {401, 401, 0}}},
		{"web", Web, "", map[string][3]int{"state": {}, "page": {}, "read": {403, 403, 403}, "change": {403, 403, 403}}},
		{"web, with a token", Web, "hunter2", map[string][3]int{"state": {}, "page": {}, "read": {401, 401, 0}, "change": {401, 401, 0}}},
	}
	for i := range routes {
		route := &routes[i]
		kind, placed := kinds[route.pattern]
		if !placed {
			t.Errorf("%s is not placed", route.pattern)
			continue
		}
		method, path, _ := strings.Cut(route.pattern, " ")
		for _, d := range doors {
			h := &handler{backend: tokenOnly{token: d.token}, door: d.door, log: slog.New(slog.DiscardHandler)}
			ask := func(host, header, token, site string) int {
				r := httptest.NewRequest(method, "http://"+host+path, nil)
				switch {
				case token == "":
				case header == "Authorization":
					r.Header.Set(header, "Bearer "+token)
				default:
					r.Header.Set(header, token)
				}
				if site != "" {
					r.Header.Set("Sec-Fetch-Site", site)
				}
				err := h.admit(httptest.NewRecorder(), r, route)
				if err == nil {
					return 0
				}
				p, ok := errors.AsType[*wire.Problem](err)
				if !ok {
					t.Fatal(err)
				}
				return p.Status
			}
			for n, token := range []string{"", "hunter3", "hunter2"} {
				for _, header := range []string{"Authorization", TokenHeader} {
					if got, want := ask("localhost:8001", header, token, ""), d.want[kind][n]; got != want {
						t.Errorf("%s by %s with %q in %s: %d, want %d", route.pattern, d.name, token, header, got, want)
					}
				}
			}
			if kind == "change" && d.door != Socket {
				if got := ask("localhost:8001", TokenHeader, "hunter2", "cross-site"); got != http.StatusForbidden {
					t.Errorf("%s by %s from another site: %d", route.pattern, d.name, got)
				}
			}
			// By a name that somebody else lets lead here.
			if got := ask("rebound.example:8001", TokenHeader, "", ""); d.door == TCP && d.token == "" && kind != "state" && got != http.StatusForbidden {
				t.Errorf("%s by %s by another name: %d", route.pattern, d.name, got)
			}
		}
	}
	if len(kinds) != len(routes) {
		t.Errorf("%d are placed, there are %d routes", len(kinds), len(routes))
	}
}
