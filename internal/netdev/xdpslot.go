// SPDX-License-Identifier: Apache-2.0

package netdev

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/vishvananda/netlink/nl"
)

// XDPHolder is the program in an interface's XDP slot and who keeps it there.
type XDPHolder struct {
	Interface string    `json:"interface"`
	Mode      string    `json:"mode"` // native, generic, offload or several
	ProgramID uint32    `json:"program_id"`
	Name      string    `json:"name,omitempty"` // at most 15 bytes; "" when this process may not know
	Tag       string    `json:"tag,omitempty"`  // hash of its instructions
	Processes []Process `json:"processes,omitempty"`
	// Hidden: this process may not look at every other, and so does not know whether
	// Processes is all.
	Hidden bool `json:"hidden,omitempty"`
}

// Process is a process that keeps an XDP program by a file descriptor.
type Process struct {
	PID     int    `json:"pid"`
	Command string `json:"command"`
	// Link: it holds the bpf_link, so the slot is freed when it ends. Otherwise
	// it holds only the program.
	Link bool `json:"link"`
}

// String says who holds the slot, for an error message. A program without a
// process stays until it is taken off (ip link set DEV xdp off), or is pinned.
func (h *XDPHolder) String() string {
	name := h.Name
	if name == "" {
		name = "of unknown name"
	}
	s := fmt.Sprintf("XDP slot of %s is held by program %s (id %d, %s mode)", h.Interface, name, h.ProgramID, h.Mode)
	switch {
	case len(h.Processes) == 0 && h.Hidden:
		return s + ", by whom is hidden from this user"
	case len(h.Processes) == 0:
		return s + ", which no process on this host holds"
	}
	var who []string
	for _, p := range h.Processes {
		who = append(who, fmt.Sprintf("process %d (%s)", p.PID, p.Command))
	}
	return s + " of " + strings.Join(who, ", ")
}

// XDPHolder says what is attached to the interface's XDP slot; nil when it is
// free. Name, tag and processes are found as far as the process's permissions
// reach.
func (l *Link) XDPHolder() (*XDPHolder, error) {
	link, err := l.nl.LinkByIndex(l.Index())
	if err != nil {
		return nil, fmt.Errorf("read the XDP slot of %s%s: %w", l.Name(), l.ns, err)
	}
	x := link.Attrs().Xdp
	if x == nil || !x.Attached {
		return nil, nil
	}
	h := &XDPHolder{Interface: link.Attrs().Name, ProgramID: x.ProgId, Mode: xdpMode(x.AttachMode)}
	if h.ProgramID == 0 { // several: the kernel names no single one
		return h, nil
	}
	if prog, err := ebpf.NewProgramFromID(ebpf.ProgramID(h.ProgramID)); err == nil {
		if info, err := prog.Info(); err == nil {
			h.Name, h.Tag = info.Name, info.Tag
		}
		_ = prog.Close()
	}
	h.Processes, h.Hidden, err = holders("/proc", h.ProgramID)
	return h, err
}

func xdpMode(m uint32) string {
	switch m {
	case nl.XDP_ATTACHED_DRV:
		return "native"
	case nl.XDP_ATTACHED_SKB:
		return "generic"
	case nl.XDP_ATTACHED_HW:
		return "offload"
	}
	return "several"
}

// holders looks through the descriptors of every process that this one may
// see for links and programs with this program id. The processes with a link
// to it win over those that hold the program only. hidden says that there are
// processes that it may not see.
func holders(proc string, id uint32) (found []Process, hidden bool, err error) {
	entries, err := os.ReadDir(proc)
	if err != nil {
		return nil, false, fmt.Errorf("list processes: %w", err)
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		holds, link, err := holdsProgram(filepath.Join(proc, e.Name()), id)
		hidden = hidden || errors.Is(err, fs.ErrPermission)
		if holds {
			comm, _ := os.ReadFile(filepath.Join(proc, e.Name(), "comm"))
			found = append(found, Process{PID: pid, Command: strings.TrimSpace(string(comm)), Link: link})
		}
	}
	if slices.ContainsFunc(found, func(p Process) bool { return p.Link }) {
		found = slices.DeleteFunc(found, func(p Process) bool { return !p.Link })
	}
	return found, hidden, nil
}

func holdsProgram(dir string, id uint32) (holds, link bool, err error) {
	fds, err := os.ReadDir(filepath.Join(dir, "fd"))
	if err != nil { // ended meanwhile, or somebody else's
		return false, false, err
	}
	for _, fd := range fds {
		target, err := os.Readlink(filepath.Join(dir, "fd", fd.Name()))
		if err != nil || !strings.HasPrefix(target, "anon_inode:bpf") {
			continue
		}
		info, err := os.ReadFile(filepath.Join(dir, "fdinfo", fd.Name()))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			continue
		}
		prog, isLink := parseFDInfo(info)
		if prog == id {
			holds, link = true, link || isLink
		}
	}
	return holds, link, nil
}

// parseFDInfo reads the program id of a BPF descriptor's fdinfo, and whether the
// descriptor is an XDP link (bpf_link_show_fdinfo in kernel/bpf/syscall.c).
func parseFDInfo(b []byte) (id uint32, link bool) {
	s := bufio.NewScanner(bytes.NewReader(b))
	for s.Scan() {
		key, value, ok := strings.Cut(s.Text(), ":")
		if !ok {
			continue
		}
		switch value = strings.TrimSpace(value); key {
		case "prog_id":
			if n, err := strconv.ParseUint(value, 10, 32); err == nil {
				id = uint32(n)
			}
		case "link_type":
			link = value == "xdp"
		}
	}
	return id, link
}
