// SPDX-License-Identifier: Apache-2.0

package page

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
)

func ask(path string, header ...string) *http.Response {
	r := httptest.NewRequest("GET", path, nil)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	Handler().ServeHTTP(w, r)
	return w.Result()
}

// TestFiles: every file is there with its type and the policy, and is not sent
// again to who has it.
func TestFiles(t *testing.T) {
	paths := []string{"/"}
	for name := range files {
		if name != "index.html" {
			paths = append(paths, Prefix+name)
		}
	}
	for _, path := range paths {
		r := ask(path)
		tag := r.Header.Get("ETag")
		if r.StatusCode != 200 || r.Header.Get("Content-Type") == "" || tag == "" {
			t.Errorf("%s: %s %v", path, r.Status, r.Header)
		}
		csp := r.Header.Get("Content-Security-Policy")
		if !strings.HasPrefix(csp, "default-src 'none';") || strings.Contains(csp, "unsafe") || !strings.Contains(csp, "frame-ancestors 'none'") {
			t.Errorf("%s: Content-Security-Policy %q", path, csp)
		}
		if r.Header.Get("X-Content-Type-Options") != "nosniff" || r.Header.Get("Referrer-Policy") != "no-referrer" {
			t.Errorf("%s: %v", path, r.Header)
		}
		if again := ask(path, "If-None-Match", tag); again.StatusCode != http.StatusNotModified {
			t.Errorf("%s again: %s", path, again.Status)
		}
	}
	for _, path := range []string{"/page/", "/page/index.html", "/page/../page.go", "/page/none.js", "/other"} {
		if r := ask(path); r.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %s", path, r.Status)
		}
	}
}

// TestNothingElse: the files name nobody else, bring no scripts of their own into the
// markup, and have no way to make markup of text.
func TestNothingElse(t *testing.T) {
	foreign := regexp.MustCompile(`https?://[a-z0-9.]+`)
	for name, f := range files {
		for _, url := range foreign.FindAllString(f.text, -1) {
			if url != "http://www.w3.org" { // a name, not an address
				t.Errorf("%s names %s", name, url)
			}
		}
		for _, word := range []string{"innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"} {
			if strings.Contains(f.text, word) {
				t.Errorf("%s has %s", name, word)
			}
		}
		if strings.HasSuffix(name, ".html") && regexp.MustCompile(`(?i)\son[a-z]+=|style=|<style|javascript:`).MatchString(f.text) {
			t.Errorf("%s has scripts or styles in its markup", name)
		}
	}
}
