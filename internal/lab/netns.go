// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// netnsDir is where `ip netns` keeps named namespaces.
const netnsDir = "/run/netns"

// namePrefix starts the name of every namespace that a Lab makes.
const namePrefix = "npx"

var (
	labName  = regexp.MustCompile(`^[a-z]{1,16}$`)
	hostName = regexp.MustCompile(`^[a-z0-9-]{1,11}$`)
	// ours matches a namespace of a Lab and captures the process's id.
	ours = regexp.MustCompile(`^` + namePrefix + `[a-z]{1,16}([0-9]+)(?:\.[0-9]+)?-[a-z0-9-]{1,11}$`)
)

func validName(s string) bool     { return labName.MatchString(s) }
func validHostName(s string) bool { return hostName.MatchString(s) }

// createNetns makes a named namespace and returns it open.
func createNetns(name string) (netns.NsHandle, error) {
	type made struct {
		ns  netns.NsHandle
		err error
	}
	done := make(chan made)
	// The goroutine ends with its thread, which is then in the new namespace.
	go func() {
		runtime.LockOSThread()
		ns, err := netns.NewNamed(name)
		if err != nil {
			err = fmt.Errorf("making namespace %s: %w", name, err)
			// A name that existed before is somebody's; one without a mount
			// is what NewNamed left.
			if !errors.Is(err, fs.ErrExist) {
				_ = os.Remove(filepath.Join(netnsDir, name))
			}
		}
		done <- made{ns, err}
	}()
	m := <-done
	return m.ns, m.err
}

// deleteNetns takes a namespace's name away. One that is gone already is no
// error.
func deleteNetns(name string) error {
	path := filepath.Join(netnsDir, name)
	// EINVAL: a plain file, left by a process that died before it mounted.
	if err := unix.Unmount(path, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("unmounting namespace %s: %w", path, err)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing namespace %s: %w", path, err)
	}
	return nil
}

// Sweep removes the namespaces of Labs whose process is dead, and returns
// what could not be removed. Those of living processes stay, so it is safe at
// any time, from any goroutine.
func Sweep() error {
	names, err := os.ReadDir(netnsDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("looking for leftover namespaces: %w", err)
	}
	var errs []error
	for _, n := range names {
		m := ours.FindStringSubmatch(n.Name())
		if m == nil {
			continue
		}
		pid, err := strconv.Atoi(m[1])
		if err != nil || alive(pid) {
			continue
		}
		errs = append(errs, deleteNetns(n.Name()))
	}
	return errors.Join(errs...)
}

func alive(pid int) bool {
	_, err := os.Stat(filepath.Join("/proc", strconv.Itoa(pid)))
	return !errors.Is(err, fs.ErrNotExist)
}
