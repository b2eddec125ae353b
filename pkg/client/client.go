// SPDX-License-Identifier: Apache-2.0

// Package client asks and steers a running netprobe-xdp through its control API,
// over its UNIX socket or over TCP. What goes over the wire is in package api
// beside this one.
//
// Calls that only ask (GET) are tried again for a while when the daemon restarts
// or is busy; calls that change something are sent once, whatever happens. Every
// error is one line that says what to do, and tells by errors.Is what kind it is:
// ErrNotRunning, ErrPermission, ErrUnauthorized, ErrForeign, ErrTooOld, ErrTooNew,
// ErrTooLarge, ErrCut. What the daemon itself objects to is an *api.Problem, by
// errors.As.
package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/pkg/api"
)

const (
	defaultTimeout  = 30 * time.Second
	defaultRetryFor = 10 * time.Second
	defaultMaxBytes = 64 << 20
)

// Options say where the daemon is. The zero value is the default socket of this
// machine.
type Options struct {
	// Socket is the path of the daemon's UNIX socket; default api.DefaultSocket
	// where Server is empty.
	Socket string
	// Server is the URL of a daemon that listens on TCP, http://HOST:PORT or
	// https://HOST:PORT, instead of Socket. No proxy is used.
	Server string
	// Token is the one of api.token or api.token_file, for Server. Over http it
	// can be read on the way.
	Token string
	// TLS is used for https; nil: the system's roots.
	TLS *tls.Config

	// Timeout bounds each attempt of a call, of a stream until it begins; 0: 30 s.
	// Reload, which may resolve many names, is bounded by its context alone.
	Timeout time.Duration
	// RetryFor is how long calls are tried again that may be; 0: 10 s, below 0:
	// never. That nobody listens at all is believed after a second.
	RetryFor time.Duration
	// MaxBytes bounds an answer, and one event of a stream; 0: 64 MiB.
	MaxBytes int64
}

// Client is a connection to one daemon. Any goroutine may use it, several at the
// same time.
type Client struct {
	http  *http.Client
	base  url.URL // without path
	where string  // the socket or the URL, for errors
	o     Options
}

// New returns a client. Nothing is sent yet: an error is one of the options.
func New(o Options) (*Client, error) {
	if o.Socket != "" && o.Server != "" {
		return nil, errors.New("a socket and a server are given; allowed is one of them")
	}
	if o.Timeout == 0 {
		o.Timeout = defaultTimeout
	}
	if o.RetryFor == 0 {
		o.RetryFor = defaultRetryFor
	}
	if o.MaxBytes == 0 {
		o.MaxBytes = defaultMaxBytes
	}
	c := &Client{o: o}
	dialer := &net.Dialer{Timeout: o.Timeout}
	transport := &http.Transport{
		DialContext:            dialer.DialContext,
		TLSClientConfig:        o.TLS,
		TLSHandshakeTimeout:    o.Timeout,
		MaxResponseHeaderBytes: 64 << 10,
		MaxIdleConnsPerHost:    4,
		IdleConnTimeout:        30 * time.Second,
	}
	if o.Server == "" {
		if c.where = o.Socket; c.where == "" {
			c.where = api.DefaultSocket
		}
		c.base = url.URL{Scheme: "http", Host: "localhost"}
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "unix", c.where)
		}
	} else {
		u, err := server(o.Server)
		if err != nil {
			return nil, err
		}
		c.base, c.where = *u, u.String()
	}
	c.http = &http.Client{
		Transport: transport,
		// A redirect is not from a daemon, and must not get the token.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return c, nil
}

// server parses the URL of a daemon.
func server(text string) (*url.URL, error) {
	bad := func(what string) error {
		return fmt.Errorf("server %q: %s; allowed: http://HOST:PORT or https://HOST:PORT", text, what)
	}
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return nil, bad("not a URL")
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, bad("it does not begin with http:// or https://")
	case u.User != nil:
		return nil, fmt.Errorf("server %s: a user or password is in it; the token is given apart", u.Redacted())
	case u.Hostname() == "":
		return nil, bad("no host")
	case strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "":
		return nil, bad("it goes on after the port")
	}
	return &url.URL{Scheme: u.Scheme, Host: u.Host}, nil
}

// Where is the socket or the URL that the client asks.
func (c *Client) Where() string { return c.where }

// Close closes connections that are kept for later calls. Calls that are under
// way go on.
func (c *Client) Close() { c.http.CloseIdleConnections() }
