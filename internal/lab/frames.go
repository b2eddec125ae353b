// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"github.com/mdlayher/packet"
	"golang.org/x/sys/unix"
)

// Frames is a packet socket on an end, beside the host's own stack: it is handed
// the frames that the stack is handed, and sends any. Any goroutine may call its
// methods.
type Frames struct {
	at    *End
	conn  *packet.Conn
	ended sync.WaitGroup
	once  sync.Once // for Stop
	err   error     // what Stop says
}

// Frames opens a packet socket for an EtherType; with unix.ETH_P_ALL it sees what
// the host sends as well, though not what the Frames itself does. Close of the lab
// closes it.
func (e *End) Frames(etherType int) *Frames {
	l := e.Host.lab
	if l.test != nil {
		l.test.Helper()
	}
	f := &Frames{at: e}
	if l.err != nil {
		return f
	}
	var err error
	if f.conn, err = listenFrames(e, etherType); err != nil {
		l.fail(err)
		return f
	}
	l.onClose(func() error {
		_ = f.Stop() // who cares for what was missed asked before
		return f.conn.Close()
	})
	return f
}

// Each calls take with every frame that comes from now on, one after the other on
// a goroutine of its own, until Stop or the lab's Close. Call it once. A frame is
// take's only until take returns.
func (f *Frames) Each(take func(frame []byte)) {
	f.ended.Go(func() {
		b := make([]byte, 1<<16)
		for {
			n, _, err := f.conn.ReadFrom(b)
			if errors.Is(err, os.ErrDeadlineExceeded) {
				return
			}
			if err != nil {
				f.err = fmt.Errorf("listening on %s of %s: %w", f.at.Name, f.at.Host.Name, err)
				return
			}
			take(b[:n])
		}
	})
}

// Send sends a frame to the end's peer.
func (f *Frames) Send(frame []byte) error {
	if _, err := f.conn.WriteTo(frame, &packet.Addr{HardwareAddr: f.at.Peer.MAC}); err != nil {
		return fmt.Errorf("sending a frame from %s of %s: %w", f.at.Name, f.at.Host.Name, err)
	}
	return nil
}

// Stop ends the calls of Each, and says what went wrong until then: an error where
// frames came and take was not called with them. Send still works. Calling it again
// returns the same.
func (f *Frames) Stop() error {
	f.once.Do(func() {
		_ = f.conn.SetReadDeadline(time.Now())
		f.ended.Wait()
		if f.err == nil {
			f.err = f.missed()
		}
	})
	return f.err
}

func (f *Frames) missed() error {
	s, err := f.conn.Stats()
	if err != nil {
		return fmt.Errorf("reading what was dropped on %s of %s: %w", f.at.Name, f.at.Host.Name, err)
	}
	if s.Drops > 0 {
		return fmt.Errorf("%d frames on %s of %s came faster than they were taken", s.Drops, f.at.Name, f.at.Host.Name)
	}
	return nil
}

// listenFrames opens a socket that takes and sends whole frames on an end.
func listenFrames(e *End, etherType int) (*packet.Conn, error) {
	var c *packet.Conn
	err := e.Host.Do(func() (err error) {
		c, err = packet.Listen(&net.Interface{Index: e.Index, Name: e.Name, MTU: 1500}, packet.Raw, etherType, nil)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("opening a packet socket on %s of %s: %w", e.Name, e.Host.Name, err)
	}
	if err = setOption(c, unix.SO_RCVBUFFORCE, 32<<20); err != nil {
		_ = c.Close()
		return nil, fmt.Errorf("asking for a larger buffer on %s of %s: %w", e.Name, e.Host.Name, err)
	}
	return c, nil
}

// setOption sets an option of SOL_SOCKET.
func setOption(c *packet.Conn, option, value int) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	cerr := raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, option, value) })
	return errors.Join(err, cerr)
}
