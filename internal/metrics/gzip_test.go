// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
)

// The compressed page is the plain one, HEAD says what GET would, and both say
// what they are.
func TestCompressed(t *testing.T) {
	x := New(sample())
	answer := func(method, accept string) *httptest.ResponseRecorder {
		rec := httptest.NewRecorder()
		r := httptest.NewRequest(method, "/metrics", nil)
		r.Header.Set("Accept-Encoding", accept)
		x.ServeHTTP(rec, r)
		if got := rec.Header().Get("Content-Type"); rec.Code != http.StatusOK || got != "text/plain; version=0.0.4; charset=utf-8" {
			t.Errorf("%s, %q: %d, %q", method, accept, rec.Code, got)
		}
		return rec
	}
	plain, packed := answer("GET", ""), answer("GET", "gzip")
	if plain.Header().Get("Content-Encoding") != "" || packed.Header().Get("Content-Encoding") != "gzip" {
		t.Errorf("Content-Encoding %q and %q", plain.Header().Get("Content-Encoding"), packed.Header().Get("Content-Encoding"))
	}
	z, err := gzip.NewReader(packed.Body)
	if err != nil {
		t.Fatal(err)
	}
	if unpacked, err := io.ReadAll(z); err != nil || stable(string(unpacked)) != stable(plain.Body.String()) {
		t.Errorf("the compressed page is not the plain one (%v)", err)
	}
	if head := answer("HEAD", "gzip"); head.Body.Len() != 0 || head.Header().Get("Content-Encoding") != "gzip" {
		t.Errorf("HEAD: %v, %d bytes", head.Header(), head.Body.Len())
	}
}

func TestAcceptsGzip(t *testing.T) {
	for _, c := range []struct {
		in   []string
		want bool
	}{
		{nil, false},
		{[]string{""}, false},
		{[]string{"gzip"}, true},
		{[]string{"gzip;q=1.0, identity"}, true}, // as Prometheus and VictoriaMetrics might ask
		{[]string{"deflate, GZIP"}, true},
		{[]string{"deflate", "gzip"}, true},
		{[]string{"gzip;q=0"}, false},
		{[]string{"gzip; q=0.000"}, false},
		{[]string{"gzip ; q = 0.3"}, true},
		{[]string{"gzip;q=x"}, false},
		{[]string{"gzip;q=NaN"}, false},
		{[]string{"gzip;level=9"}, false},
		{[]string{"*"}, true},
		{[]string{"*;q=0"}, false},
		{[]string{"*, gzip;q=0"}, false},
		{[]string{"identity, br"}, false},
		{[]string{"gzipped"}, false},
	} {
		if got := acceptsGzip(c.in); got != c.want {
			t.Errorf("%q: %v, want %v", c.in, got, c.want)
		}
	}
}

// No header makes the parser fail, and one that does not name gzip or * is no
// permission.
func FuzzAcceptsGzip(f *testing.F) {
	f.Add("gzip;q=0.5, *")
	f.Add(";;==,,")
	f.Fuzz(func(t *testing.T, s string) {
		if acceptsGzip([]string{s}) != acceptsGzip([]string{" " + s + " "}) {
			t.Errorf("%q: space around it changes the meaning", s)
		}
		if acceptsGzip([]string{s, "gzip;q=0"}) && !acceptsGzip([]string{s}) {
			t.Errorf("%q: a refusal turned into a permission", s)
		}
	})
}
