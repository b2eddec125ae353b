// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestDoStaysInsideAndComesBack(t *testing.T) {
	l := ForTest(t, "lab")
	a, _ := pair(l)
	before, err := net.InterfaceByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	boom := errors.New("boom")
	err = a.Host.Do(func() error {
		if _, err := net.InterfaceByName("to-b"); err != nil {
			t.Errorf("inside: %v", err)
		}
		return boom
	})
	if !errors.Is(err, boom) {
		t.Errorf("Do returned %v", err)
	}
	if _, err := net.InterfaceByName("to-b"); err == nil {
		t.Error("still inside after Do")
	}
	if after, err := net.InterfaceByName("lo"); err != nil || after.Index != before.Index {
		t.Errorf("lo after Do: %v, %v", after, err)
	}
}

func TestServers(t *testing.T) {
	l := ForTest(t, "lab")
	a, b := pair(l)
	echo, err := b.Host.ListenTCP("192.0.2.2:7", Echo)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Host.ListenTCP("[2001:db8::2]:19", Bulk(1<<20)); err != nil {
		t.Fatal(err)
	}
	dial := func(addr string) net.Conn {
		t.Helper()
		var c net.Conn
		if err := a.Host.Do(func() (err error) { c, err = net.Dial("tcp", addr); return err }); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	c := dial("192.0.2.2:7")
	if _, err := io.WriteString(c, "hello"); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 5)
	if _, err := io.ReadFull(c, got); err != nil || string(got) != "hello" {
		t.Errorf("echo: %q, %v", got, err)
	}
	if n := echo.Accepted(); n != 1 {
		t.Errorf("accepted %d", n)
	}
	if n, err := io.Copy(io.Discard, dial("[2001:db8::2]:19")); n != 1<<20 || err != nil {
		t.Errorf("bulk: %d bytes, %v", n, err)
	}
	if err := echo.Close(); err != nil {
		t.Error(err)
	}
	if err := a.Host.Do(func() error { _, err := net.Dial("tcp", "192.0.2.2:7"); return err }); err == nil {
		t.Error("connected to a closed server")
	}
}

func TestProcessEnds(t *testing.T) {
	l := ForTest(t, "lab")
	h := l.Host("a")
	p, err := h.Start(t.Context(), "tcpdump", "-i", "lo", "-n", "--immediate-mode", "-l", "icmp")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := p.WaitFor(ctx, "listening on"); err != nil {
		t.Fatal(err)
	}
	ping(t, h, "127.0.0.1", "1")
	if err := p.WaitFor(ctx, "ICMP echo reply"); err != nil {
		t.Fatal(err)
	}
	if err := p.Stop(); err != nil {
		t.Error(err)
	}

	// One that is still running ends with the lab.
	q, err := h.Start(context.Background(), "sleep", "1000")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join("/proc", itoa(q.PID()))); err == nil {
		t.Error("the command outlived its lab")
	}
	if _, err := h.Start(t.Context(), "true"); err == nil {
		t.Error("started a command on a host that is gone")
	}
}
