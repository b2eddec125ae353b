// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// masscan is Debian's masscan. It gets an address that the kernel does not
// answer for, as its manual asks, and a trickle of packets, without which its
// capture does not wake. It sends each address one probe. Only its own count of
// answers is known; it has no round trips, and says of no probe that it is lost.
type masscan struct {
	child *child
	out   string // where it writes what it found
	stop  func()
}

// masscanFlat is more than it can send: "as fast as it goes".
const masscanFlat = 50_000_000

func (m *masscan) name() string { return "masscan" }
func (m *masscan) pass() bool   { return true }

func (m *masscan) start(r *rig, dir string, l load) (_ []*child, err error) {
	m.out = filepath.Join(dir, "out")
	if m.stop, err = r.trickle(); err != nil {
		return nil, err
	}
	rate := l.PPS
	if rate == 0 {
		rate = masscanFlat
	}
	if l.Proto == tcp {
		rate *= 2 // its rate counts the RSTs that it answers with
	}
	args := []string{"--rate", strconv.Itoa(rate), "-e", r.near.Name,
		"--adapter-ip", strayAddr, "--adapter-mac", r.near.MAC.String(), "--router-mac", r.far.MAC.String(),
		"--wait", "0", "-oL", m.out}
	if l.Proto == tcp {
		args = append(args, "-p", strconv.Itoa(tcpPort))
	} else {
		args = append(args, "--ping")
	}
	m.child, err = start(where{r.prober, dir, anyCPU}, "masscan", append(args, masscanRange(l.Probes))...)
	if err != nil {
		m.stop()
	}
	return []*child{m.child}, err
}

// masscanRange is a range of so many addresses.
func masscanRange(n int) string {
	last := n - 1
	return fmt.Sprintf("10.0.0.0-10.%d.%d.%d", last>>16, last>>8&255, last&255)
}

func (m *masscan) finish(l load) (claims, error) {
	err := m.child.wait(20 * time.Second)
	m.stop()
	if err != nil {
		return claims{}, err
	}
	f, err := os.Open(m.out)
	if err != nil {
		return claims{}, fmt.Errorf("read what masscan found: %w", err)
	}
	defer f.Close()
	found, err := masscanFound(f)
	sent := float64(l.Probes)
	return claims{Sent: sent, Matched: found, Lost: sent - found, NotSent: none, Unknown: none, Marked: none, P50: none, P99: none}, err
}

// masscanFound counts lines like "open icmp 0 10.80.113.44 1795322603".
func masscanFound(r io.Reader) (n float64, err error) {
	scan := bufio.NewScanner(r)
	for scan.Scan() {
		if strings.HasPrefix(scan.Text(), "open ") {
			n++
		}
	}
	return n, scan.Err()
}
