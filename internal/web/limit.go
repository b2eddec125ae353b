// SPDX-License-Identifier: Apache-2.0

package web

import (
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

const (
	// maxConnections keeps clients from using up the files that the prober
	// needs.
	maxConnections = 256
	// maxScrapes is how many pages are made at once: each holds the figures of
	// all targets while it is written.
	maxScrapes = 4
	// turnTimeout is how long a scrape waits for its turn.
	turnTimeout = 10 * time.Second
	// patience and slowest say how far behind a client may be: what it is sent
	// must have been taken after patience and as long as slowest allows for.
	patience = 10 * time.Second
	slowest  = 128 << 10 // bytes per second
)

// turnstile lets few requests at a time through to next. The others wait in
// line, and get 503 when that takes too long.
type turnstile struct {
	next    http.Handler
	turns   chan struct{}
	timeout time.Duration
}

func newTurnstile(next http.Handler) *turnstile {
	return &turnstile{next: next, turns: make(chan struct{}, maxScrapes), timeout: turnTimeout}
}

func (t *turnstile) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	timeout := time.NewTimer(t.timeout)
	defer timeout.Stop()
	select {
	case t.turns <- struct{}{}:
		defer func() { <-t.turns }()
		t.next.ServeHTTP(w, r)
	case <-timeout.C:
		w.Header().Set("Retry-After", "10")
		plain(w, http.StatusServiceUnavailable, "too many scrapes at once; scrape less often, or with fewer scrapers\n")
	case <-r.Context().Done():
	}
}

// paced ends an answer that its client takes too slowly.
func paced(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(&pacedWriter{w, http.NewResponseController(w), time.Now().Add(patience), time.Now().Add(writeTimeout)}, r)
	})
}

// pacedWriter puts the deadline off with what was written.
type pacedWriter struct {
	http.ResponseWriter
	control        *http.ResponseController
	deadline, last time.Time
}

// Unwrap is for http.ResponseController.
func (p *pacedWriter) Unwrap() http.ResponseWriter { return p.ResponseWriter }

func (p *pacedWriter) Write(b []byte) (int, error) {
	p.deadline = p.deadline.Add(time.Duration(len(b)) * time.Second / slowest)
	if p.deadline.After(p.last) {
		p.deadline = p.last
	}
	// A connection without deadlines, as in a test, is not limited.
	_ = p.control.SetWriteDeadline(p.deadline)
	return p.ResponseWriter.Write(b)
}

// limitedListener hangs up on those for whom there is no room.
type limitedListener struct {
	net.Listener
	open atomic.Int32
}

// Accept is part of net.Listener.
func (l *limitedListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if l.open.Add(1) <= maxConnections {
			// Of a TCP connection the server uses more than net.Conn has.
			return &limitedConn{TCPConn: c.(*net.TCPConn), of: l}, nil
		}
		l.open.Add(-1)
		c.Close()
	}
}

// limitedConn is counted until it is closed.
type limitedConn struct {
	*net.TCPConn
	of     *limitedListener
	closed atomic.Bool
}

// Close is part of net.Conn.
func (c *limitedConn) Close() error {
	if c.closed.CompareAndSwap(false, true) {
		c.of.open.Add(-1)
	}
	return c.TCPConn.Close()
}
