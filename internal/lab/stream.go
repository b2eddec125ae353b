// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// Stream is what one TCP connection as fast as it goes came to.
type Stream struct {
	Gbit       float64 // Gbit/s of payload
	PacketSize float64 // bytes of payload a packet brought to the receiver's IP: large where GRO is on
}

// streamStart is how long a stream runs before it is measured, until its window
// is open.
const streamStart = 300 * time.Millisecond

// MeasureStream sends from an address of one host to another host for so long.
func MeasureStream(from *Host, addr string, to *Host, d time.Duration) (Stream, error) {
	s, err := from.ListenTCP(net.JoinHostPort(addr, "0"), Bulk(math.MaxInt64))
	if err != nil {
		return Stream{}, err
	}
	defer s.Close()
	var c net.Conn
	if err := to.Do(func() (err error) {
		c, err = net.Dial("tcp", s.Addr().String())
		return err
	}); err != nil {
		return Stream{}, fmt.Errorf("connect %s to %s: %w", to.Name, addr, err)
	}
	defer c.Close()
	b := make([]byte, 1<<20)
	read := func(d time.Duration) (bytes, seconds float64, err error) {
		begin := time.Now()
		for time.Since(begin) < d {
			got, err := c.Read(b)
			if err != nil {
				return 0, 0, fmt.Errorf("receive from %s: %w", addr, errors.Join(err, io.ErrUnexpectedEOF))
			}
			bytes += float64(got)
		}
		return bytes, time.Since(begin).Seconds(), nil
	}
	if _, _, err := read(streamStart); err != nil {
		return Stream{}, err
	}
	before, err := inReceives(to)
	if err != nil {
		return Stream{}, err
	}
	bytes, seconds, err := read(d)
	if err != nil {
		return Stream{}, err
	}
	after, err := inReceives(to)
	return Stream{Gbit: bytes * 8 / seconds / 1e9, PacketSize: bytes / (after - before)}, err
}

// inReceives is how many packets a host's IP has seen (Ip:InReceives, RFC 4293
// ipSystemStatsInReceives), after GRO.
func inReceives(h *Host) (n float64, err error) {
	var text []byte
	if err := h.Do(func() (err error) {
		text, err = os.ReadFile("/proc/thread-self/net/snmp")
		return err
	}); err != nil {
		return 0, err
	}
	var names []string
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) == 0 || f[0] != "Ip:" {
			continue
		}
		for i, name := range names {
			if name == "InReceives" && i < len(f) {
				return strconv.ParseFloat(f[i], 64)
			}
		}
		names = f
	}
	return 0, errors.New("the kernel has no counter Ip:InReceives")
}
