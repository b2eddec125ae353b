// SPDX-License-Identifier: Apache-2.0

// Package guard bounds what clients of an HTTP server can cost the prober and one
// another: connections, work at the same time, answers that are taken slowly, lines
// of log that strangers cause. It also says which clients are on this machine.
package guard

import (
	"net"
	"net/http"
	"sync/atomic"
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

// Limit hangs up on those that connect to l beyond MaxConnections.
func Limit(l net.Listener) net.Listener { return &limitedListener{Listener: l} }

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
		if l.open.Add(1) <= MaxConnections {
			return &limitedConn{Conn: c, of: l}, nil
		}
		l.open.Add(-1)
		c.Close()
	}
}

// limitedConn is counted until it is closed.
type limitedConn struct {
	net.Conn
	of     *limitedListener
	closed atomic.Bool
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
	if c.closed.CompareAndSwap(false, true) {
		c.of.open.Add(-1)
	}
	return c.Conn.Close()
}
