// SPDX-License-Identifier: Apache-2.0

package host

import (
	"errors"
	"fmt"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// lasting are the capabilities that a run goes on needing: to open its
// interface again it loads the XDP program (CAP_BPF, and CAP_PERFMON for its
// arithmetic with pointers), attaches it (CAP_NET_ADMIN), opens sockets
// (CAP_NET_RAW) and locks their memory (CAP_IPC_LOCK).
var lasting = []string{"CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_BPF", "CAP_PERFMON", "CAP_IPC_LOCK"}

// ErrThreads says that this binary cannot give capabilities up on all of its
// threads, because it was built with cgo.
var ErrThreads = errors.New("built with cgo, which keeps capabilities from being given up on all threads; build with CGO_ENABLED=0")

// Confine gives up on all threads, for good, every capability that a run needs
// no longer, and sets no-new-privileges (prctl(2)): no program that this process
// starts can have more. more names further capabilities to keep. It returns those
// that are kept. Errors: ErrThreads, or what the kernel says.
//
// Capabilities belong to threads and Go moves goroutines between them, so each
// call is made by all threads at once, which stops the process for a moment: call
// it before anything is measured.
func Confine(more ...string) (kept []string, err error) {
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var sets [2]unix.CapUserData
	if err := unix.Capget(&hdr, &sets[0]); err != nil {
		return nil, fmt.Errorf("read the process's capabilities: %w", err)
	}
	permitted := uint64(sets[0].Permitted) | uint64(sets[1].Permitted)<<32
	keep := permitted & mask(append(lasting, more...))
	if keep&mask([]string{"CAP_BPF", "CAP_PERFMON"}) != mask([]string{"CAP_BPF", "CAP_PERFMON"}) {
		keep |= permitted & (1 << unix.CAP_SYS_ADMIN) // it stands for them: see Missing
	}

	if err := onAllThreads(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0); err != nil {
		return nil, fmt.Errorf("renounce new privileges: %w", err)
	}
	if err := onAllThreads(unix.SYS_PRCTL, unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0); err != nil {
		return nil, fmt.Errorf("clear the ambient capabilities: %w", err)
	}
	if permitted&(1<<unix.CAP_SETPCAP) != 0 { // without it, no-new-privileges does for what is started
		for c := range uintptr(unix.CAP_LAST_CAP + 1) {
			if keep&(1<<c) != 0 {
				continue
			}
			// EINVAL: the kernel is older than the capability.
			if err := onAllThreads(unix.SYS_PRCTL, unix.PR_CAPBSET_DROP, c, 0); err != nil && !errors.Is(err, unix.EINVAL) {
				return nil, fmt.Errorf("drop capability %d from the bounding set: %w", c, err)
			}
		}
	}
	for i := range sets {
		half := uint32(keep >> (32 * i))
		sets[i] = unix.CapUserData{Effective: half, Permitted: half}
	}
	hdr.Pid = 0 // the calling thread: each of them
	err = onAllThreads(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&hdr)), uintptr(unsafe.Pointer(&sets[0])), 0)
	if err != nil {
		return nil, fmt.Errorf("drop capabilities: %w", err)
	}
	for _, w := range wanted {
		if keep&(1<<w.bit) != 0 {
			kept = append(kept, w.name)
		}
	}
	return kept, nil
}

// mask is the set of the capabilities with these names, which are among wanted.
func mask(names []string) (set uint64) {
	for _, name := range names {
		for _, w := range wanted {
			if w.name == name {
				set |= 1 << w.bit
			}
		}
	}
	return set
}

// onAllThreads makes a system call on every thread of the process; threads that
// come later inherit what it did. A pointer among the arguments is to what
// lives as long as the call.
//
//go:uintptrescapes
func onAllThreads(call, a, b, c uintptr) error {
	switch _, _, errno := syscall.AllThreadsSyscall(call, a, b, c); errno {
	case 0:
		return nil
	case syscall.ENOTSUP:
		return ErrThreads
	default:
		return errno
	}
}
