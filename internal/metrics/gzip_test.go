// SPDX-License-Identifier: Apache-2.0

package metrics

import "testing"

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
