// SPDX-License-Identifier: Apache-2.0

package endtoend

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"
	"golang.org/x/sys/unix"

	"github.com/netprobe-xdp/netprobe-xdp/internal/exitcode"
	"github.com/netprobe-xdp/netprobe-xdp/internal/lab"
)

// tlsFiles are a web configuration with TLS and the user prom, whose password
// is secret, with its certificate and key.
func tlsFiles(t *testing.T) map[string]string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "127.0.0.1"}, NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	hash, err := bcrypt.GenerateFromPassword([]byte("secret"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]string{
		"cert.pem":      string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})),
		"key.pem":       string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})),
		"web.yml":       "tls_server_config: {cert_file: cert.pem, key_file: key.pem}\nbasic_auth_users: {prom: '" + string(hash) + "'}\n",
		"settings.yaml": "web: {config_file: web.yml}\n",
		"netprobe.yaml": pings(usual),
	}
}

// curl runs Debian's curl inside a host and returns the status and the body.
func curl(t *testing.T, host *lab.Host, args ...string) (status, body string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	out, err := host.Exec(ctx, lab.Tool(t, "curl", "curl"), append([]string{"-sS", "-w", "\n%{http_code}"}, args...)...)
	if err != nil {
		return "", err.Error()
	}
	at := strings.LastIndexByte(out, '\n')
	return out[at+1:], out[:at]
}

// TestWebConfigFile: TLS and users by the web configuration file, ready after
// the first round, and a reload that adds a target, finds a fault, and is
// refused to strangers.
func TestWebConfigFile(t *testing.T) {
	t.Parallel()
	a, _ := pair(t)
	dir := folder(t, tlsFiles(t))
	if err := os.Chmod(filepath.Join(dir, "key.pem"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := place{host: a.Host}.start(t, "run", "--iface", a.Name, "--config", filepath.Join(dir, "netprobe.yaml"), "--settings", filepath.Join(dir, "settings.yaml"))
	p.waitFor("metrics=https://127.0.0.1:8000/metrics")
	const url = "https://127.0.0.1:8000"
	with := func(args ...string) []string {
		return append([]string{"--cacert", filepath.Join(dir, "cert.pem")}, args...)
	}
	known := func(args ...string) []string { return with(append([]string{"-uprom:secret"}, args...)...) }

	if status, body := curl(t, a.Host, known(url+"/-/healthy")...); status != "200" {
		t.Errorf("healthy: %s %s", status, body)
	}
	eventually(t, "the program is ready", func() bool {
		status, _ := curl(t, a.Host, known(url+"/-/ready")...)
		return status == "200"
	})
	status, text := curl(t, a.Host, known("--compressed", url+"/metrics")...)
	if page := parse(t, text); status != "200" || len(page.all("icmp_sent_total")) != 2 {
		t.Errorf("ready, and the page (%s) lacks a target:\n%s", status, text)
	}
	for what, args := range map[string][]string{
		"without a password": with(url + "/metrics"),
		"a wrong password":   with("-uprom:wrong", url+"/metrics"),
		"reload, no user":    with("-XPOST", url+"/-/reload"),
	} {
		if status, _ := curl(t, a.Host, args...); status != "401" {
			t.Errorf("%s: %s", what, status)
		}
	}

	config := filepath.Join(dir, "netprobe.yaml")
	if err := os.WriteFile(config, []byte(pings(usual)+"  more: {type: ICMPping, destination: 192.0.2.2}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if status, body := curl(t, a.Host, known("-XPOST", "-HSec-Fetch-Site: cross-site", url+"/-/reload")...); status != "403" {
		t.Errorf("reload by another site's page: %s %s", status, body)
	}
	if status, body := curl(t, a.Host, known("-XPOST", url+"/-/reload")...); status != "200" || body != "reloaded: 1 added, 0 changed, 0 removed, 2 unchanged\nadded: more\n" {
		t.Errorf("reload: %s %s", status, body)
	}
	if err := os.WriteFile(config, []byte(pings(usual)+"  more: {type: ping}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if status, body := curl(t, a.Host, known("-XPOST", url+"/-/reload")...); status != "422" || !strings.Contains(body, "targets.more.type: read ping; allowed: ") {
		t.Errorf("reload of a faulty configuration: %s %s", status, body)
	}
	if code := p.signal(syscall.SIGTERM); code != exitcode.OK {
		t.Errorf("exit code %d", code)
	}
	if log := p.stderr.String(); strings.Contains(log, "secret") {
		t.Errorf("a password is in the log")
	}
}

// TestWebConfigFileUnreadable: a key that the program's user may not read is
// one line, in the words of check, and a port that is free again.
func TestWebConfigFileUnreadable(t *testing.T) {
	t.Parallel()
	a, _ := pair(t)
	dir := folder(t, tlsFiles(t))
	key := filepath.Join(dir, "key.pem")
	if err := os.Chmod(key, 0o600); err != nil { // root's
		t.Fatal(err)
	}
	for _, command := range [][]string{{"run", "--iface", a.Name, "--config", filepath.Join(dir, "netprobe.yaml")}, {"check", filepath.Join(dir, "netprobe.yaml")}} {
		got := place{host: a.Host, caps: []uintptr{unix.CAP_NET_ADMIN, unix.CAP_NET_RAW, unix.CAP_BPF, unix.CAP_PERFMON, unix.CAP_IPC_LOCK}}.
			run(t, append(command, "--settings", filepath.Join(dir, "settings.yaml"))...)
		lines := got.errorLines(t, filepath.Join(dir, "settings.yaml"))
		if got.code != exitcode.NoInput || len(lines) != 1 || !strings.Contains(lines[0], "settings.yaml:1: web.config_file: ") || !strings.Contains(lines[0], "key.pem: permission denied; make it readable") {
			t.Errorf("%s: exit code %d, %q", command[0], got.code, lines)
		}
	}
}

// TestNotReady: before the first round is complete the program is healthy and
// not ready, and says what is missing.
func TestNotReady(t *testing.T) {
	t.Parallel()
	a, _ := pair(t)
	// A round of a day: it is over long after this test.
	config := strings.Replace(pings(usual), "interval: 1,", "interval: 86400,", 1)
	p := place{host: a.Host}.start(t, "run", "--iface", a.Name, "--config", file(t, "netprobe.yaml", config))
	p.waitFor("msg=probing")
	if status, body := curl(t, a.Host, "http://127.0.0.1:8000/-/ready"); status != "503" || body != "not ready: the first round of 2 of 2 series is not complete\n" {
		t.Errorf("ready: %s %q", status, body)
	}
	if status, body := curl(t, a.Host, "http://127.0.0.1:8000/-/healthy"); status != "200" || body != "healthy\n" {
		t.Errorf("healthy: %s %q", status, body)
	}
	if status, body := curl(t, a.Host, "-XPOST", "http://127.0.0.1:8000/-/reload"); status != "200" || !strings.HasPrefix(body, "reloaded: 0 added, 0 changed, 0 removed, 2 unchanged") {
		t.Errorf("reload from this machine: %s %q", status, body)
	}
	if status, body := curl(t, a.Host, "-XPOST", "-HHost: attacker.example", "http://127.0.0.1:8000/-/reload"); status != "403" {
		t.Errorf("reload by another name: %s %q", status, body)
	}
}
