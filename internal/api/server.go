// SPDX-License-Identifier: Apache-2.0

package api

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/guard"
)

// stopTimeout is how long requests under way have to end when the prober does.
const stopTimeout = 2 * time.Second

// Options are where a Server listens.
type Options struct {
	Backend Backend
	Socket  string // path; "": none
	Group   string // whose members may use the socket; "": its owner only
	Listen  string // host:port; "": none
	Log     *slog.Logger
}

// Server serves the control API on a socket and by TCP. Call Listen once, then
// Serve or Close once.
type Server struct {
	opt  Options
	unix *http.Server
	tcp  *http.Server

	socket   net.Listener
	made     fs.FileInfo // the socket's file
	listener net.Listener
}

// NewServer returns a server that does not listen yet.
func NewServer(opt Options) *Server {
	s := &Server{opt: opt}
	serve := func(door Door) *http.Server {
		return &http.Server{
			Handler: New(opt.Backend, door, opt.Log), ReadTimeout: guard.ReadTimeout, WriteTimeout: guard.WriteTimeout, IdleTimeout: guard.IdleTimeout,
			MaxHeaderBytes: guard.MaxHeaderBytes, ErrorLog: guard.ServerLog(opt.Log),
		}
	}
	s.unix, s.tcp = serve(Socket), serve(TCP)
	return s
}

// ListenSocket makes the socket, if there is to be one. Its error carries the exit
// code.
func (s *Server) ListenSocket() error {
	if s.opt.Socket == "" {
		return nil
	}
	l, err := listenSocket(s.opt.Socket, s.opt.Group)
	if err != nil {
		return err
	}
	s.socket = guard.Limit(l, s.unix)
	s.made, err = os.Lstat(s.opt.Socket)
	return err
}

// ListenTCP takes the address, if there is to be one. Its error carries the exit
// code.
func (s *Server) ListenTCP() error {
	if s.opt.Listen == "" {
		return nil
	}
	l, err := listenTCP(s.opt.Listen)
	if err != nil {
		return err
	}
	s.listener = guard.Limit(l, s.tcp)
	return nil
}

// Addr is where the API is served by TCP; nil: nowhere.
func (s *Server) Addr() net.Addr {
	if s.listener == nil {
		return nil
	}
	return s.listener.Addr()
}

// Socket is the path of the socket; "": there is none.
func (s *Server) Socket() string {
	if s.socket == nil {
		return ""
	}
	return s.opt.Socket
}

// Serve answers until ctx ends.
func (s *Server) Serve(ctx context.Context) error {
	var running sync.WaitGroup
	errs := make([]error, 2)
	serve := func(i int, srv *http.Server, l net.Listener) {
		if l == nil {
			return
		}
		srv.BaseContext = func(net.Listener) context.Context { return ctx }
		running.Go(func() {
			err := srv.Serve(l)
			if !errors.Is(err, http.ErrServerClosed) {
				errs[i] = fmt.Errorf("serve the control API: %w", err)
			}
		})
	}
	serve(0, s.unix, s.socket)
	serve(1, s.tcp, s.listener)
	stop := context.AfterFunc(ctx, func() {
		wait, cancel := context.WithTimeout(context.Background(), stopTimeout)
		defer cancel()
		for _, srv := range []*http.Server{s.unix, s.tcp} {
			if srv.Shutdown(wait) != nil {
				srv.Close()
			}
		}
	})
	running.Wait()
	stop()
	return errors.Join(append(errs, s.Close())...)
}

// Close gives back what was taken.
func (s *Server) Close() error {
	var errs []error
	if ours := func() bool { return s.made != nil && sameFile(s.opt.Socket, s.made) }; ours() {
		errs = append(errs, alone(s.opt.Socket, func() error {
			if !ours() { // another one has taken its place
				return nil
			}
			return os.Remove(s.opt.Socket)
		}))
	}
	s.made = nil
	for _, l := range []net.Listener{s.socket, s.listener} {
		if l == nil {
			continue
		}
		if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
