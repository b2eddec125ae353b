// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"os/user"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/pkg/api"
)

// The kinds of an Error, for errors.Is.
var (
	ErrNotRunning   = errors.New("no daemon")                     // nobody listens there
	ErrPermission   = errors.New("no permission")                 // the socket is for others, or the daemon says 403
	ErrUnauthorized = errors.New("no token, or the wrong one")    // the daemon says 401
	ErrForeign      = errors.New("not a netprobe-xdp")            // something else answers there
	ErrTooOld       = errors.New("daemon older than this client") // it lacks what was asked for
	ErrTooNew       = errors.New("daemon newer than this client") // of another major version
	ErrTooLarge     = errors.New("answer too large")              // above Options.MaxBytes
	ErrMalformed    = errors.New("malformed answer")              // not what package api says
	ErrCut          = errors.New("connection cut")                // the answer or stream ended before its end
)

// Error is why a call failed.
type Error struct {
	Where string // the socket or the URL
	Kind  error  // one of those above; nil: another failure to reach the daemon
	Text  string // one line: what is wrong, and what to do
	Err   error  // what is below, an *api.Problem of the daemon for one; may be nil

	busy  bool          // the daemon may say something else later
	after time.Duration // by its Retry-After
}

// Error is the text.
func (e *Error) Error() string { return e.Text }

// Unwrap returns the kind and what is below.
func (e *Error) Unwrap() []error {
	var all []error
	for _, err := range []error{e.Kind, e.Err} {
		if err != nil {
			all = append(all, err)
		}
	}
	return all
}

func (c *Client) failed(kind, err error, format string, args ...any) *Error {
	return &Error{Where: c.where, Kind: kind, Text: fmt.Sprintf(format, args...), Err: err}
}

// unreached says why there is no answer at all.
func (c *Client) unreached(err error) error {
	unix := c.o.Server == ""
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded), os.IsTimeout(err):
		return c.failed(nil, err, "%s: no answer in time: the daemon is busy or cannot be reached; try again", c.where)
	case unix && errors.Is(err, fs.ErrNotExist):
		return c.failed(ErrNotRunning, err, "no netprobe-xdp at %s: there is no such socket; start one, or name the socket of one that runs", c.where)
	case unix && errors.Is(err, syscall.ECONNREFUSED):
		if info, serr := os.Stat(c.where); serr == nil && info.Mode().Type() != fs.ModeSocket {
			return c.failed(ErrForeign, err, "%s is no socket; name the one of a running netprobe-xdp", c.where)
		}
		return c.failed(ErrNotRunning, err, "no netprobe-xdp at %s: nobody listens on the socket any more; start one, or name the socket of one that runs", c.where)
	case unix && errors.Is(err, fs.ErrPermission):
		return c.failed(ErrPermission, err, "no permission for %s: %s", c.where, whoMay(c.where))
	case errors.Is(err, syscall.ECONNREFUSED):
		return c.failed(ErrNotRunning, err, "no netprobe-xdp at %s: nobody listens there; start one whose api.listen is this address, or name another", c.where)
	case errors.Is(err, http.ErrSchemeMismatch):
		return c.failed(nil, err, "%s: http is spoken there, not https; begin the URL with http://", c.where)
	case cut(err):
		return c.failed(ErrCut, err, "%s: the connection was cut before the answer; try again", c.where)
	}
	text := err.Error()
	if u, ok := errors.AsType[*url.Error](err); ok {
		text = u.Err.Error() // without method and URL
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		text += "; name the server as its certificate does, and the certificate of its authority by SSL_CERT_FILE where the system does not know it"
	}
	return c.failed(nil, err, "%s cannot be reached: %s", c.where, text)
}

// whoMay says to whom a socket belongs.
func whoMay(path string) string {
	info, err := os.Stat(path)
	if err != nil {
		return "its folder is for others; ask as root"
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return "ask as root"
	}
	if info.Mode().Perm()&0o060 != 0o060 || stat.Gid == 0 {
		return "ask as root, or set api.socket_group to a group you are in"
	}
	group := strconv.FormatUint(uint64(stat.Gid), 10)
	if g, err := user.LookupGroupId(group); err == nil {
		group = g.Name
	}
	return "ask as root or as a member of the group " + group
}

// spoken judges by the version header whether a daemon answered that this client
// understands.
func (c *Client) spoken(r *http.Response) error {
	text := r.Header.Get(api.VersionHeader)
	major, _, ok := version(text)
	ours, _, _ := version(api.Version)
	switch {
	case !ok && r.StatusCode == http.StatusUnauthorized && strings.HasPrefix(r.Header.Get("WWW-Authenticate"), "Basic"):
		return c.failed(ErrForeign, nil, "%s: a user and a password are asked for there, as a metrics server does; name the address of api.listen, or the socket", c.where)
	case !ok:
		return c.failed(ErrForeign, nil, "%s: what answers is not the control API of a netprobe-xdp (%s without a valid header %s); name another socket or server", c.where, r.Status, api.VersionHeader)
	case major < ours:
		return c.failed(ErrTooOld, nil, "the daemon at %s speaks version %s of the API, this program %s; upgrade the daemon", c.where, text, api.Version)
	case major > ours:
		return c.failed(ErrTooNew, nil, "the daemon at %s speaks version %s of the API, this program %s; upgrade this program", c.where, text, api.Version)
	}
	return nil
}

// refused turns an answer of 400 and above into an error.
func (c *Client) refused(r *http.Response, p *api.Problem) *Error {
	text := r.Header.Get(api.VersionHeader)
	_, minor, _ := version(text)
	_, ours, _ := version(api.Version)
	switch {
	case r.StatusCode == http.StatusUnauthorized && c.o.Token == "":
		return c.failed(ErrUnauthorized, p, "%s asks for a token; give the one of its api.token_file", c.where)
	case r.StatusCode == http.StatusUnauthorized:
		return c.failed(ErrUnauthorized, p, "%s: the token is wrong; give the one of its api.token_file", c.where)
	case r.StatusCode == http.StatusForbidden:
		return c.failed(ErrPermission, p, "%s: %v", c.where, p)
	case minor < ours && (r.StatusCode == http.StatusMethodNotAllowed || r.StatusCode == http.StatusNotFound && len(p.Errors) == 0):
		return c.failed(ErrTooOld, p, "the daemon at %s speaks version %s of the API, this program %s, and it does not have this; upgrade the daemon", c.where, text, api.Version)
	}
	return c.failed(nil, p, "%v", p)
}

// unknown are the fields or parameters of a request that a daemon does not know. This
// program sends none but those of package api: the daemon is older, also where its
// version of the API is the same.
func unknown(p *api.Problem) (names []string) {
	for _, f := range p.Errors {
		if p.Status == http.StatusBadRequest && (strings.HasPrefix(f.Detail, api.UnknownField) || strings.HasPrefix(f.Detail, api.UnknownParameter)) {
			names = append(names, strings.TrimPrefix(f.Field, "/"))
		}
	}
	return names
}

// older says of a daemon that does not know something which version it is, where it
// tells.
func (c *Client) older(ctx context.Context, err error) error {
	e, ok := errors.AsType[*Error](err)
	if !ok || e.Kind != nil {
		return err
	}
	p, ok := errors.AsType[*api.Problem](err)
	if !ok {
		return err
	}
	names := unknown(p)
	if len(names) == 0 {
		return err
	}
	which := ""
	if i, err := c.Info(ctx); err == nil {
		which = fmt.Sprintf(", version %s (revision %.12s),", i.Version, i.Revision)
	}
	return c.failed(ErrTooOld, p, "the daemon at %s%s is older than this program and does not know %s; upgrade the daemon", c.where, which, strings.Join(names, ", "))
}

// version parses MAJOR.MINOR.
func version(text string) (major, minor int, ok bool) {
	a, b, found := strings.Cut(text, ".")
	major, err := strconv.Atoi(a)
	minor, err2 := strconv.Atoi(b)
	return major, minor, found && err == nil && err2 == nil && major >= 0 && minor >= 0
}
