// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/secret"
)

// HTTP is a list at an address, asked for at an interval.
type HTTP struct {
	URL      string // http or https, without user information
	Interval time.Duration
	Timeout  time.Duration // for one answer, from connecting to its last byte
	MaxBytes int64         // of the list, unpacked

	Username string
	Password secret.Text // with Username: basic authentication
	Token    secret.Text // bearer token

	CAFile            string // instead of the system's authorities
	CertFile, KeyFile string // of a client certificate

	UserAgent string
}

// maxRedirects is how many redirects are followed; a discovery needs one.
const maxRedirects = 5

// Run asks for the list until ctx ends. The server is told which list was taken
// last (ETag, Last-Modified), and then need not send it again (RFC 9110
// section 13).
func (h HTTP) Run(ctx context.Context, take func(Delivery) error) {
	var taken validators
	var last []byte
	poll(ctx, h.Interval, func(ctx context.Context) Delivery {
		d, fresh := h.get(ctx, taken)
		if d.Err == nil && !d.Same {
			if last != nil && bytes.Equal(last, d.Data) {
				taken = fresh
				return Delivery{Same: true}
			}
			taken, last = fresh, d.Data
		}
		return d
	}, func(d Delivery) error {
		err := take(d)
		if err != nil && d.Err == nil { // ask for the whole of it again
			taken, last = validators{}, nil
		}
		return err
	})
}

// validators are what an answer said of its version.
type validators struct{ etag, modified string }

// get asks once.
func (h HTTP) get(ctx context.Context, taken validators) (Delivery, validators) {
	ctx, cancel := context.WithTimeout(ctx, h.Timeout)
	defer cancel()
	data, same, fresh, err := h.ask(ctx, taken)
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("no whole answer within %v; is the server slow, or timeout too short", h.Timeout)
	}
	if err != nil {
		return Delivery{Err: fmt.Errorf("get %s: %w", h.shown(), err)}, fresh
	}
	return Delivery{Data: data, Same: same}, fresh
}

func (h HTTP) ask(ctx context.Context, taken validators) (data []byte, same bool, fresh validators, err error) {
	client, err := h.client()
	if err != nil {
		return nil, false, fresh, err
	}
	defer client.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, h.URL, nil)
	if err != nil {
		return nil, false, fresh, errors.New("the URL is none")
	}
	if err := h.introduce(req); err != nil {
		return nil, false, fresh, err
	}
	if taken.etag != "" {
		req.Header.Set("If-None-Match", taken.etag)
	}
	if taken.modified != "" {
		req.Header.Set("If-Modified-Since", taken.modified)
	}
	resp, err := client.Do(req)
	if err != nil {
		var around *url.Error // it repeats the whole URL, which may hold a key
		if errors.As(err, &around) {
			err = around.Err
		}
		return nil, false, fresh, err
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode == http.StatusNotModified && taken != validators{}:
		return nil, true, taken, nil
	case resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden:
		return nil, false, fresh, fmt.Errorf("the server answers %q; check user and password, or the bearer token", resp.Status)
	case resp.StatusCode >= 400 && resp.StatusCode < 500:
		return nil, false, fresh, fmt.Errorf("the server answers %q; check the address", resp.Status)
	case resp.StatusCode >= 500:
		return nil, false, fresh, fmt.Errorf("the server answers %q; see its log", resp.Status)
	case resp.StatusCode != http.StatusOK:
		return nil, false, fresh, fmt.Errorf("the server answers %q", resp.Status)
	}
	data, err = readBounded(resp.Body, h.MaxBytes)
	return data, false, validators{resp.Header.Get("ETag"), resp.Header.Get("Last-Modified")}, err
}

// introduce says who asks.
func (h HTTP) introduce(req *http.Request) error {
	req.Header.Set("Accept", "application/json, application/yaml, */*;q=0.5")
	req.Header.Set("User-Agent", h.UserAgent)
	// As Prometheus does, for servers that schedule by it.
	req.Header.Set("X-Prometheus-Refresh-Interval-Seconds", fmt.Sprint(h.Interval.Seconds()))
	if h.Token.Set() {
		token, err := h.Token.Read()
		if err != nil {
			return err
		}
		req.Header.Set("Authorization", "Bearer "+token)
	} else if h.Username != "" {
		password, err := h.Password.Read()
		if err != nil {
			return err
		}
		req.SetBasicAuth(h.Username, password)
	}
	return nil
}

// client is made anew for each question: files of certificates may have been
// replaced, and an interval is long.
func (h HTTP) client() (*http.Client, error) {
	t := &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		ForceAttemptHTTP2:      true,
		MaxResponseHeaderBytes: 64 << 10,
	}
	if h.CAFile != "" {
		pem, err := os.ReadFile(h.CAFile)
		if err != nil {
			return nil, fmt.Errorf("read ca_file: %w", err)
		}
		t.TLSClientConfig.RootCAs = x509.NewCertPool()
		if !t.TLSClientConfig.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("ca_file %s holds no certificate in PEM; write the authority's there", h.CAFile)
		}
	}
	if h.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(h.CertFile, h.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("read cert_file and key_file: %w", err)
		}
		t.TLSClientConfig.Certificates = []tls.Certificate{pair}
	}
	return &http.Client{Transport: t, CheckRedirect: h.redirect}, nil
}

// redirect keeps credentials with the server they are for.
func (h HTTP) redirect(req *http.Request, via []*http.Request) error {
	first := via[0].URL
	switch {
	case len(via) > maxRedirects:
		return fmt.Errorf("redirected more than %d times; name the address it ends at", maxRedirects)
	case first.Scheme == "https" && req.URL.Scheme != "https":
		return errors.New("redirected from https to " + req.URL.Scheme + "; name an address that is not")
	case (h.Token.Set() || h.Username != "" || h.CertFile != "") && req.URL.Host != first.Host:
		return fmt.Errorf("redirected to %q, which is not given the credentials; name that address if it is to have them", req.URL.Host)
	}
	return nil
}

// shown is the address without what may be secret in it.
func (h HTTP) shown() string {
	u, err := url.Parse(h.URL)
	if err != nil {
		return "the URL"
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}

// readBounded reads all of r, which may hold so many bytes.
func readBounded(r io.Reader, most int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, most+1))
	if err == nil && int64(len(data)) > most {
		return nil, fmt.Errorf("the list holds more than %d bytes; shorten it, or raise max_bytes", most)
	}
	return data, err
}

// oneLine makes what a program or a server said fit for a log line.
func oneLine(s string) string {
	return strings.Join(strings.Fields(strings.ToValidUTF8(s, "?")), " ")
}
