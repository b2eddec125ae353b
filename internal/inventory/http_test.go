// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"compress/gzip"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/secret"
)

func asks(url string) HTTP {
	return HTTP{URL: url, Interval: time.Second, Timeout: patience, MaxBytes: 1 << 20, UserAgent: "netprobe-xdp"}
}

func serve(t *testing.T, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

func writeFile(t *testing.T, name, text string) string {
	t.Helper()
	full := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(full, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return full
}

// The server says what changed, and is believed only of lists that were taken.
func TestHTTPValidators(t *testing.T) {
	t.Parallel()
	asked := make(chan string, 1)
	answers := make(chan string, 10)
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked <- r.Header.Get("If-None-Match")
		list := <-answers
		w.Header().Set("ETag", fmt.Sprintf("%q", list))
		if r.Header.Get("If-None-Match") == fmt.Sprintf("%q", list) {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		fmt.Fprint(w, list)
	})
	refused := errors.New("refused")
	all := deliveries(t, asks(s.URL), func(d Delivery) error {
		if string(d.Data) == "bad" {
			return refused
		}
		return nil
	})
	for _, step := range []struct {
		answer, asked string
		data          string
		same          bool
	}{
		{"one", ``, "one", false},
		{"one", `"one"`, "", true},
		{"bad", `"one"`, "bad", false},
		{"bad", ``, "bad", false}, // it was not taken, so it is not the same
		{"one", ``, "one", false},
	} {
		answers <- step.answer
		d := next(t, all)
		if got := <-asked; string(d.Data) != step.data || d.Same != step.same || d.Err != nil || got != step.asked {
			t.Errorf("%+v: got %q, same %t, %v; asked with %s", step, d.Data, d.Same, d.Err, got)
		}
	}
}

func TestHTTPCredentials(t *testing.T) {
	t.Parallel()
	var header atomic.Value
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		header.Store(r.Header.Get("Authorization"))
		fmt.Fprint(w, "[]")
	})
	file := writeFile(t, "secret", "s3cret\n")
	for name, tt := range map[string]struct {
		change func(*HTTP)
		want   string
	}{
		"none":       {func(*HTTP) {}, ""},
		"password":   {func(h *HTTP) { h.Username, h.Password = "me", secret.New("s3cret") }, "Basic bWU6czNjcmV0"},
		"its file":   {func(h *HTTP) { h.Username, h.Password = "me", secret.InFile(file) }, "Basic bWU6czNjcmV0"},
		"token":      {func(h *HTTP) { h.Token = secret.New("s3cret") }, "Bearer s3cret"},
		"token file": {func(h *HTTP) { h.Token = secret.InFile(file) }, "Bearer s3cret"},
	} {
		h := asks(s.URL)
		tt.change(&h)
		if d, _ := h.get(t.Context(), validators{}); d.Err != nil || header.Load() != tt.want {
			t.Errorf("%s: %v, %v", name, header.Load(), d.Err)
		}
		asJSON, err := json.Marshal(h)
		if err != nil {
			t.Fatal(err)
		}
		if shown := fmt.Sprintf("%v %+v %#v %s", h, h, h, asJSON); strings.Contains(shown, "s3cret") {
			t.Errorf("%s: shows its secret: %s", name, shown)
		}
	}
	for name, text := range map[string]string{"empty": "", "lines": "a\nb\n", "long": strings.Repeat("x", secret.MaxBytes+1)} {
		h := asks(s.URL)
		h.Token = secret.InFile(writeFile(t, name, text))
		d, _ := h.get(t.Context(), validators{})
		wantError(t, d.Err, "the file of the secret", name)
	}
	h := asks(s.URL)
	h.Token = secret.InFile("/nowhere/token")
	d, _ := h.get(t.Context(), validators{})
	wantError(t, d.Err, "/nowhere/token", "no such file")
}

func TestHTTPFailures(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	defer close(release)
	other := serve(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "[]") })
	mux := http.NewServeMux()
	mux.HandleFunc("/500", func(w http.ResponseWriter, r *http.Request) { http.Error(w, "no", http.StatusInternalServerError) })
	mux.HandleFunc("/204", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusNoContent) })
	mux.HandleFunc("/304", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusNotModified) })
	mux.HandleFunc("/hangs", func(w http.ResponseWriter, r *http.Request) { <-release })
	mux.HandleFunc("/half", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "[")
		w.(http.Flusher).Flush()
		<-release
	})
	mux.HandleFunc("/cut", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "100")
		fmt.Fprint(w, "[]")
	})
	mux.HandleFunc("/flood", func(w http.ResponseWriter, r *http.Request) {
		for range 12 {
			w.Write(make([]byte, 1<<20))
		}
	})
	mux.HandleFunc("/bomb", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		for range 12 {
			z.Write(make([]byte, 1<<20))
		}
		z.Close()
	})
	mux.HandleFunc("/circle", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/circle", http.StatusFound) })
	mux.HandleFunc("/away", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other.URL, http.StatusFound) })
	mux.HandleFunc("/header", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Long", strings.Repeat("x", 1<<20))
	})
	s := serve(t, mux.ServeHTTP)
	for path, says := range map[string]string{
		"/500": `"500 Internal Server Error"`, "/204": `"204 No Content"`, "/304": `"304 Not Modified"`, "/404": `"404 Not Found"`,
		"/hangs": "within 1s", "/half": "within 1s", "/cut": "unexpected EOF", "/flood": "more than 1048576 bytes", "/bomb": "more than 1048576 bytes",
		"/circle": "more than 5 times", "/away": "not given the credentials", "/header": "header",
	} {
		h := asks(s.URL + path + "?key=hidden-key")
		h.Token = secret.New("hidden-token")
		if strings.HasPrefix(says, "within") {
			h.Timeout = time.Second
		}
		d, _ := h.get(t.Context(), validators{})
		wantError(t, d.Err, "get "+s.URL+path+": ", says)
		if d.Data != nil || strings.Contains(d.Err.Error(), "hidden") {
			t.Errorf("%s: %d bytes, %v", path, len(d.Data), d.Err)
		}
	}
	// Without credentials there is none to keep.
	if d, _ := asks(s.URL+"/away").get(t.Context(), validators{}); d.Err != nil || string(d.Data) != "[]" {
		t.Errorf("redirected: %q, %v", d.Data, d.Err)
	}
	h := asks("http://127.0.0.1:1/")
	d, _ := h.get(t.Context(), validators{})
	wantError(t, d.Err, "refused")
}

func TestHTTPTLS(t *testing.T) {
	t.Parallel()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/plain" {
			http.Redirect(w, r, "http://"+r.Host+"/", http.StatusFound)
			return
		}
		fmt.Fprintf(w, "[%d]", len(r.TLS.PeerCertificates))
	}))
	s.TLS = &tls.Config{ClientAuth: tls.RequestClientCert, MinVersion: tls.VersionTLS12}
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // of handshakes that fail, as they are to
	s.StartTLS()
	defer s.Close()
	pair := s.TLS.Certificates[0]
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]})
	der, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	key := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	ca, keyFile := writeFile(t, "ca.pem", string(cert)), writeFile(t, "key.pem", string(key))

	d, _ := asks(s.URL).get(t.Context(), validators{})
	wantError(t, d.Err, "certificate")
	h := asks(s.URL)
	h.CAFile = ca
	if d, _ := h.get(t.Context(), validators{}); string(d.Data) != "[0]" || d.Err != nil {
		t.Errorf("with the authority: %q, %v", d.Data, d.Err)
	}
	h.URL = s.URL + "/plain"
	d, _ = h.get(t.Context(), validators{})
	wantError(t, d.Err, "from https to http")
	h.URL, h.CertFile, h.KeyFile = s.URL, ca, keyFile
	if d, _ := h.get(t.Context(), validators{}); string(d.Data) != "[1]" || d.Err != nil {
		t.Errorf("with a client certificate: %q, %v", d.Data, d.Err)
	}
	h.KeyFile = ca
	d, _ = h.get(t.Context(), validators{})
	wantError(t, d.Err, "cert_file and key_file")
	h.CAFile = keyFile
	d, _ = h.get(t.Context(), validators{})
	wantError(t, d.Err, "no certificate in PEM")
}
