// SPDX-License-Identifier: Apache-2.0

package endtoend

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/netprobe-xdp/netprobe-xdp/internal/lab"
)

// binary is the program under test, in a folder that everybody may enter.
var binary string

// etcVar names a folder of files that a run is to see instead of the machine's.
// It turns this test binary into the program: see become.
const etcVar = "ENDTOEND_ETC"

func TestMain(m *testing.M) {
	if etc, ok := os.LookupEnv(etcVar); ok {
		fmt.Fprintln(os.Stderr, become(etc))
		os.Exit(1)
	}
	os.Exit(build(m))
}

// build builds the program as the Makefile does and runs the tests.
func build(m *testing.M) int {
	dir, err := os.MkdirTemp("", "npxendtoend")
	if err == nil {
		defer os.RemoveAll(dir)
		err = os.Chmod(dir, 0o755)
	}
	if err == nil {
		binary = filepath.Join(dir, "netprobe-xdp")
		err = lab.BuildProgram(binary)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// become replaces this process, which is in a mount namespace of its own, by
// the program: with the resolv.conf of the folder etc in place of the
// machine's, and, if there is one, systemd.conf in place of systemd-resolved's.
// It returns only when it fails.
func become(etc string) error {
	bind := func(name, at string) error {
		if err := syscall.Mount(filepath.Join(etc, name), at, "", syscall.MS_BIND, ""); err != nil {
			return fmt.Errorf("mount %s on %s: %w", name, at, err)
		}
		return nil
	}
	if err := bind("resolv.conf", "/etc/resolv.conf"); err != nil {
		return err
	}
	if b, err := os.ReadFile(filepath.Join(etc, "systemd.conf")); err == nil {
		// The folder need not exist, and must not be left behind.
		if err := syscall.Mount("tmpfs", "/run", "tmpfs", 0, ""); err != nil {
			return fmt.Errorf("mount a /run of our own: %w", err)
		}
		if err := os.MkdirAll("/run/systemd/resolve", 0o755); err != nil {
			return err
		}
		if err := os.WriteFile("/run/systemd/resolve/resolv.conf", b, 0o644); err != nil {
			return err
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	var env []string
	for _, v := range os.Environ() {
		if name := etcVar + "="; len(v) < len(name) || v[:len(name)] != name {
			env = append(env, v)
		}
	}
	return syscall.Exec(os.Args[1], os.Args[1:], env)
}
