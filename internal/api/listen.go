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

// What may be where a socket is to be.
var (
	errNoSocket = errors.New("something that is no socket is there")
	errAnswers  = errors.New("another program answers there")
)

// listenSocket makes a UNIX socket at path, for its owner and the members of group.
// One that is there already is taken over when nobody answers on it: of several who
// come at once, by one. Its error carries the exit code and says what to do.
func listenSocket(path, group string) (l *net.UnixListener, err error) {
	if err = os.MkdirAll(filepath.Dir(path), 0o755); err == nil {
		err = alone(path, func() (err error) {
			if err = vacant(path); err == nil {
				l, err = makeSocket(path, group)
			}
			return err
		})
	}
	if err == nil {
		return l, nil
	}
	code, todo := exitcode.Unavailable, `name another api.socket, or "" for none`
	switch {
	case errors.Is(err, errNoSocket):
		todo = "remove it, or name another api.socket"
	case errors.Is(err, errAnswers):
		todo = "end it, or name another api.socket, such as /run/netprobe-xdp/IFACE.sock"
	case errors.Is(err, fs.ErrPermission):
		code, todo = exitcode.NoPermission, "name another api.socket, in a folder that the user who runs this may write to"
	}
	return nil, exitcode.With(code, fmt.Errorf("control API on %s: %w; %s", path, err, todo))
}

// vacant is nil when nothing is at path but perhaps a socket on which nobody answers.
func vacant(path string) error {
	there, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case there.Mode()&fs.ModeSocket == 0:
		return errNoSocket
	}
	c, err := net.DialTimeout("unix", path, time.Second)
	switch {
	case err == nil:
		c.Close()
		return errAnswers
	case errors.Is(err, syscall.ECONNREFUSED):
		return nil
	}
	return err
}

// makeSocket makes a socket and gives it its name when its owner and mode are right,
// which also takes the place of a stale one. Only one at a time may do so.
func makeSocket(path, group string) (*net.UnixListener, error) {
	made := path + ".new"
	_ = os.Remove(made) // of one who was killed here
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: made, Net: "unix"})
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false)
	err = give(made, group)
	if err == nil {
		err = os.Rename(made, path)
	}
	if err != nil {
		l.Close()
		_ = os.Remove(made)
		return nil, err
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
