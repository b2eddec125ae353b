// SPDX-License-Identifier: Apache-2.0

// Package guard bounds what clients of an HTTP server can cost the prober and one
// another: connections, work at the same time, answers that are taken slowly, lines
// of log that strangers cause. It also says which clients are on this machine.
package guard

import (
	"container/list"
	"net"
	"net/http"
	"sync"
	"time"
)

// The limits of a connection. A page for 100,000 targets is some 80 MB
// uncompressed, and scrapers give up after their own scrape timeout, so writing
// may take long; sending a request may not.
const (
	ReadTimeout    = 10 * time.Second
	WriteTimeout   = 2 * time.Minute
	IdleTimeout    = 5 * time.Minute // longer than the usual scrape intervals, so that connections are kept
	MaxHeaderBytes = 16 << 10
)

// MaxConnections keeps the clients of one listener from using up the files that
// the prober needs.
const MaxConnections = 256

const (
	// patience and slowest say how far behind a client may be: what it is sent
	// must have been taken after patience and as long as slowest allows for.
	patience = 10 * time.Second
	slowest  = 128 << 10 // bytes per second
)

// Paced ends an answer that its client takes too slowly.
func Paced(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(&pacedWriter{w, http.NewResponseController(w), time.Now().Add(patience), time.Now().Add(WriteTimeout)}, r)
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

// Write is part of http.ResponseWriter.
func (p *pacedWriter) Write(b []byte) (int, error) {
	p.deadline = p.deadline.Add(time.Duration(len(b)) * time.Second / slowest)
	if p.deadline.After(p.last) {
		p.deadline = p.last
	}
	// A connection without deadlines, as in a test, is not limited.
	_ = p.control.SetWriteDeadline(p.deadline)
	return p.ResponseWriter.Write(b)
}

// Limit keeps those that are connected to l, which srv serves, to MaxConnections.
// Whoever comes beyond that takes the place of the one that has been without a
// request for the longest, so that nobody can hold all places by asking for nothing;
// while all are being answered, it is hung up on.
func Limit(l net.Listener, srv *http.Server) net.Listener {
	limited := &limitedListener{Listener: l}
	srv.ConnState = limited.state
	return limited
}

type limitedListener struct {
	net.Listener

	mu      sync.Mutex
	open    int
	waiting list.List // of *limitedConn: those without a request, the longest first
}

// Accept is part of net.Listener.
func (l *limitedListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		taken, left := l.admit(c)
		if left != nil {
			left.Close()
		}
		if taken != nil {
			return taken, nil
		}
	}
}

// admit returns the connection if there is room for it, and the one that has to go,
// which may be the same.
func (l *limitedListener) admit(c net.Conn) (taken, left net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open == MaxConnections {
		first := l.waiting.Front()
		if first == nil {
			return nil, c
		}
		evicted := first.Value.(*limitedConn)
		l.forget(evicted)
		left = evicted.Conn
	}
	l.open++
	conn := &limitedConn{Conn: c, of: l}
	conn.place = l.waiting.PushBack(conn)
	return conn, left
}

// forget no longer counts a connection. The caller holds mu.
func (l *limitedListener) forget(c *limitedConn) {
	if c.gone {
		return
	}
	c.gone = true
	l.open--
	if c.place != nil {
		l.waiting.Remove(c.place)
	}
}

// state is told by the server whether a connection has a request.
func (l *limitedListener) state(c net.Conn, s http.ConnState) {
	if encrypted, ok := c.(interface{ NetConn() net.Conn }); ok {
		c = encrypted.NetConn()
	}
	conn, ok := c.(*limitedConn)
	if !ok {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case conn.gone:
	case s == http.StateActive && conn.place != nil:
		l.waiting.Remove(conn.place)
		conn.place = nil
	case s == http.StateIdle && conn.place == nil:
		conn.place = l.waiting.PushBack(conn)
	}
}

// limitedConn is counted until it is closed.
type limitedConn struct {
	net.Conn
	of *limitedListener

	// Under of.mu.
	place *list.Element // in waiting; nil: it has a request
	gone  bool
}

// CloseWrite is what the HTTP server uses beyond net.Conn, of TCP and of UNIX
// sockets alike, so that a client reads the last answer.
func (c *limitedConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// Close is part of net.Conn.
func (c *limitedConn) Close() error {
	c.of.mu.Lock()
	c.of.forget(c)
	c.of.mu.Unlock()
	return c.Conn.Close()
}
