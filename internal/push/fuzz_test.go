// SPDX-License-Identifier: Apache-2.0

package push

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// Whatever a server answers is a success or one printable line of bounded
// length, and never makes us wait for ever.
func FuzzAnswer(f *testing.F) {
	f.Add(204, "", "", "")
	f.Add(503, "no\n disk\x1b[31m", "7", "")
	f.Add(301, "\xff", "-1", "http://other/?secret=1")
	f.Add(429, strings.Repeat("x", 1000), "99999999999999999999", "::")
	f.Fuzz(func(t *testing.T, code int, body, after, location string) {
		at, _ := url.Parse("http://192.0.2.1/x")
		res := &http.Response{StatusCode: code, Status: http.StatusText(code), Header: http.Header{"Retry-After": {after}, "Location": {location}},
			Request: &http.Request{URL: at}}
		err := judge("http://192.0.2.1/x", res, body)
		if (err == nil) != (code >= 200 && code < 300) {
			t.Fatalf("%d: %v", code, err)
		}
		if err == nil {
			return
		}
		fail := err.(*failure)
		if !utf8.ValidString(fail.text) || utf8.RuneCountInString(fail.text) > 3*maxShown || strings.ContainsFunc(fail.text, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("%q", fail.text)
		}
		if fail.after < 0 || fail.after > longestAsked {
			t.Errorf("waits for %v", fail.after)
		}
	})
}
