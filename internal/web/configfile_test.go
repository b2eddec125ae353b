// SPDX-License-Identifier: Apache-2.0

package web

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/netprobe-xdp/netprobe-xdp/internal/config"
	"github.com/netprobe-xdp/netprobe-xdp/internal/exitcode"
	"github.com/netprobe-xdp/netprobe-xdp/internal/lab"
)

// certificate writes cert.pem and key.pem for 127.0.0.1 into dir.
func certificate(t *testing.T, dir string) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	write(t, dir, "cert.pem", string(cert), 0o644)
	write(t, dir, "key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})), 0o600)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(cert)
	return pool
}

func write(t *testing.T, dir, name, text string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

const withTLS = "tls_server_config: {cert_file: cert.pem, key_file: key.pem}\n"

func users(t *testing.T, names ...string) string {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte("secret"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	text := "basic_auth_users:\n"
	for _, name := range names {
		text += "  " + name + ": '" + string(hash) + "'\n"
	}
	return text
}

// TLS and users come from the file, by paths relative to it; users may change
// while it is served.
func TestConfigFile(t *testing.T) {
	dir := t.TempDir()
	pool := certificate(t, dir)
	opt := options()
	opt.Reload = func(context.Context) (Reloaded, error) { return Reloaded{}, nil }
	opt.ConfigFile = write(t, dir, "web.yml", withTLS+users(t, "a"), 0o600)
	if _, err := judge(opt.ConfigFile, Credentials{}); err != nil {
		t.Fatal(err)
	}
	s := serve(t, opt)
	if !strings.HasPrefix(s.URL("/metrics"), "https://127.0.0.1:") {
		t.Errorf("URL %s", s.URL("/metrics"))
	}
	status := func(method, path, user string) int {
		t.Helper()
		r, err := http.NewRequest(method, s.URL(path), nil)
		if err != nil {
			t.Fatal(err)
		}
		if user != "" {
			r.SetBasicAuth(user, "secret")
		}
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: pool}}}
		res, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if res.ProtoMajor != 2 {
			t.Errorf("%s %s by %s", method, path, res.Proto)
		}
		return res.StatusCode
	}
	for user, want := range map[string]int{"a": 200, "b": 401, "": 401} {
		for _, path := range []string{"/metrics", "/-/healthy"} {
			if got := status("GET", path, user); got != want {
				t.Errorf("%q, %s: %d, want %d", user, path, got, want)
			}
		}
		if got := status("POST", "/-/reload", user); got != want {
			t.Errorf("%q, reload: %d, want %d", user, got, want)
		}
	}
	write(t, dir, "web.yml", withTLS+users(t, "b"), 0o600)
	for user, want := range map[string]int{"a": 401, "b": 200} {
		if got := status("GET", "/metrics", user); got != want {
			t.Errorf("after the change %q: %d, want %d", user, got, want)
		}
	}
	if res, err := http.Get("http://" + s.Addr().String() + "/metrics"); err == nil {
		body, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if res.StatusCode == 200 {
			t.Errorf("served without TLS: %s", body)
		}
	}
}

// A file that is spoilt while it is served is said once, not for every request,
// and lets nobody in.
func TestSpoiltWhileServed(t *testing.T) {
	dir := t.TempDir()
	pool := certificate(t, dir)
	var log lab.Buffer
	opt := options()
	opt.Log = slog.New(slog.NewTextHandler(&log, nil))
	opt.ConfigFile = write(t, dir, "web.yml", withTLS, 0o600)
	s := serve(t, opt)
	get := func() error {
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: pool}}}
		res, err := client.Get(s.URL("/metrics"))
		if err == nil {
			res.Body.Close()
		}
		return err
	}
	if err := get(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "key.pem")); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		if get() == nil {
			t.Error("served without a key")
		}
	}
	if text := log.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, "key.pem") || !strings.Contains(text, "level=WARN") {
		t.Errorf("log:\n%s", text)
	}
}

// Each fault is one line with the key it belongs to, and a way out.
func TestJudge(t *testing.T) {
	for name, c := range map[string]struct {
		text  string
		spoil func(dir string)
		creds Credentials
		code  int
		says  string // "" when it is accepted
		doubt string
	}{
		"empty":          {"", nil, Credentials{}, 0, "", ""},
		"tls":            {withTLS, nil, Credentials{}, 0, "", ""},
		"tls, PROM_USER": {withTLS, nil, Credentials{"u", "p"}, 0, "", ""},
		"users":          {users(t, "a"), nil, Credentials{}, 0, "", ""},
		"both users":     {users(t, "a"), nil, Credentials{"u", "p"}, exitcode.Config, "PROM_USER", ""},
		"gone":           {"", func(dir string) { os.Remove(dir + "/web.yml") }, Credentials{}, exitcode.NoInput, "there is no such file", ""},
		"directory":      {"", func(dir string) { os.Remove(dir + "/web.yml"); os.Mkdir(dir+"/web.yml", 0o700) }, Credentials{}, exitcode.NoInput, "not a regular file", ""},
		"everybody's":    {"", func(dir string) { os.Chmod(dir+"/web.yml", 0o666) }, Credentials{}, exitcode.Config, "may change", ""},
		"key gone":       {withTLS, func(dir string) { os.Remove(dir + "/key.pem") }, Credentials{}, exitcode.NoInput, "tls_server_config.key_file", ""},
		"key readable":   {withTLS, func(dir string) { os.Chmod(dir+"/key.pem", 0o644) }, Credentials{}, 0, "", "chmod o-r"},
		"key writable":   {withTLS, func(dir string) { os.Chmod(dir+"/key.pem", 0o602) }, Credentials{}, exitcode.Config, "chmod o-w", ""},
		"no key":         {"tls_server_config: {cert_file: cert.pem}", nil, Credentials{}, exitcode.Config, "key_file", ""},
		"other key":      {withTLS, func(dir string) { os.WriteFile(dir+"/key.pem", nil, 0o600) }, Credentials{}, exitcode.Config, "X509KeyPair", ""},
		"unknown key":    {"tls_config: {}", nil, Credentials{}, exitcode.Config, "tls_config", ""},
		"no yaml":        {"a: [", nil, Credentials{}, exitcode.Config, "yaml", ""},
		"plain password": {"basic_auth_users: {a: secret}", nil, Credentials{}, exitcode.Config, "hash", ""},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			certificate(t, dir)
			file := write(t, dir, "web.yml", c.text, 0o600)
			if c.spoil != nil {
				c.spoil(dir)
			}
			doubts, err := Judge(&config.Config{File: "netprobe.yaml", Web: config.Web{ConfigFile: file}}, c.creds)
			if exitcode.Of(err) != c.code {
				t.Errorf("exit code %d, want %d", exitcode.Of(err), c.code)
			}
			if c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says) || !strings.HasPrefix(err.Error(), "netprobe.yaml: web.config_file: ") || strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), "secret")) {
				t.Errorf("%v", err)
			}
			if c.doubt == "" && len(doubts) > 0 || c.doubt != "" && (len(doubts) != 1 || !strings.Contains(doubts[0].String(), c.doubt)) {
				t.Errorf("doubts %v", doubts)
			}
			t.Log(err, doubts)
		})
	}
	if doubts, err := Judge(&config.Config{}, Credentials{}); err != nil || doubts != nil {
		t.Errorf("without a file: %v %v", doubts, err)
	}
}
