// SPDX-License-Identifier: Apache-2.0

// Package page is the web page: files that are part of the program and ask the
// control API of the server that they came from, and nobody else.
package page

import (
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"time"
)

//go:embed assets
var assets embed.FS

// Prefix is where the files are beside the page itself, which is at /.
const Prefix = "/page/"

// policy lets the page run its own scripts, use its own styles and ask its own
// server (Content Security Policy Level 3). Markup that got into the page would do
// nothing.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// file is one of the assets. Immutable.
type file struct {
	text      string
	mediaType string
	tag       string // of its content (RFC 9110, section 8.8.3)
}

var mediaTypes = map[string]string{
	".html": "text/html; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".svg":  "image/svg+xml",
}

// files are all assets, by name.
var files = read()

func read() map[string]*file {
	all := map[string]*file{}
	entries, err := fs.ReadDir(assets, "assets")
	if err != nil {
		panic(err) // they are part of the program
	}
	for _, e := range entries {
		text, err := assets.ReadFile("assets/" + e.Name())
		if err != nil {
			panic(err)
		}
		sum := sha256.Sum256(text)
		all[e.Name()] = &file{
			text: string(text), mediaType: mediaTypes[path.Ext(e.Name())],
			tag: `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`,
		}
	}
	return all
}

// Handler serves the page at / and its files below Prefix.
func Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := "index.html"
		if r.URL.Path != "/" {
			name = strings.TrimPrefix(r.URL.Path, Prefix)
		}
		f, ok := files[name]
		if !ok || r.URL.Path != "/" && name == "index.html" {
			http.NotFound(w, r)
			return
		}
		h := w.Header()
		h.Set("Content-Type", f.mediaType)
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-cache") // kept, and asked for by its tag
		h.Set("ETag", f.tag)
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(f.text))
	})
}
