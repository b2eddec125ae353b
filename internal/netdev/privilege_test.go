// SPDX-License-Identifier: Apache-2.0

package netdev

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/netprobe-xdp/netprobe-xdp/internal/exitcode"
)

// asNobody makes the test binary open eth0 of the namespace that follows
// instead of testing.
const asNobody = "NPX_NETDEV_OPEN"

func TestMain(m *testing.M) {
	if ns, asked := os.LookupEnv(asNobody); asked {
		os.Exit(openAsNobody(ns))
	}
	os.Exit(m.Run())
}

// openAsNobody does what a run does with a Link, and reports the exit code.
func openAsNobody(ns string) int {
	l, err := Open(context.Background(), Options{Iface: "eth0", NetNS: ns})
	if err == nil {
		defer l.Close()
		_, err = l.Info()
	}
	if err == nil {
		_, err = l.XDPHolder()
	}
	if err == nil {
		_, err = l.Route(ip("192.0.2.1"), ip("192.0.2.9"))
	}
	if err != nil {
		fmt.Println(err)
	}
	return exitcode.Of(err)
}

// TestOpenWithoutRoot: a service user with the capabilities of a run needs no
// more, and is told what it lacks.
func TestOpenWithoutRoot(t *testing.T) {
	prober, _ := network(t)
	for _, test := range []struct {
		name string
		caps []uintptr
		ns   string // "": started inside it
		code int
		says string
	}{
		{"enough", []uintptr{unix.CAP_NET_ADMIN, unix.CAP_NET_RAW}, "", exitcode.OK, ""},
		{"no CAP_NET_RAW", []uintptr{unix.CAP_NET_ADMIN}, "", exitcode.NoPermission, "CAP_NET_RAW"},
		{"no CAP_SYS_ADMIN", []uintptr{unix.CAP_NET_ADMIN, unix.CAP_NET_RAW}, prober.name, exitcode.NoPermission, "CAP_SYS_ADMIN"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var out []byte
			start := func() error {
				cmd := exec.Command("/proc/self/exe") // the path of the binary is root's alone
				cmd.Dir = "/"
				cmd.Env = []string{asNobody + "=" + test.ns}
				cmd.SysProcAttr = &syscall.SysProcAttr{
					Credential:  &syscall.Credential{Uid: 65534, Gid: 65534},
					AmbientCaps: test.caps,
				}
				var err error
				out, err = cmd.CombinedOutput()
				if _, ended := err.(*exec.ExitError); ended {
					err = nil
				}
				if err == nil && cmd.ProcessState.ExitCode() != test.code {
					t.Errorf("exit code %d, want %d", cmd.ProcessState.ExitCode(), test.code)
				}
				return err
			}
			var err error
			if test.ns == "" {
				err = prober.ns.do(start)
			} else {
				err = start()
			}
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(string(out), test.says) || strings.Count(string(out), "\n") > 1 {
				t.Errorf("said %q, want one line with %q", out, test.says)
			}
		})
	}
}
