// SPDX-License-Identifier: Apache-2.0

package truth

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/netprobe-xdp/netprobe-xdp/internal/lab"
)

const (
	transferSize = 100 << 20 // bytes
	transferRate = 25 << 20  // bytes per second
	chunk        = 64 << 10  // transferSize is a multiple
)

// sendStream writes transferSize bytes, every chunk different, and returns
// their hash.
func sendStream(c io.Writer) ([32]byte, error) {
	b := make([]byte, chunk)
	random := rand.NewChaCha8([32]byte{1})
	_, _ = random.Read(b)
	h := sha256.New()
	for i := range uint64(transferSize / chunk) {
		binary.BigEndian.PutUint64(b, i)
		h.Write(b)
		if _, err := c.Write(b); err != nil {
			return [32]byte{}, err
		}
	}
	return [32]byte(h.Sum(nil)), nil
}

// receiveStream reads to the end and returns the hash and the number of bytes.
func receiveStream(c io.Reader) ([32]byte, int64, error) {
	h := sha256.New()
	n, err := io.CopyBuffer(h, struct{ io.Reader }{c}, make([]byte, chunk))
	return [32]byte(h.Sum(nil)), n, err
}

// transfer is one TCP connection that carries transferSize bytes from the
// probed host to the prober's.
type transfer struct {
	name           string
	server, client *lab.Host
	listen         netip.AddrPort
	from           netip.AddrPort // of the client; port 0: any
}

// pace keeps a connection to the rate of a link, which a veth does not have: as
// fast as the machine can, TCP fills the 256 places of the veth's ring, and
// the ring drops what comes next, replies to probes included.
func pace(c *net.TCPConn) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	cerr := raw.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_MAX_PACING_RATE, transferRate)
	})
	return errors.Join(err, cerr)
}

// run sends from the host to the prober, whoever opened the connection.
func (x *transfer) run(prober *lab.Host) error {
	var ln net.Listener
	err := x.server.Do(func() (err error) {
		ln, err = net.Listen("tcp", x.listen.String())
		return err
	})
	if err != nil {
		return err
	}
	defer ln.Close()
	var accepted net.Conn
	done := make(chan error, 1)
	go func() {
		c, err := ln.Accept()
		accepted = c
		done <- err
	}()
	var dialled net.Conn
	err = x.client.Do(func() (err error) {
		d := net.Dialer{Timeout: 10 * time.Second, LocalAddr: net.TCPAddrFromAddrPort(x.from)}
		dialled, err = d.Dial("tcp", x.listen.String())
		return err
	})
	if err != nil {
		return err
	}
	defer dialled.Close()
	if err := <-done; err != nil {
		return err
	}
	defer accepted.Close()
	source, sink := dialled, accepted
	if x.client == prober {
		source, sink = accepted, dialled
	}
	for _, c := range []net.Conn{source, sink} {
		if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
			return err
		}
	}
	if err := pace(source.(*net.TCPConn)); err != nil {
		return err
	}
	sent := make(chan [32]byte, 1)
	go func() {
		h, err := sendStream(source)
		_ = source.(*net.TCPConn).CloseWrite()
		sent <- h
		done <- err
	}()
	got, n, err := receiveStream(sink)
	if err != nil {
		return fmt.Errorf("after %d bytes: %w", n, err)
	}
	if err := <-done; err != nil {
		return err
	}
	if want := <-sent; n != transferSize || got != want {
		return fmt.Errorf("%d bytes arrived of %d, or others than were sent", n, transferSize)
	}
	return nil
}

// Ordinary TCP from the probed host into the configured ports, and from them to
// the very port that is probed, is left to the kernel: not one of its
// packets is steered, whichever side opened the connection.
func TestOrdinaryTransferIsLeftAlone(t *testing.T) {
	t.Parallel()
	const probes = 3000
	p := newPair(t, 2)
	// These addresses are the host's too, but not probed: a connection from
	// a probed port to the probed port must differ from a probe's in something.
	second := map[string]string{"ipv4": "192.0.2.3", "ipv6": "2001:db8::3"}
	third := map[string]string{"ipv4": "192.0.2.4", "ipv6": "2001:db8::4"}
	near := map[string]string{"ipv4": near4, "ipv6": near6}
	for _, more := range []map[string]string{second, third} {
		p.farEnd.AddAddr(more["ipv4"] + "/24")
		p.farEnd.AddAddr(more["ipv6"] + "/64")
	}
	s := setup{on: p.prober, hosts: []*lab.Host{p.host}, ifaces: []string{p.nearEnd.Name}, interval: 12 * time.Second, gap: 2 * time.Millisecond,
		groups: []group{{name: "g", a: 20000, z: 21023}}}
	var transfers []*transfer
	probed := count(p.host, lab.Input, lab.Match{Proto: lab.TCP, Port: 80})
	for i, family := range []string{"ipv4", "ipv6"} {
		addr := func(s string, port uint16) netip.AddrPort { return netip.AddrPortFrom(netip.MustParseAddr(s), port) }
		listen(t, p.host, lab.Discard, 80, far[family])
		s.targets = append(s.targets, target{name: "open-" + family, kind: "TCPsyn", addr: far[family], port: 80, packets: probes})
		transfers = append(transfers,
			&transfer{name: "from any port of the host to a probing port, " + family, server: p.prober, client: p.host,
				listen: addr(near[family], uint16(20003+i)), from: addr(far[family], 0)},
			&transfer{name: "from another address's port 80 to a probing port, " + family, server: p.prober, client: p.host,
				listen: addr(near[family], uint16(20005+i)), from: addr(second[family], 80)},
			&transfer{name: "opened from a probing port to port 80, " + family, server: p.host, client: p.prober,
				listen: addr(third[family], 80), from: addr(near[family], uint16(20007+i))})
	}
	must(t, p.prober, "ethtool", "-K", p.nearEnd.Name, "gro", "on") // a veth has it off
	r := start(t, s)
	r.wait(func() bool { return counts(t, probed).Seen > 0 }, 15*time.Second, func() string { return "no probe has arrived" })
	begun := time.Now()
	var all sync.WaitGroup
	for _, x := range transfers {
		all.Go(func() {
			if err := x.run(p.prober); err != nil {
				t.Errorf("transfer %s: %v", x.name, err)
			}
		})
	}
	all.Wait()
	t.Logf("the transfers took %v, the probes %v", time.Since(begun), probes*s.gap)
	r.quiet(1, func() {
		// What the veth dropped in spite of the pacing was lost on the way indeed.
		dropped := txDropped(t, p.farEnd)
		if dropped == 0 {
			for _, tg := range s.targets {
				r.whole(tg.name, probes)
			}
		} else if got := r.all(); got.Lost > dropped || unknown(got)+notSent(got) != 0 {
			t.Errorf("%s; the veth dropped %d packets, and no more may be lost", show(got), dropped)
		}
		r.accounted()
		pg := r.page()
		steered, _ := pg.sum(t, "netprobe_steered_total")
		foreign, _ := pg.sum(t, "netprobe_foreign_total")
		passed, _ := pg.sum(t, "netprobe_passed_total")
		t.Logf("%d frames were steered, %d passed, the veth dropped %d", steered, passed, dropped)
		if want := uint64(len(s.targets) * probes); steered != want && dropped == 0 || foreign != 0 {
			t.Errorf("%d frames were steered and %d were foreign; want %d and 0: one answer to each probe", steered, foreign, want)
		}
		// What passes is still put together by GRO before the kernel's IP sees it.
		whole := kernelCounter(t, p.prober, "Ip:InReceives") + kernelCounter(t, p.prober, "Ip6InReceives")
		t.Logf("the kernel's IP saw %d packets of %d frames", whole, passed)
		if whole > passed/2 {
			t.Errorf("the kernel's IP saw %d packets of %d frames: GRO is off for what passes", whole, passed)
		}
		if uint64(len(transfers)*transferSize/65536) > passed {
			t.Errorf("only %d frames passed: the transfers did not come by", passed)
		}
	})
}
