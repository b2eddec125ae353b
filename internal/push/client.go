// SPDX-License-Identifier: Apache-2.0

package push

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/netprobe-xdp/netprobe-xdp/internal/config"
)

const (
	// maxAnswer is how much of an answer is read, in bytes.
	maxAnswer = 4 << 10
	// maxShown is how much of it is said, in characters.
	maxShown = 200
	// longestAsked bounds what a server may ask for in Retry-After.
	longestAsked = 5 * time.Minute
)

// failure is an attempt that failed, said on one line with what to do.
type failure struct {
	text  string
	kind  string        // failures of one kind are said once for a while
	final bool          // the server will never have this page
	after time.Duration // how long it asks to be left alone
}

// Error is part of error.
func (f *failure) Error() string { return f.text }

// client sends single pages. Any goroutine may use it.
type client struct{ http http.Client }

func newClient() *client {
	return &client{http.Client{
		Transport: http.DefaultTransport.(*http.Transport).Clone(),
		// A redirected POST loses its body, and may show a password to others.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// send delivers one page within the timeout. Its errors name neither secrets
// nor the query of the URL, which may hold one.
func (c *client) send(ctx context.Context, s config.Push, p page) error {
	ctx, cancel := context.WithTimeout(ctx, s.Timeout)
	defer cancel()
	u, err := url.Parse(s.URL)
	if err != nil {
		return &failure{text: "push.url is no URL", kind: "url"} // config has seen to it
	}
	shown := show(u)
	u.RawQuery = query(u.Query(), s, p).Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), bytes.NewReader(p.data))
	if err != nil {
		return &failure{text: "cannot make a request for " + shown, kind: "url"}
	}
	req.Header.Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	req.Header.Set("Content-Encoding", "gzip")
	req.Header.Set("User-Agent", "netprobe-xdp")
	if err := authorize(req, s); err != nil {
		return &failure{text: err.Error(), kind: "secret"}
	}
	for _, h := range s.Headers {
		text, _ := h.Read() // it is in no file
		name, value, _ := strings.Cut(text, ": ")
		req.Header.Set(name, value)
	}
	res, err := c.http.Do(req)
	if err != nil {
		if u, ok := errors.AsType[*url.Error](err); ok {
			err = u.Err // without the URL
		}
		if ctx.Err() != nil || errors.Is(err, os.ErrDeadlineExceeded) {
			return &failure{text: fmt.Sprintf("%s does not answer within %v; see what keeps it busy, or raise push.timeout", shown, s.Timeout), kind: "timeout"}
		}
		return &failure{text: fmt.Sprintf("cannot reach %s: %s; check that it runs, and push.url", shown, oneLine(err.Error())), kind: "connect"}
	}
	defer res.Body.Close()
	answer, _ := io.ReadAll(io.LimitReader(res.Body, maxAnswer)) // its status says enough
	return judge(shown, res, string(answer))
}

// query adds what tells this probe's series from another's, and when they were
// measured, to the query of the URL.
// VictoriaMetrics' documentation: "How to import data in Prometheus exposition
// format".
func query(q url.Values, s config.Push, p page) url.Values {
	own := map[string]bool{}
	for _, l := range append(q["extra_label"], s.ExtraLabels...) {
		name, _, _ := strings.Cut(l, "=")
		own[name] = true
	}
	for _, l := range s.ExtraLabels {
		q.Add("extra_label", l)
	}
	for _, l := range []string{"job=netprobe-xdp", "instance=" + p.instance} {
		if name, _, _ := strings.Cut(l, "="); !own[name] {
			q.Add("extra_label", l)
		}
	}
	q.Set("timestamp", strconv.FormatInt(p.at.UnixMilli(), 10))
	return q
}

// authorize adds the credentials. Those in files are read each time, as they
// may be replaced.
func authorize(req *http.Request, s config.Push) error {
	token, err := s.BearerToken.Read()
	if err != nil {
		return fmt.Errorf("push.bearer_token_file: %w", err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	if s.User == "" {
		return nil
	}
	password, err := s.Password.Read()
	if err != nil {
		return fmt.Errorf("push.password_file: %w", err)
	}
	req.SetBasicAuth(s.User, password)
	return nil
}

// judge makes an error of an answer that is none.
func judge(shown string, res *http.Response, answer string) error {
	code := res.StatusCode
	if code >= 200 && code < 300 {
		return nil
	}
	f := &failure{kind: res.Status, after: retryAfter(res.Header.Get("Retry-After"))}
	said := ""
	if text := oneLine(answer); text != "" {
		said = " (" + text + ")"
	}
	switch {
	case code >= 300 && code < 400:
		to := "nowhere"
		if l, err := res.Location(); err == nil {
			to = show(l)
		}
		f.text = fmt.Sprintf("%s answers %s and leads to %s; pages are not sent on: set push.url to where they are to go", shown, res.Status, to)
	case code == http.StatusUnauthorized, code == http.StatusForbidden:
		f.text = fmt.Sprintf("%s answers %s%s; check push.user and push.password, or push.bearer_token", shown, res.Status, said)
	case code == http.StatusBadRequest, code == http.StatusRequestEntityTooLarge, code == http.StatusUnsupportedMediaType, code == http.StatusUnprocessableEntity:
		f.final = true
		f.text = fmt.Sprintf("%s refuses a page with %s%s; the page is dropped: check that push.url takes Prometheus' text format", shown, res.Status, said)
	case code == http.StatusTooManyRequests:
		f.text = fmt.Sprintf("%s answers %s%s; raise push.interval", shown, res.Status, said)
	case code < 500:
		f.text = fmt.Sprintf("%s answers %s%s; check push.url", shown, res.Status, said)
	default:
		f.text = fmt.Sprintf("%s answers %s%s; see its log", shown, res.Status, said)
	}
	return f
}

// retryAfter reads a number of seconds; a date is not honoured.
func retryAfter(s string) time.Duration {
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 {
		return 0
	}
	return min(time.Duration(min(n, 1<<20))*time.Second, longestAsked)
}

// show is a URL without its query, which may hold a secret.
func show(u *url.URL) string { return oneLine(u.Scheme + "://" + u.Host + u.EscapedPath()) }

// oneLine makes text of others fit for a line of the log.
func oneLine(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return ' '
		}
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, s)
	s = strings.Join(strings.Fields(s), " ")
	if r := []rune(s); len(r) > maxShown {
		s = string(r[:maxShown]) + "…"
	}
	return s
}
