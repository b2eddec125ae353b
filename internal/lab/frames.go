// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mdlayher/packet"
	"golang.org/x/sys/unix"
)

// Frames is a packet socket on an end, beside the host's own stack: it is handed
// the frames that the stack is handed, and sends any. Any goroutine may call its
// methods.
type Frames struct {
	at     *End
	conn   *packet.Conn
	ended  sync.WaitGroup
	once   sync.Once     // for Stop
	err    error         // what Stop says
	taking atomic.Bool   // Each was called
	taken  atomic.Uint64 // frames that take was called with

	mu      sync.Mutex
	came    uint64 // frames for the socket, as far as the kernel was asked
	dropped uint64 // of them, those that it had no room for
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

// Each calls take with every frame that comes from now on and when it arrived, by the kernel's
// clock, one after the other on a goroutine of its own, until Stop or the lab's Close. Call it
// once. A frame is take's only until take returns.
func (f *Frames) Each(take func(frame []byte, at time.Time)) {
	f.taking.Store(true)
	f.ended.Go(func() {
		b := make([]byte, 1<<16)
		for {
			n, at, err := f.read(b)
			if errors.Is(err, os.ErrDeadlineExceeded) {
				return
			}
			if err != nil {
				f.err = fmt.Errorf("listening on %s of %s: %w", f.at.Name, f.at.Host.Name, err)
				return
			}
			take(b[:n], at)
			f.taken.Add(1)
		}
	})
}

// read waits for a frame, and returns its length and when it arrived.
func (f *Frames) read(b []byte) (n int, at time.Time, err error) {
	raw, err := f.conn.SyscallConn()
	if err != nil {
		return 0, at, err
	}
	var control [128]byte
	var controls int
	var failed error
	err = raw.Read(func(fd uintptr) bool {
		n, controls, _, _, failed = unix.Recvmsg(int(fd), b, control[:], unix.MSG_DONTWAIT)
		return failed != unix.EAGAIN && failed != unix.EINTR
	})
	if err = cmp.Or(err, failed); err != nil {
		return 0, at, err
	}
	at, err = arrival(control[:controls])
	return n, at, err
}

// arrival reads when a frame arrived from what came with it (SO_TIMESTAMPNS, socket(7)).
func arrival(control []byte) (time.Time, error) {
	all, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return time.Time{}, err
	}
	for _, m := range all {
		if m.Header.Level == unix.SOL_SOCKET && m.Header.Type == unix.SO_TIMESTAMPNS && len(m.Data) >= 16 {
			return time.Unix(int64(binary.NativeEndian.Uint64(m.Data)), int64(binary.NativeEndian.Uint64(m.Data[8:]))), nil
		}
	}
	return time.Time{}, errors.New("a frame came without its time")
}

// patienceOfFrames is how long taking what has come may take on a busy machine.
const patienceOfFrames = 30 * time.Second

// CatchUp waits until take was called with all frames that have arrived by now. It is an
// error when some were dropped, or take has ended.
func (f *Frames) CatchUp() error {
	came, err := f.arrived()
	for end := time.Now().Add(patienceOfFrames); err == nil && f.taken.Load() < came; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			return fmt.Errorf("of %d frames on %s of %s %d were taken", came, f.at.Name, f.at.Host.Name, f.taken.Load())
		}
	}
	return err
}

// arrived is how many frames came until now.
func (f *Frames) arrived() (uint64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s, err := f.conn.Stats() // since it was asked last
	if err != nil {
		return 0, fmt.Errorf("reading what was dropped on %s of %s: %w", f.at.Name, f.at.Host.Name, err)
	}
	f.came, f.dropped = f.came+uint64(s.Packets), f.dropped+uint64(s.Drops)
	if f.dropped > 0 {
		return f.came, fmt.Errorf("%d frames on %s of %s came faster than they were taken", f.dropped, f.at.Name, f.at.Host.Name)
	}
	return f.came, nil
}

// Send sends a frame to the end's peer.
func (f *Frames) Send(frame []byte) error {
	if _, err := f.conn.WriteTo(frame, &packet.Addr{HardwareAddr: f.at.Peer.MAC}); err != nil {
		return fmt.Errorf("sending a frame from %s of %s: %w", f.at.Name, f.at.Host.Name, err)
	}
	return nil
}

// Stop ends the calls of Each once what has come was taken, and says what went wrong until
// then: an error where frames came and take was not called with them. Send still works.
// Calling it again returns the same.
func (f *Frames) Stop() error {
	f.once.Do(func() {
		var missed error
		if f.taking.Load() {
			missed = f.CatchUp()
		}
		_ = f.conn.SetReadDeadline(time.Now())
		f.ended.Wait()
		f.err = cmp.Or(f.err, missed)
	})
	return f.err
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
	if err = errors.Join(setOption(c, unix.SO_RCVBUFFORCE, 32<<20), setOption(c, unix.SO_TIMESTAMPNS, 1)); err != nil {
		_ = c.Close()
		return nil, fmt.Errorf("asking for a larger buffer and the times of frames on %s of %s: %w", e.Name, e.Host.Name, err)
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
