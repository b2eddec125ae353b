// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
)

// Handler serves one connection. It returns when the connection ends; the
// server closes it.
type Handler func(net.Conn)

// Echo sends back what it receives.
func Echo(c net.Conn) { _, _ = io.Copy(c, c) }

// Discard reads to the end.
func Discard(c net.Conn) { _, _ = io.Copy(io.Discard, c) }

// Bulk returns a Handler that sends n bytes of zeros and ends.
func Bulk(n int64) Handler {
	return func(c net.Conn) { _, _ = io.CopyN(c, zeros{}, n) }
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// Server is a TCP server inside a host. Any goroutine may call its methods.
type Server struct {
	ln       net.Listener
	accepted atomic.Uint64
	wg       sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]struct{} // nil once closed
}

// ListenTCP serves TCP connections on an address of the host, "192.0.2.1:80"
// or "[2001:db8::1]:80", until Close of the server or of the lab. Any
// goroutine may call it.
func (h *Host) ListenTCP(addr string, serve Handler) (*Server, error) {
	s := &Server{conns: make(map[net.Conn]struct{})}
	err := h.Do(func() (err error) {
		s.ln, err = net.Listen("tcp", addr)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("listening on %s of host %s: %w", addr, h.Name, err)
	}
	s.wg.Add(1)
	go s.accept(serve)
	h.lab.onClose(s.Close)
	return s, nil
}

// Addr returns the address that the server listens on.
func (s *Server) Addr() net.Addr { return s.ln.Addr() }

// Accepted returns how many connections came to be.
func (s *Server) Accepted() uint64 { return s.accepted.Load() }

// Close ends the server and its connections, and waits for its handlers.
func (s *Server) Close() error {
	err := s.ln.Close()
	if errors.Is(err, net.ErrClosed) {
		err = nil
	}
	s.mu.Lock()
	for c := range s.conns {
		_ = c.Close()
	}
	s.conns = nil
	s.mu.Unlock()
	s.wg.Wait()
	return err
}

func (s *Server) accept(serve Handler) {
	defer s.wg.Done()
	for {
		c, err := s.ln.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			continue // a connection that was reset while it waited
		}
		s.accepted.Add(1)
		if !s.add(c) {
			_ = c.Close()
			return
		}
		s.wg.Add(1)
		go func() {
			defer s.wg.Done()
			serve(c)
			_ = c.Close()
			s.drop(c)
		}()
	}
}

func (s *Server) add(c net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conns == nil {
		return false
	}
	s.conns[c] = struct{}{}
	return true
}

func (s *Server) drop(c net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
}
