// SPDX-License-Identifier: Apache-2.0

// Package web is the program's HTTP server: who may ask for what, over TLS or
// not, and what one client may cost the others. What it serves is made
// elsewhere.
package web

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"syscall"
	"time"

	toolkit "github.com/prometheus/exporter-toolkit/web"

	"github.com/netprobe-xdp/netprobe-xdp/internal/exitcode"
	"github.com/netprobe-xdp/netprobe-xdp/internal/guard"
)

const stopTimeout = 5 * time.Second

// Options are what a Server serves, and to whom. The functions are called from
// the goroutines that serve requests.
type Options struct {
	Page        http.Handler // /metrics
	Credentials Credentials
	ConfigFile  string // of prometheus/exporter-toolkit, as Judge judges it; "": neither TLS nor users

	Worst http.Handler // /-/worst, the addresses that answer worst; nil: there is none

	Healthy func() error // for /-/healthy: nil, or what is wrong
	Ready   func() error // for /-/ready: nil, or what is missing

	// Reload is for /-/reload. What is wrong with a configuration comes as
	// config.Faults.
	Reload func(context.Context) (Reloaded, error)

	// API is what is served below APIPrefix; nil: there is nothing. It sees to its
	// own access beyond that of /metrics.
	API       http.Handler
	APIPrefix string

	Log *slog.Logger // nil: slog.Default()
}

// Server serves the routes of this package. Call Listen once, then Serve or
// Close once.
type Server struct {
	opt      Options
	http     http.Server
	listener net.Listener
	origin   http.CrossOriginProtection
	log      *slog.Logger
}

// New returns a server of what opt names.
func New(opt Options) *Server {
	s := &Server{opt: opt, log: opt.Log}
	if s.log == nil {
		s.log = slog.Default()
	}
	opt.Credentials.warn(s.log)
	s.http = http.Server{
		Handler:        opt.Credentials.require(s.routes()),
		ReadTimeout:    guard.ReadTimeout,
		WriteTimeout:   guard.WriteTimeout,
		IdleTimeout:    guard.IdleTimeout,
		MaxHeaderBytes: guard.MaxHeaderBytes,
		ErrorLog:       guard.ServerLog(s.log),
	}
	return s
}

// Listen takes addr (host:port; port 0 for a free one). Its error carries the
// exit code: Unavailable when address or port cannot be had, NoPermission when
// the port needs a capability.
func (s *Server) Listen(addr string) error {
	l, err := net.Listen("tcp", addr)
	switch {
	case err == nil:
		s.listener = guard.Limit(l, &s.http)
		return nil
	case errors.Is(err, syscall.EADDRINUSE):
		return exitcode.With(exitcode.Unavailable, fmt.Errorf("serve metrics: %w; stop the program that holds the port, or choose another prometheus_port", err))
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return exitcode.With(exitcode.Unavailable, fmt.Errorf("serve metrics: %w; prometheus_address must be an address of this host", err))
	case errors.Is(err, syscall.EACCES):
		return exitcode.With(exitcode.NoPermission, fmt.Errorf("serve metrics: %w; a prometheus_port below 1024 needs CAP_NET_BIND_SERVICE", err))
	default:
		return exitcode.With(exitcode.Unavailable, fmt.Errorf("serve metrics: %w; check prometheus_address and prometheus_port", err))
	}
}

// Addr is what Listen took.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// URL is where a path of this server is reached.
func (s *Server) URL(path string) string {
	scheme := "http"
	if usesTLS(s.opt.ConfigFile) {
		scheme = "https"
	}
	return scheme + "://" + s.Addr().String() + path
}

// Close gives back what Listen took, for a start that failed after it. After
// Serve it does nothing.
func (s *Server) Close() error {
	if s.listener == nil {
		return nil
	}
	if err := s.listener.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("stop serving metrics on %s: %w", s.Addr(), err)
	}
	return nil
}

// Serve answers until ctx is done; scrapes under way then have a few seconds to
// end. It returns nil when it was ended by ctx.
func (s *Server) Serve(ctx context.Context) error {
	done := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(done)
		wait, cancel := context.WithTimeout(context.Background(), stopTimeout)
		defer cancel()
		if err := s.http.Shutdown(wait); err != nil {
			s.log.Debug("web: request cut off at the end", "error", err)
			s.http.Close()
		}
	})
	var err error
	if s.opt.ConfigFile == "" {
		err = s.http.Serve(s.listener)
	} else {
		err = toolkit.Serve(s.listener, &s.http, &toolkit.FlagConfig{WebConfigFile: &s.opt.ConfigFile}, guard.Sparing(s.log).With("file", s.opt.ConfigFile))
	}
	if stop() {
		return fmt.Errorf("serve metrics on %s: %w", s.Addr(), err)
	}
	<-done
	return nil
}
