// SPDX-License-Identifier: Apache-2.0

package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/pkg/api"
)

const (
	firstWait  = 50 * time.Millisecond
	longestGap = 2 * time.Second // between two attempts, unless Retry-After says more
	// restartFor is how long a socket or port where nobody listens may be that of
	// a daemon that is just being restarted.
	restartFor = time.Second
	maxProblem = 1 << 20 // bytes of an answer of 400 and above
)

// request is one call.
type request struct {
	method, path string // below api.Prefix, escaped
	query        url.Values
	body         any  // sent as JSON
	state        bool // 503 is an answer as good as 200
	unbounded    bool // Options.Timeout does not apply
}

// named is the path of something about a target. "." and ".." would be taken for
// folders.
func named(name string, rest ...string) string {
	escaped := url.PathEscape(name)
	if strings.Trim(escaped, ".") == "" {
		escaped = strings.ReplaceAll(escaped, ".", "%2E")
	}
	return strings.Join(append([]string{"/targets", escaped}, rest...), "/")
}

// call sends a request, again where that is right, and decodes the answer into
// out unless that is nil.
func (c *Client) call(ctx context.Context, r request, out any) error {
	return c.retry(ctx, r, func() error {
		if r.unbounded {
			return c.once(ctx, r, out)
		}
		ctx, cancel := context.WithTimeout(ctx, c.o.Timeout)
		defer cancel()
		return c.once(ctx, r, out)
	})
}

// retry calls once until it succeeds, or fails in a way that another attempt
// would not change, or the time for that is over.
func (c *Client) retry(ctx context.Context, r request, once func() error) error {
	begun, gap := time.Now(), firstWait
	for {
		err := once()
		if err == nil || r.method != http.MethodGet && !untouched(err) || ctx.Err() != nil {
			return err
		}
		again, until, after := transient(err)
		if !again {
			return err
		}
		wait := max(after, gap/2+rand.N(gap/2+1)) // so that not all clients come at once
		if until == 0 || until > c.o.RetryFor {
			until = c.o.RetryFor
		}
		end := begun.Add(until)
		if deadline, ok := ctx.Deadline(); ok && deadline.Before(end) {
			end = deadline
		}
		if time.Now().Add(wait).After(end) {
			return err
		}
		select {
		case <-ctx.Done():
			return c.failed(nil, errors.Join(ctx.Err(), err), "%v", err)
		case <-time.After(wait):
		}
		gap = min(2*gap, longestGap)
	}
}

// untouched says whether the daemon refused for the number of requests alone (429): it
// did nothing of what was asked for, so that a change may be asked for again as well.
func untouched(err error) bool {
	p, ok := errors.AsType[*api.Problem](err)
	return ok && p.Status == http.StatusTooManyRequests
}

// transient says whether another attempt may succeed, for how long that is to be
// believed, 0 without a bound of its own, and how long the daemon asks to wait.
func transient(err error) (again bool, until, after time.Duration) {
	e, ok := errors.AsType[*Error](err)
	switch {
	case !ok:
		return false, 0, 0
	case e.Kind == ErrNotRunning:
		return true, restartFor, 0
	}
	return e.busy || e.Kind == ErrCut, 0, e.after
}

// once sends a request and decodes the answer.
func (c *Client) once(ctx context.Context, r request, out any) error {
	answer, err := c.send(ctx, r, "application/json")
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	body, err := c.read(answer.Body, c.o.MaxBytes)
	if err != nil || out == nil {
		return err
	}
	if text, ok := out.(*[]byte); ok {
		*text = body
		return nil
	}
	if err := json.Unmarshal(body, out); err != nil {
		return c.malformed(err)
	}
	return nil
}

func (c *Client) malformed(err error) error {
	return c.failed(ErrMalformed, err, "%s: the answer cannot be read: %v; is something between this program and the daemon?", c.where, err)
}

// send returns a successful answer, whose body the caller closes.
func (c *Client) send(ctx context.Context, r request, accept string) (*http.Response, error) {
	var body io.Reader
	if r.body != nil {
		text, err := json.Marshal(r.body)
		if err != nil {
			return nil, fmt.Errorf("encode the request: %w", err)
		}
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, r.method, c.base.String()+api.Prefix+r.path, body)
	if err != nil {
		return nil, fmt.Errorf("make the request: %w", err)
	}
	req.URL.RawQuery = r.query.Encode()
	req.Header.Set("Accept", accept+", "+api.ProblemType)
	req.Header.Set("User-Agent", "netprobe-xdp-client/"+api.Version)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.o.Token != "" && c.o.Server != "" {
		req.Header.Set("Authorization", "Bearer "+c.o.Token)
	}
	answer, err := c.http.Do(req)
	if err != nil {
		return nil, c.unreached(err)
	}
	if err := c.judge(answer, r); err != nil {
		answer.Body.Close()
		return nil, c.older(ctx, err)
	}
	return answer, nil
}

// judge says whether an answer is the daemon's and a successful one.
func (c *Client) judge(answer *http.Response, r request) error {
	if err := c.spoken(answer); err != nil {
		return err
	}
	switch s := answer.StatusCode; {
	case s < 300, r.state && s == http.StatusServiceUnavailable:
		return nil
	case s < 400:
		return c.failed(ErrForeign, nil, "%s: the answer leads elsewhere (%s); name the daemon itself", c.where, answer.Status)
	}
	p := &api.Problem{}
	body, err := c.read(answer.Body, maxProblem)
	if err != nil || json.Unmarshal(body, p) != nil || p.Detail == "" {
		*p = api.Problem{Title: http.StatusText(answer.StatusCode), Detail: "the daemon answers " + answer.Status}
	}
	p.Status = answer.StatusCode
	refusal := c.refused(answer, p)
	if p.Status == http.StatusTooManyRequests || p.Status == http.StatusServiceUnavailable {
		refusal.busy, refusal.after = true, waitOf(answer.Header.Get("Retry-After"))
	}
	return refusal
}

// waitOf reads Retry-After (RFC 9110, section 10.2.3): seconds, or a time.
func waitOf(text string) time.Duration {
	if s, err := strconv.ParseUint(text, 10, 31); err == nil {
		return time.Duration(s) * time.Second
	}
	if t, err := http.ParseTime(text); err == nil {
		return max(0, time.Until(t))
	}
	return 0
}

// read returns a whole body of at most so many bytes.
func (c *Client) read(body io.Reader, most int64) ([]byte, error) {
	all, err := io.ReadAll(io.LimitReader(body, most+1))
	switch {
	case err != nil:
		return nil, c.interrupted(err)
	case int64(len(all)) > most:
		return nil, c.failed(ErrTooLarge, nil, "%s: the answer has more than %d bytes; ask for less, with a filter or a limit", c.where, most)
	}
	return all, nil
}

// interrupted says why reading an answer ended before its end.
func (c *Client) interrupted(err error) error {
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return c.failed(nil, err, "%s: the answer did not end in time; try again", c.where)
	case cut(err):
		return c.failed(ErrCut, err, "%s: the connection was cut: the daemon ended or restarts; try again", c.where)
	}
	return c.failed(nil, err, "%s: the answer cannot be read: %v", c.where, err)
}

// cut says whether an error is that of a connection that broke.
func cut(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}
