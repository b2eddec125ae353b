// SPDX-License-Identifier: Apache-2.0

package steer

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/netprobe-xdp/netprobe-xdp/internal/exitcode"
)

// inNamespace runs f in a network namespace of its own, which has no name and
// goes away with the thread.
func inNamespace(t *testing.T, f func()) {
	t.Helper()
	needRoot(t)
	done := make(chan error)
	go func() {
		err := errors.New("the test ended early")
		defer func() { done <- err }()
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		if err = unix.Unshare(unix.CLONE_NEWNET); err == nil {
			err = errors.New("the test ended early")
			f()
			err = nil
		}
	}()
	if err := <-done; err != nil && !t.Failed() {
		t.Fatal(err)
	}
}

// veth makes a pair with these receive and transmit queues on either end, and
// returns one end's index.
func veth(t *testing.T, rx, peerTX int) int {
	t.Helper()
	a := netlink.NewLinkAttrs()
	a.Name, a.NumRxQueues, a.NumTxQueues = "a", rx, 1
	pair := &netlink.Veth{LinkAttrs: a, PeerName: "b", PeerNumTxQueues: uint32(peerTX), PeerNumRxQueues: 1}
	if err := netlink.LinkAdd(pair); err != nil {
		t.Fatalf("add a veth pair: %v", err)
	}
	for _, name := range []string{"a", "b"} {
		l, err := netlink.LinkByName(name)
		if err == nil {
			err = netlink.LinkSetUp(l)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return index(t, "a")
}

func index(t *testing.T, name string) int {
	t.Helper()
	l, err := netlink.LinkByName(name)
	if err != nil {
		t.Fatal(err)
	}
	return l.Attrs().Index
}

// xdpMode is what netlink says: 0 none, 1 native, 2 generic.
func xdpMode(t *testing.T, ifindex int) uint32 {
	t.Helper()
	l, err := netlink.LinkByIndex(ifindex)
	if err != nil {
		t.Fatal(err)
	}
	if x := l.Attrs().Xdp; x != nil {
		return x.AttachMode
	}
	return 0
}

func TestAttach(t *testing.T) {
	for _, c := range []struct {
		name, ask string
		link      func(t *testing.T) int
		want      string
		mode      uint32
		refusal   string
	}{
		{"auto, native driver", ModeAuto, func(t *testing.T) int { return veth(t, 1, 1) }, ModeNative, 1, ""},
		{"native", ModeNative, func(t *testing.T) int { return veth(t, 1, 1) }, ModeNative, 1, ""},
		{"generic", ModeGeneric, func(t *testing.T) int { return veth(t, 1, 1) }, ModeGeneric, 2, ""},
		{"auto, refused", ModeAuto, func(t *testing.T) int { return veth(t, 1, 4) }, ModeGeneric, 2,
			"veth: XDP expects number of rx queues not less than peer tx queues (no space left on device)"},
		{"auto, no native mode", ModeAuto, func(t *testing.T) int { return index(t, "lo") }, ModeGeneric, 2,
			"Underlying driver does not support XDP in native mode (operation not supported)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			inNamespace(t, func() {
				p := load(t, 1)
				ifindex := c.link(t)
				a, err := p.Attach(ifindex, c.ask)
				if err != nil {
					t.Fatal(err)
				}
				if a.Mode != c.want || a.Refusal != c.refusal {
					t.Errorf("%+v, want mode %s, refusal %q", a, c.want, c.refusal)
				}
				if got := xdpMode(t, ifindex); got != c.mode {
					t.Errorf("netlink says mode %d, want %d", got, c.mode)
				}
				if err := p.Close(); err != nil {
					t.Error(err)
				}
				if got := xdpMode(t, ifindex); got != 0 {
					t.Errorf("after Close netlink says mode %d", got)
				}
			})
		})
	}
}

func TestAttachRefused(t *testing.T) {
	inNamespace(t, func() {
		p := load(t, 1)
		ifindex := veth(t, 1, 4)
		_, err := p.Attach(ifindex, ModeNative)
		if err == nil || !strings.Contains(err.Error(), "XDP expects number of rx queues") || exitcode.Of(err) != exitcode.Unavailable {
			t.Errorf("refused native mode: %v (exit code %d)", err, exitcode.Of(err))
		}
		if got := xdpMode(t, ifindex); got != 0 {
			t.Errorf("netlink says mode %d", got)
		}
		if _, err := p.Attach(99999, ModeAuto); err == nil || exitcode.Of(err) != exitcode.Unavailable || !errors.Is(err, unix.ENODEV) {
			t.Errorf("missing interface: %v", err)
		}
		if _, err := p.Attach(ifindex, "fast"); exitcode.Of(err) != exitcode.Usage {
			t.Errorf("unknown mode: %v", err)
		}
	})
}

func TestTaken(t *testing.T) {
	for _, holder := range []string{ModeNative, ModeGeneric} {
		for _, mode := range []string{ModeAuto, ModeNative, ModeGeneric} {
			t.Run(holder+", then "+mode, func(t *testing.T) {
				inNamespace(t, func() {
					first, second := load(t, 1), load(t, 1)
					ifindex := veth(t, 1, 1)
					if _, err := first.Attach(ifindex, holder); err != nil {
						t.Fatal(err)
					}
					before := xdpMode(t, ifindex)
					_, err := second.Attach(ifindex, mode)
					if !errors.Is(err, ErrTaken) || exitcode.Of(err) != exitcode.Unavailable {
						t.Errorf("got %v", err)
					}
					if got := xdpMode(t, ifindex); got != before {
						t.Errorf("netlink says mode %d, was %d", got, before)
					}
				})
			})
		}
	}
}

// TestTakenByNetlink is a program attached without a link, as by iproute2.
func TestTakenByNetlink(t *testing.T) {
	inNamespace(t, func() {
		first, second := load(t, 1), load(t, 1)
		ifindex := veth(t, 1, 1)
		if err := requestXDP(ifindex, int32(first.objects.Steer.FD()), -1, unix.XDP_FLAGS_DRV_MODE); err != nil {
			t.Fatal(err)
		}
		if _, err := second.Attach(ifindex, ModeAuto); !errors.Is(err, ErrTaken) {
			t.Errorf("got %v", err)
		}
		if got := xdpMode(t, ifindex); got != 1 {
			t.Errorf("netlink says mode %d", got)
		}
	})
}

// TestGoneWithProcess kills a process that attached the program.
func TestGoneWithProcess(t *testing.T) {
	const variable = "NPX_STEER_ATTACH"
	if s := os.Getenv(variable); s != "" { // the process to kill
		ifindex, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := load(t, 1).Attach(ifindex, ModeNative); err != nil {
			t.Fatal(err)
		}
		fmt.Println("attached")
		time.Sleep(time.Minute)
		return
	}
	inNamespace(t, func() {
		ifindex := veth(t, 1, 1)
		child := exec.Command(os.Args[0], "-test.run=^TestGoneWithProcess$")
		child.Env = append(os.Environ(), variable+"="+strconv.Itoa(ifindex))
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		line, _ := bufio.NewReader(out).ReadString('\n')
		attached := xdpMode(t, ifindex)
		child.Process.Kill()
		child.Wait()
		if line != "attached\n" || attached != 1 {
			t.Fatalf("the process said %q, netlink says mode %d", line, attached)
		}
		deadline := time.Now().Add(10 * time.Second)
		for xdpMode(t, ifindex) != 0 {
			if time.Now().After(deadline) {
				t.Fatal("still attached 10 s after the process was killed")
			}
			time.Sleep(10 * time.Millisecond)
		}
	})
}
