// SPDX-License-Identifier: Apache-2.0

package api

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	wire "github.com/netprobe-xdp/netprobe-xdp/pkg/api"
)

// TestRefusedIsTold: a client that closes after its request reads why it is refused,
// though that is clear before its body has been read, and the body is larger than
// what a socket holds.
func TestRefusedIsTold(t *testing.T) {
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "socket"))
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: New(tokenOnly{}, Socket, slog.New(slog.DiscardHandler))}
	go func() { _ = s.Serve(l) }()
	defer s.Close()
	for _, c := range []struct {
		path, kind, body string
		status           int
	}{
		{"/probe", "application/json", strings.Repeat("[", maxBody-1), http.StatusBadRequest},
		{"/targets", "application/json", "rubbish" + strings.Repeat(" ", maxBody-7), http.StatusBadRequest},
		{"/targets", "text/plain", strings.Repeat(" ", maxBody), http.StatusUnsupportedMediaType},
		{"/none", "application/json", strings.Repeat(" ", maxBody), http.StatusNotFound},
	} {
		conn, err := net.Dial("unix", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		r, err := http.NewRequest(http.MethodPost, "http://x"+wire.Prefix+c.path, strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", c.kind)
		r.Close = true
		// All of the request before any of the answer, as the slowest client would.
		if err := r.Write(conn); err != nil {
			t.Errorf("%s, %.9s: hung up on while it sends: %v", c.path, c.body, err)
		}
		answer, err := io.ReadAll(conn)
		if want := fmt.Sprintf("HTTP/1.1 %d ", c.status); err != nil || !strings.HasPrefix(string(answer), want) {
			t.Errorf("%s, %.9s: %.200s, %v; want %s", c.path, c.body, answer, err, want)
		}
		conn.Close()
	}
}
