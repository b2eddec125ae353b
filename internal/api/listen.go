// SPDX-License-Identifier: Apache-2.0

package api

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/exitcode"
)

// socketMode: the owner and the group may ask, nobody else.
const socketMode = 0o660

// listenSocket makes a UNIX socket at path, for its owner and the members of group.
// One that is there already is taken over when nobody answers on it. Its error
// carries the exit code and says what to do.
func listenSocket(path, group string) (*net.UnixListener, error) {
	fault := func(code int, err error, todo string) error {
		return exitcode.With(code, fmt.Errorf("control API on %s: %w; %s", path, err, todo))
	}
	explain := func(err error) error {
		switch {
		case errors.Is(err, fs.ErrPermission):
			return fault(exitcode.NoPermission, err, "name another api.socket, in a folder that the user who runs this may write to")
		default:
			return fault(exitcode.Unavailable, err, "name another api.socket, or \"\" for none")
		}
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, explain(err)
	}
	switch there, err := os.Lstat(path); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, explain(err)
	case there.Mode()&fs.ModeSocket == 0:
		return nil, fault(exitcode.Unavailable, errors.New("something that is no socket is there"), "remove it, or name another api.socket")
	default:
		c, err := net.DialTimeout("unix", path, time.Second)
		if err == nil {
			c.Close()
			return nil, fault(exitcode.Unavailable, errors.New("another program answers there"), "end it, or name another api.socket, such as /run/netprobe-xdp/IFACE.sock")
		}
		if !errors.Is(err, syscall.ECONNREFUSED) {
			return nil, explain(err)
		}
	}
	// It gets its name when its owner and mode are right, which also takes the
	// place of a stale one.
	made := path + ".new" + strconv.Itoa(os.Getpid())
	_ = os.Remove(made)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: made, Net: "unix"})
	if err != nil {
		return nil, explain(err)
	}
	l.SetUnlinkOnClose(false)
	err = give(made, group)
	if err == nil {
		err = os.Rename(made, path)
	}
	if err != nil {
		l.Close()
		_ = os.Remove(made)
		return nil, explain(err)
	}
	return l, nil
}

// give sets who may use a socket.
func give(path, group string) error {
	if group != "" {
		id, err := strconv.Atoi(group)
		if err != nil {
			g, err := user.LookupGroup(group)
			if err != nil {
				return err
			}
			if id, err = strconv.Atoi(g.Gid); err != nil {
				return err
			}
		}
		if err := os.Chown(path, -1, id); err != nil {
			return fmt.Errorf("give it to group %s: %w", group, err)
		}
	}
	return os.Chmod(path, socketMode)
}

// listenTCP takes an address.
func listenTCP(addr string) (net.Listener, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, exitcode.With(exitcode.Unavailable, fmt.Errorf("control API: %w; choose another api.listen", err))
	}
	return l, nil
}

// sameFile says whether two paths, or a path and what was there once, are one.
func sameFile(path string, was fs.FileInfo) bool {
	now, err := os.Lstat(path)
	return err == nil && os.SameFile(now, was)
}
