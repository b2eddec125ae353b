// SPDX-License-Identifier: Apache-2.0

package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/netprobe-xdp/netprobe-xdp/internal/config"
)

// Who may reload: whoever has the password; without one only this machine,
// directly. Never a page of another site.
func TestWhoMayReload(t *testing.T) {
	const far, here, here6 = "192.0.2.9:1000", "127.0.0.1:1000", "[::1]:1000"
	password := func(r *http.Request) { r.SetBasicAuth("prom", "secret") }
	header := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	host := func(name string) func(*http.Request) { return func(r *http.Request) { r.Host = name } }
	for _, c := range []struct {
		name  string
		users bool
		from  string
		set   []func(*http.Request)
		want  int
	}{
		{"here", false, here, nil, 200},
		{"here, IPv6", false, here6, []func(*http.Request){host("[::1]:8000")}, 200},
		{"here, by name", false, here, []func(*http.Request){host("localhost:8000")}, 200},
		{"here, without a port", false, here, []func(*http.Request){host("localhost")}, 200},
		{"far", false, far, nil, 403},
		{"far, saying it is here", false, far, []func(*http.Request){header("X-Forwarded-For", "127.0.0.1")}, 403},
		{"by a proxy", false, here, []func(*http.Request){header("X-Forwarded-For", "192.0.2.9")}, 403},
		{"by another proxy", false, here, []func(*http.Request){header("Forwarded", "for=192.0.2.9")}, 403},
		{"by a name that was made to lead here", false, here, []func(*http.Request){host("attacker.example:8000"), header("Sec-Fetch-Site", "same-origin")}, 403},
		{"another site's page", false, here, []func(*http.Request){header("Sec-Fetch-Site", "cross-site")}, 403},
		{"a page of another port", false, here, []func(*http.Request){header("Sec-Fetch-Site", "same-site")}, 403},
		{"another site's page in an old browser", false, here, []func(*http.Request){header("Origin", "http://attacker.example")}, 403},
		{"our own page", false, here, []func(*http.Request){header("Sec-Fetch-Site", "same-origin"), header("Origin", "http://127.0.0.1:8000")}, 200},
		{"far, with the password", true, far, []func(*http.Request){password}, 200},
		{"far, without the password", true, far, nil, 401},
		{"here, without the password", true, here, nil, 401},
		{"another site's page, with the password", true, far, []func(*http.Request){password, header("Sec-Fetch-Site", "cross-site")}, 403},
	} {
		t.Run(c.name, func(t *testing.T) {
			reloads := 0
			opt := options()
			opt.Reload = func(context.Context) (Reloaded, error) { reloads++; return Reloaded{}, nil }
			if c.users {
				opt.Credentials = Credentials{"prom", "secret"}
			}
			r := httptest.NewRequest("POST", "/-/reload", nil)
			r.RemoteAddr, r.Host = c.from, "127.0.0.1:8000"
			for _, set := range c.set {
				set(r)
			}
			rec := httptest.NewRecorder()
			New(opt).http.Handler.ServeHTTP(rec, r)
			if rec.Code != c.want || (reloads == 1) != (c.want == 200) {
				t.Errorf("%d, %d reloads: %s", rec.Code, reloads, rec.Body)
			}
		})
	}
}

func TestReloadAnswers(t *testing.T) {
	var many []string
	for i := range 25 {
		many = append(many, fmt.Sprintf("t%d", i))
	}
	faults := config.Faults{{File: "a.yaml", Line: 3, Key: "targets.x.dst_port", Read: "read 70000", Allowed: "allowed: 1 to 65535"}, {File: "a.yaml", Read: "y"}}
	for name, c := range map[string]struct {
		done   Reloaded
		err    error
		status int
		text   string
		json   string
	}{
		"nothing": {Reloaded{Unchanged: 7}, nil, 200, "reloaded: 0 added, 0 changed, 0 removed, 7 unchanged\n",
			`{"added":[],"changed":[],"removed":[],"unchanged":7}`},
		"some": {Reloaded{Added: []string{"a", "b"}, Removed: []string{"c"}}, nil, 200, "reloaded: 2 added, 0 changed, 1 removed, 0 unchanged\nadded: a, b\nremoved: c\n",
			`{"added":["a","b"],"changed":[],"removed":["c"],"unchanged":0}`},
		"many": {Reloaded{Changed: many}, nil, 200, "reloaded: 0 added, 25 changed, 0 removed, 0 unchanged\nchanged: " + strings.Join(many[:20], ", ") + " and 5 more\n", ""},
		"faults": {Reloaded{}, fmt.Errorf("load: %w", faults), 422, "not reloaded, probing goes on as before:\nload: a.yaml:3: targets.x.dst_port: read 70000; allowed: 1 to 65535\na.yaml: y\n",
			`{"error":"load: a.yaml:3: targets.x.dst_port: read 70000; allowed: 1 to 65535\na.yaml: y","faults":[{"file":"a.yaml","line":3,"key":"targets.x.dst_port","read":"read 70000","allowed":"allowed: 1 to 65535"},{"file":"a.yaml","read":"y"}]}`},
		"failure": {Reloaded{}, errors.New("no memory"), 500, "not reloaded, probing goes on as before:\nno memory\n", `{"error":"no memory"}`},
	} {
		t.Run(name, func(t *testing.T) {
			opt := options()
			opt.Reload = func(context.Context) (Reloaded, error) { return c.done, c.err }
			url := serve(t, opt).URL("/-/reload")
			res, body := ask(t, "POST", url, nil)
			if res.StatusCode != c.status || body != c.text {
				t.Errorf("%s %q\nwant %q", res.Status, body, c.text)
			}
			res, body = ask(t, "POST", url, func(r *http.Request) { r.Header.Set("Accept", "application/json") })
			if res.StatusCode != c.status || res.Header.Get("Content-Type") != "application/json" || !json.Valid([]byte(body)) {
				t.Errorf("%s %v %q", res.Status, res.Header, body)
			}
			if c.json != "" {
				if diff := cmp.Diff(c.json+"\n", body); diff != "" {
					t.Error(diff)
				}
			}
		})
	}
	if res, _ := ask(t, "GET", serve(t, options()).URL("/-/reload"), nil); res.StatusCode != 405 || !slices.Contains(res.Header["Allow"], "POST") {
		t.Errorf("GET: %s %v", res.Status, res.Header)
	}
}
