// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"syscall"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/exitcode"
)

// The limits of a connection. A page for 100,000 targets is some 80 MB
// uncompressed, and scrapers give up after their own scrape timeout, so writing
// may take long; sending a request may not.
const (
	readTimeout    = 10 * time.Second
	writeTimeout   = 2 * time.Minute
	idleTimeout    = 5 * time.Minute // longer than the usual scrape intervals, so that connections are kept
	maxHeaderBytes = 16 << 10
	stopTimeout    = 5 * time.Second
)

// Server serves /metrics, and at / a line that names it. Call Listen once, then
// Serve once.
type Server struct {
	http     http.Server
	listener net.Listener
	log      *slog.Logger
}

// NewServer returns a server of page, which is reached under /metrics with
// these credentials. A nil log is slog.Default().
func NewServer(page http.Handler, c Credentials, log *slog.Logger) *Server {
	if log == nil {
		log = slog.Default()
	}
	c.warn(log)
	mux := http.NewServeMux()
	mux.Handle("/metrics", page)
	mux.HandleFunc("/{$}", index)
	return &Server{
		log: log,
		http: http.Server{
			Handler:        c.require(mux),
			ReadTimeout:    readTimeout,
			WriteTimeout:   writeTimeout,
			IdleTimeout:    idleTimeout,
			MaxHeaderBytes: maxHeaderBytes,
			ErrorLog:       slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		},
	}
}

func index(w http.ResponseWriter, r *http.Request) {
	if !readOnly(w, r) {
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	io.WriteString(w, "netprobe-xdp\n/metrics  measurements for Prometheus and VictoriaMetrics\n")
}

// Listen takes addr (host:port; port 0 for a free one). Its error carries the
// exit code: Unavailable when address or port cannot be had, NoPermission when
// the port needs a capability.
func (s *Server) Listen(addr string) error {
	l, err := net.Listen("tcp", addr)
	switch {
	case err == nil:
		s.listener = l
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

// Serve answers until ctx is done; scrapes under way then have a few seconds to
// end. It returns nil when it was ended by ctx.
func (s *Server) Serve(ctx context.Context) error {
	done := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(done)
		wait, cancel := context.WithTimeout(context.Background(), stopTimeout)
		defer cancel()
		if err := s.http.Shutdown(wait); err != nil {
			s.log.Debug("metrics: scrape cut off at the end", "error", err)
			s.http.Close()
		}
	})
	err := s.http.Serve(s.listener)
	if stop() {
		return fmt.Errorf("serve metrics on %s: %w", s.Addr(), err)
	}
	<-done
	return nil
}
