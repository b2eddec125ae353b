// SPDX-License-Identifier: Apache-2.0

package api

import (
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/netprobe-xdp/netprobe-xdp/internal/exitcode"
)

// leave leaves a socket at path on which nobody answers.
func leave(t *testing.T, path string) {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
}

// TestTakeover: of many who come at once to a socket that somebody left, or whose owner is
// just going, one has it, and all others are told so on one line.
func TestTakeover(t *testing.T) {
	const rounds, many = 12, 12
	dir := t.TempDir()
	path := filepath.Join(dir, "api.sock")
	var owner *Server
	for round := range rounds {
		going := owner // none at first, and at times
		if owner == nil {
			leave(t, path)
		}
		var won []*Server
		var mu sync.Mutex
		var running sync.WaitGroup
		begin := make(chan struct{})
		for range many {
			running.Go(func() {
				<-begin
				s := NewServer(Options{Socket: path, Log: slog.New(slog.DiscardHandler)})
				err := s.ListenSocket()
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					won = append(won, s)
				} else if exitcode.Of(err) != exitcode.Unavailable || !errors.Is(err, errAnswers) || strings.Contains(err.Error(), "\n") {
					t.Errorf("round %d: %v", round, err)
				}
			})
		}
		if going != nil {
			running.Go(func() {
				<-begin
				// As at the end of a program: nobody answers, and then it is removed.
				if err := errors.Join(going.socket.Close(), going.Close()); err != nil {
					t.Error(err)
				}
			})
		}
		close(begin)
		running.Wait()
		if len(won) > 1 || len(won) == 0 && going == nil {
			t.Fatalf("round %d: %d have the socket", round, len(won))
		}
		if owner = nil; len(won) == 1 {
			owner = won[0]
			if !sameFile(path, owner.made) {
				t.Fatalf("round %d: the socket is not the one's who was told so", round)
			}
			if c, err := net.Dial("unix", path); err != nil {
				t.Fatalf("round %d: %v", round, err)
			} else {
				c.Close()
			}
		}
	}
	if owner != nil {
		if err := owner.Close(); err != nil {
			t.Error(err)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left are %v, %v", left, err)
	}
}

// TestNoSocket: where there can be none, the error says where and what to do.
func TestNoSocket(t *testing.T) {
	dir := t.TempDir()
	plain, occupied, linked := filepath.Join(dir, "plain"), filepath.Join(dir, "occupied"), filepath.Join(dir, "linked")
	for name, err := range map[string]error{
		"plain": os.WriteFile(plain, nil, 0o600), "occupied": os.Mkdir(occupied+".lock", 0o700), "linked": os.Symlink(plain, linked+".lock"),
	} {
		if err != nil {
			t.Fatal(name, err)
		}
	}
	for path, want := range map[string]string{
		plain:                                 "something that is no socket is there; remove it, or name another api.socket",
		occupied:                              occupied + ".lock: is a directory; name another api.socket",
		linked:                                linked + ".lock: too many levels of symbolic links; name another api.socket",
		plain + "/s":                          "not a directory; name another api.socket",
		"/proc/self/s":                        "name another api.socket",
		dir + strings.Repeat("/x", 99) + "/s": "invalid argument; name another api.socket",
	} {
		l, err := listenSocket(path, "")
		if err == nil {
			l.Close()
		}
		if err == nil || !strings.HasPrefix(err.Error(), "control API on "+path+": ") || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", path, err)
		}
	}
	// What stands there is left alone.
	if _, err := os.Stat(plain); errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}
