// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// A client that takes nothing is cut off, and what it is sent meanwhile is no
// more than the sockets hold.
func TestSlowClientIsCutOff(t *testing.T) {
	gaveUp := make(chan error, 1)
	s := httptest.NewServer(Paced(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		p := w.(*pacedWriter)
		p.deadline = time.Now().Add(100 * time.Millisecond) // not as patient as in earnest
		p.last = p.deadline
		for piece := make([]byte, 32<<10); ; {
			if _, err := w.Write(piece); err != nil {
				gaveUp <- err
				return
			}
		}
	})))
	defer s.Close()
	c, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if err := <-gaveUp; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the page ended with %v", err)
	}
}

// So many have a turn at a time; who waits for too long, or goes, is told.
func TestTurns(t *testing.T) {
	turns := NewTurns(2, time.Minute)
	var done []func()
	for range 2 {
		d, err := turns.Take(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		done = append(done, d)
	}
	turns.timeout = time.Millisecond
	if _, err := turns.Take(t.Context()); !errors.Is(err, ErrBusy) {
		t.Errorf("one more: %v", err)
	}
	turns.timeout = time.Minute
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := turns.Take(gone); !errors.Is(err, context.Canceled) {
		t.Errorf("one that went: %v", err)
	}
	done[0]()
	if _, err := turns.Take(t.Context()); err != nil {
		t.Errorf("after one gave its turn back: %v", err)
	}
}

func TestLocal(t *testing.T) {
	for _, c := range []struct {
		from, host, proxy string
		want              bool
	}{
		{"127.0.0.1:1", "localhost:8000", "", true},
		{"[::1]:1", "[::1]:8000", "", true},
		{"[::ffff:127.0.0.1]:1", "127.1.2.3", "", true},
		{"127.0.0.1:1", "rebound.example:8000", "", false},
		{"127.0.0.1:1", "localhost.example", "", false},
		{"192.0.2.1:1", "localhost", "", false},
		{"127.0.0.1:1", "localhost", "192.0.2.1", false},
		{"@", "localhost", "", false},
	} {
		r := &http.Request{RemoteAddr: c.from, Host: c.host, Header: http.Header{}}
		if c.proxy != "" {
			r.Header.Set("X-Forwarded-For", c.proxy)
		}
		if got := Local(r); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}

// The one that has been without a request for the longest goes first, be it since it
// came or since it was answered; one that has a request does not.
func TestWhoMakesRoom(t *testing.T) {
	l := &limitedListener{}
	come := func() (taken, left net.Conn) {
		a, b := net.Pipe()
		t.Cleanup(func() { a.Close(); b.Close() })
		return l.admit(a)
	}
	var all []net.Conn
	for i := range MaxConnections {
		c, left := come()
		if c == nil || left != nil {
			t.Fatalf("connection %d: %v, %v", i, c, left)
		}
		all = append(all, c)
	}
	l.state(all[0], http.StateActive)
	l.state(all[1], http.StateActive)
	l.state(all[1], http.StateIdle)
	inner := func(c net.Conn) net.Conn { return c.(*limitedConn).Conn }
	for i := 2; i < MaxConnections; i++ {
		c, left := come()
		if left != inner(all[i]) {
			t.Fatalf("connection %d did not make room", i)
		}
		l.state(c, http.StateActive)
	}
	if _, left := come(); left != inner(all[1]) {
		t.Error("the one that was answered last did not make room last")
	}
	if l.open != MaxConnections {
		t.Errorf("%d are open", l.open)
	}
}

// Who asks for nothing makes room for others, those who have asked do not.
func TestIdleConnectionsMakeRoom(t *testing.T) {
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "socket"))
	if err != nil {
		t.Fatal(err)
	}
	hold, held := make(chan struct{}), make(chan struct{})
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hold" {
			held <- struct{}{}
			<-hold
		}
	})}
	limited := Limit(l, s)
	go func() { _ = s.Serve(limited) }()
	defer s.Close()
	ask := func(path string) net.Conn {
		c, err := net.Dial("unix", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		if path != "" {
			_, _ = io.WriteString(c, "GET "+path+" HTTP/1.1\r\nHost: x\r\n\r\n")
		}
		return c
	}
	answered := func(c net.Conn) error {
		r, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err == nil {
			r.Body.Close()
		}
		return err
	}
	under := ask("/hold")
	<-held
	// As many as there is room for twice: some never ask, the others have been answered.
	for i := range 2 * MaxConnections {
		if c := ask([]string{"", "/"}[i%2]); i%2 == 1 {
			if err := answered(c); err != nil {
				t.Fatalf("connection %d: %v", i, err)
			}
		}
	}
	// All places are taken by those who are being answered.
	last := []net.Conn{under}
	for range MaxConnections - 1 {
		last = append(last, ask("/hold"))
		<-held
	}
	if err := answered(ask("/")); err == nil {
		t.Error("one more than there are places for was answered")
	}
	close(hold)
	for i, c := range last {
		if err := answered(c); err != nil {
			t.Errorf("request %d: %v", i, err)
		}
	}
	if err := answered(ask("/")); err != nil {
		t.Errorf("once there is room: %v", err)
	}
}
