// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"errors"
	"fmt"
	"math"
	"os"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// childName, in place of the program's own name, turns this program into the
// one that starts a command: see BecomeChild.
const childName = "netprobe-xdp: inventory"

// BecomeChild does nothing in a process that a person started. In one that a
// Command started it gives up what a list of targets needs not, and becomes the
// command. It is the first call of main: between fork and exec Go runs nothing
// of ours, so this program is started once more to do it.
func BecomeChild() {
	if len(os.Args) < 2 || os.Args[0] != childName {
		return
	}
	err := becomeChild(os.Args[1], os.Args[2:])
	fmt.Fprintln(os.Stderr, "cannot start:", err)
	os.Exit(127) // as a shell does
}

func becomeChild(path string, args []string) error {
	runtime.LockOSThread() // capabilities are the thread's, and it is the thread that becomes the command
	if err := renounce(); err != nil {
		return err
	}
	// What is not marked to be closed would be inherited: rings, for one.
	if err := unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC); err != nil {
		return fmt.Errorf("close what is not the command's: %w", err)
	}
	_ = unix.Setpriority(unix.PRIO_PROCESS, 0, childNice) // probing comes first
	if err := syscall.Exec(path, args, os.Environ()); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// childNice is the command's nice value.
const childNice = 10

// renounce gives up all capabilities of this thread for good: what it execs
// gets none either, whoever it runs as and whatever the file has (no_new_privs,
// prctl(2)).
func renounce() error {
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("renounce new privileges: %w", err)
	}
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil {
		return fmt.Errorf("clear the ambient capabilities: %w", err)
	}
	for c := uintptr(0); ; c++ {
		err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0)
		if errors.Is(err, unix.EINVAL) { // past the last there is
			break
		}
		if errors.Is(err, unix.EPERM) { // that needs CAP_SETPCAP; without it no_new_privs suffices
			break
		}
		if err != nil {
			return fmt.Errorf("drop capability %d from the bounding set: %w", c, err)
		}
	}
	none := [2]unix.CapUserData{}
	if err := unix.Capset(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &none[0]); err != nil {
		return fmt.Errorf("drop capabilities: %w", err)
	}
	// Last: a change of credentials undoes it.
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0); err != nil {
		return fmt.Errorf("end with the prober: %w", err)
	}
	return nil
}
