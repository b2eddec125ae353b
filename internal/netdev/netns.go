// SPDX-License-Identifier: Apache-2.0

package netdev

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/netprobe-xdp/netprobe-xdp/internal/exitcode"
)

// netnsDir is where ip-netns(8) keeps named network namespaces.
const netnsDir = "/run/netns"

// Do runs fn inside the network namespace ns: a name under /run/netns, a path,
// or "" for the one of the caller. fn runs on an OS thread of its own that is
// put back afterwards: sockets opened in fn stay in ns, goroutines that fn
// starts are not in it. A namespace that does not exist is an error with exit
// code Unavailable, a missing permission one with NoPermission.
func Do(ns string, fn func() error) error {
	if ns == "" {
		return fn()
	}
	n, err := openNamespace(ns)
	if err != nil {
		return err
	}
	defer n.close()
	return n.do(fn)
}

// namespace is an open network namespace. It stays usable after its name is
// removed. Immutable; any goroutine may use it.
type namespace struct {
	name   string // as given; "" for the one of the process
	id     string // as of NetNS
	handle netns.NsHandle
}

// NetNS is what tells the network namespace ns, named as for Do, from all others of
// this kernel: the device and inode of its file, as in "4:4026531840" (namespaces(7)).
// Its errors are those of Do.
func NetNS(ns string) (string, error) {
	n, err := openNamespace(ns)
	if err != nil {
		return "", err
	}
	defer n.close()
	return n.id, nil
}

// NameOf is the name under /run/netns of the namespace with an id as of NetNS, "" where
// none is seen to have one.
func NameOf(id string) string {
	entries, err := os.ReadDir(netnsDir)
	if err != nil {
		return ""
	}
	for _, e := range entries {
		if its, err := NetNS(e.Name()); err == nil && its == id {
			return e.Name()
		}
	}
	return ""
}

// known returns the namespace of an open file, which is given up where that fails.
func known(name string, handle netns.NsHandle) (*namespace, error) {
	var file unix.Stat_t
	if err := unix.Fstat(int(handle), &file); err != nil {
		_ = handle.Close()
		return nil, fmt.Errorf("look at network namespace %s: %w", cmp.Or(name, "of this process"), err)
	}
	return &namespace{name: name, id: fmt.Sprintf("%d:%d", file.Dev, file.Ino), handle: handle}, nil
}

func openNamespace(name string) (*namespace, error) {
	if name == "" {
		h, err := netns.Get()
		if err != nil {
			return nil, fmt.Errorf("open the current network namespace: %w", err)
		}
		return known("", h)
	}
	path := name
	if !strings.Contains(name, "/") {
		path = filepath.Join(netnsDir, name)
	}
	h, err := netns.GetFromPath(path)
	switch {
	case err == nil:
		return known(name, h)
	case errors.Is(err, fs.ErrPermission):
		return nil, exitcode.With(exitcode.NoPermission, fmt.Errorf("open network namespace %s: %w; run as root", path, err))
	default:
		return nil, exitcode.With(exitcode.Unavailable, fmt.Errorf("open network namespace %s: %w; %s", path, err, existingNamespaces()))
	}
}

// existingNamespaces is a phrase that says which names could have been meant.
func existingNamespaces() string {
	entries, err := os.ReadDir(netnsDir)
	if err != nil || len(entries) == 0 {
		return "there is no named namespace on this host"
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return "existing: " + strings.Join(names, ", ")
}

func (n *namespace) close() { _ = n.handle.Close() }

// String is a phrase for messages: " in network namespace x", or nothing.
func (n *namespace) String() string {
	if n.name == "" {
		return ""
	}
	return " in network namespace " + n.name
}

// do runs fn inside the namespace on a thread of its own. A named namespace
// alone can be refused; fn's own error is returned as it is.
func (n *namespace) do(fn func() error) error {
	err := errors.New("the function left its goroutine")
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		home, e := netns.Get()
		if e != nil {
			err = fmt.Errorf("open the current network namespace: %w", e)
			runtime.UnlockOSThread()
			return
		}
		defer home.Close()
		// setns(2) asks for CAP_SYS_ADMIN even for the namespace one is in, and a
		// run without --netns needs no such thing.
		if home.Equal(n.handle) {
			defer runtime.UnlockOSThread()
			err = fn()
			return
		}
		if e := netns.Set(n.handle); e != nil {
			runtime.UnlockOSThread()
			err = exitcode.With(exitcode.Unavailable, fmt.Errorf("enter network namespace %s: %w; is it one?", n.name, e))
			if errors.Is(e, unix.EPERM) {
				err = exitcode.With(exitcode.NoPermission, fmt.Errorf("enter network namespace %s: %w; CAP_SYS_ADMIN is needed for that", n.name, e))
			}
			return
		}
		// A thread that cannot be put back stays locked, and so ends with
		// this goroutine.
		defer func() {
			if netns.Set(home) == nil {
				runtime.UnlockOSThread()
			}
		}()
		err = fn()
	}()
	<-done
	return err
}
