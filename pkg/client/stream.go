// SPDX-License-Identifier: Apache-2.0

package client

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"net/http"
	"net/url"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/pkg/api"
)

// silent is how long a stream of events may say nothing, not even the comment
// that a daemon sends every 15 s, before the connection counts as cut.
const silent = 45 * time.Second

// Events follows what happens to the daemon, with rounds every whole round of
// every target too. It ends with an error only: ErrCut when the daemon ends, after
// which it may be called again. Leaving the loop closes the connection.
func (c *Client) Events(ctx context.Context, rounds bool) iter.Seq2[api.Event, error] {
	r := request{method: http.MethodGet, path: "/events"}
	if rounds {
		r.query = url.Values{"rounds": {"true"}}
	}
	return stream(ctx, c, r, "text/event-stream", silent, (*lines).event, func(*api.Event) (bool, error) { return false, nil })
}

// Probe sends probes now, once, and yields what becomes of them. An event of kind
// api.ProbeDone is the last one; when the probes could not all be sent, an error
// is. Leaving the loop ends the probing.
func (c *Client) Probe(ctx context.Context, p api.ProbeRequest) iter.Seq2[api.ProbeEvent, error] {
	return stream(ctx, c, request{method: http.MethodPost, path: "/probe", body: p}, "application/jsonl", 0, (*lines).value, c.over)
}

// Debug yields what becomes of every probe of a target's next round, and why, and
// ends with that round.
func (c *Client) Debug(ctx context.Context, name string) iter.Seq2[api.ProbeEvent, error] {
	return stream(ctx, c, request{method: http.MethodGet, path: named(name, "debug")}, "application/jsonl", 0, (*lines).value, c.over)
}

// over says whether an event is the last one.
func (c *Client) over(e *api.ProbeEvent) (bool, error) {
	switch {
	case e.Kind == api.ProbeFailed && e.Problem != nil:
		return true, c.failed(nil, e.Problem, "%v", e.Problem)
	case e.Kind == api.ProbeFailed:
		return true, c.failed(ErrMalformed, nil, "%s: probing failed, and the daemon does not say why; its log does", c.where)
	}
	return e.Kind == api.ProbeDone, nil
}

// stream sends a request, again where that is right, and yields the values of the
// answer as they come. next reads the JSON of one, over says which is the last;
// with its error, that is yielded too. After idle without a byte (0: ever) the
// connection counts as cut.
func stream[T any](ctx context.Context, c *Client, r request, accept string, idle time.Duration, next func(*lines) ([]byte, error), over func(*T) (bool, error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		ctx, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		body, err := c.open(ctx, cancel, r, accept)
		if err != nil {
			yield(none, err)
			return
		}
		defer body.Close()
		if idle > 0 {
			timer := time.AfterFunc(idle, func() { cancel(io.ErrUnexpectedEOF) })
			timer.Stop()
			body = awaited{body, timer, idle}
		}
		l := newLines(body, c.o.MaxBytes)
		for {
			text, err := next(l)
			if err != nil {
				yield(none, c.ended(ctx, err))
				return
			}
			var v T
			if err := json.Unmarshal(text, &v); err != nil {
				yield(none, c.malformed(err))
				return
			}
			last, err := over(&v)
			if !yield(v, nil) {
				return
			}
			if err != nil {
				yield(none, err)
			}
			if last {
				return
			}
		}
	}
}

// open begins a stream. Options.Timeout holds until its first byte; then it may
// last for as long as ctx does.
func (c *Client) open(ctx context.Context, cancel context.CancelCauseFunc, r request, accept string) (body io.ReadCloser, err error) {
	err = c.retry(ctx, r, func() error {
		timer := time.AfterFunc(c.o.Timeout, func() { cancel(context.DeadlineExceeded) })
		defer timer.Stop()
		answer, err := c.send(ctx, r, accept)
		if err == nil {
			body = answer.Body
		}
		return err
	})
	return body, err
}

// ended says why a stream gives nothing more.
func (c *Client) ended(ctx context.Context, err error) error {
	switch {
	case errors.Is(err, bufio.ErrTooLong):
		return c.failed(ErrTooLarge, err, "%s: an event has more than %d bytes; is something between this program and the daemon?", c.where, c.o.MaxBytes)
	case context.Cause(ctx) == io.ErrUnexpectedEOF:
		return c.failed(ErrCut, err, "%s: nothing was heard for %v, the connection counts as cut; try again", c.where, silent)
	}
	return c.interrupted(err)
}

// awaited runs a timer while a read waits.
type awaited struct {
	io.ReadCloser
	timer *time.Timer
	idle  time.Duration
}

func (a awaited) Read(p []byte) (int, error) {
	a.timer.Reset(a.idle)
	defer a.timer.Stop()
	return a.ReadCloser.Read(p)
}

// lines reads a body line by line.
type lines struct {
	*bufio.Scanner
	most int // bytes of a line, and of an event
}

// newLines returns the lines of body, none of which may have more bytes than
// most. They end with LF or CRLF.
func newLines(body io.Reader, most int64) *lines {
	s := bufio.NewScanner(body)
	s.Buffer(nil, int(most))
	s.Split(whole)
	return &lines{s, int(most)}
}

// whole is bufio.ScanLines without a last line that is not complete: it is the
// beginning of one.
func whole(data []byte, end bool) (advance int, token []byte, err error) {
	if end && bytes.IndexByte(data, '\n') < 0 {
		return len(data), nil, nil
	}
	return bufio.ScanLines(data, end)
}

// line returns the next one, until the next call; io.EOF after the last.
func (l *lines) line() ([]byte, error) {
	if l.Scan() {
		return l.Bytes(), nil
	}
	if err := l.Err(); err != nil {
		return nil, err
	}
	return nil, io.EOF
}

// value returns the next line of JSON lines that is not empty.
func (l *lines) value() ([]byte, error) {
	for {
		text, err := l.line()
		if err != nil || len(bytes.TrimSpace(text)) > 0 {
			return text, err
		}
	}
}

// event returns the data of the next server-sent event
// (https://html.spec.whatwg.org/multipage/server-sent-events.html, section 9.2.6;
// a line that ends with CR alone is not known here). An event without data is
// none.
func (l *lines) event() ([]byte, error) {
	var data []byte
	some := false
	for {
		line, err := l.line()
		if err != nil {
			return nil, err // an event that is not complete is none
		}
		if len(line) == 0 {
			if some {
				return data, nil
			}
			continue
		}
		field, value, _ := bytes.Cut(line, []byte(":"))
		if string(field) != "data" {
			continue // a comment, or a field that says nothing new: the type is in the data too
		}
		if some {
			data = append(data, '\n')
		}
		some = true
		if data = append(data, bytes.TrimPrefix(value, []byte(" "))...); len(data) > l.most {
			return nil, bufio.ErrTooLong
		}
	}
}
