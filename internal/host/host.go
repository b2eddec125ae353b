// SPDX-License-Identifier: Apache-2.0

// Package host says what the kernel offers and what this process is allowed:
// what a run needs beyond a network interface.
package host

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"strconv"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/features"
	"golang.org/x/sys/unix"

	"github.com/netprobe-xdp/netprobe-xdp/internal/exitcode"
)

// Unlimited is a memory limit without bound.
const Unlimited = math.MaxUint64

// Facts is what was found.
type Facts struct {
	Kernel       string       `json:"kernel"` // release, as uname -r
	Capabilities []Capability `json:"capabilities"`
	// MemlockSoft and MemlockHard are RLIMIT_MEMLOCK in bytes, or Unlimited.
	// Kernels before 5.11 charge BPF maps and every kernel charges AF_XDP
	// memory against it, unless CAP_IPC_LOCK is held.
	MemlockSoft uint64    `json:"memlock_soft"`
	MemlockHard uint64    `json:"memlock_hard"`
	Features    []Feature `json:"features"`
	// BTF: the kernel describes its own types. Our programs do not need it;
	// bpftool and other programs on the host may.
	BTF bool `json:"btf"`
}

// Capability is a capability that matters here.
type Capability struct {
	Name string `json:"name"`
	Held bool   `json:"held"` // effective
}

// Feature is something the kernel must have.
type Feature struct {
	Name  string `json:"name"`
	OK    bool   `json:"ok"`
	Lacks string `json:"lacks,omitempty"` // why not, and from which kernel on
	// Denied: this process may not find out. Lacks says why.
	Denied bool `json:"denied,omitempty"`
}

// wanted are the capabilities reported, in the order of capabilities(7).
var wanted = []struct {
	name string
	bit  uint
}{
	{"CAP_NET_ADMIN", unix.CAP_NET_ADMIN},
	{"CAP_NET_RAW", unix.CAP_NET_RAW},
	{"CAP_IPC_LOCK", unix.CAP_IPC_LOCK},
	{"CAP_SYS_ADMIN", unix.CAP_SYS_ADMIN},
	{"CAP_PERFMON", unix.CAP_PERFMON},
	{"CAP_BPF", unix.CAP_BPF},
}

// Read looks at the running kernel and this process.
func Read() (Facts, error) {
	var f Facts
	var uts unix.Utsname
	if err := unix.Uname(&uts); err != nil {
		return f, fmt.Errorf("read the kernel's release: %w", err)
	}
	f.Kernel = unix.ByteSliceToString(uts.Release[:])

	status, err := os.ReadFile("/proc/thread-self/status")
	if err != nil {
		return f, fmt.Errorf("read the process's capabilities: %w", err)
	}
	if f.Capabilities, err = parseCapabilities(status); err != nil {
		return f, err
	}

	var lim unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_MEMLOCK, &lim); err != nil {
		return f, fmt.Errorf("read RLIMIT_MEMLOCK: %w", err)
	}
	f.MemlockSoft, f.MemlockHard = lim.Cur, lim.Max
	f.Features = kernelFeatures()
	_, err = os.Stat("/sys/kernel/btf/vmlinux")
	f.BTF = err == nil
	return f, nil
}

// parseCapabilities reads the line CapEff of proc_pid_status(5).
func parseCapabilities(status []byte) ([]Capability, error) {
	s := bufio.NewScanner(bytes.NewReader(status))
	for s.Scan() {
		hex, ok := strings.CutPrefix(s.Text(), "CapEff:")
		if !ok {
			continue
		}
		set, err := strconv.ParseUint(strings.TrimSpace(hex), 16, 64)
		if err != nil {
			return nil, fmt.Errorf("read the process's capabilities: %w", err)
		}
		held := make([]Capability, len(wanted))
		for i, w := range wanted {
			held[i] = Capability{Name: w.name, Held: set&(1<<w.bit) != 0}
		}
		return held, nil
	}
	return nil, errors.New("read the process's capabilities: no line CapEff in its status")
}

// Holds says whether the capability is effective.
func (f Facts) Holds(name string) bool {
	for _, c := range f.Capabilities {
		if c.Name == name {
			return c.Held
		}
	}
	return false
}

// Missing returns the capabilities that a run needs and this process lacks.
// CAP_SYS_ADMIN stands for CAP_BPF and CAP_PERFMON, as in the kernel, whose
// verifier asks for the latter where a program does arithmetic with pointers.
//
// more names further ones that this run needs.
func (f Facts) Missing(more ...string) []string {
	var missing []string
	for _, name := range append([]string{"CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_BPF", "CAP_PERFMON"}, more...) {
		implied := !strings.HasPrefix(name, "CAP_NET") && f.Holds("CAP_SYS_ADMIN")
		if !f.Holds(name) && !implied {
			missing = append(missing, name)
		}
	}
	return missing
}

// Require returns an error with exit code NoPermission that names what is
// missing for a run, or one with Unavailable that names what the kernel lacks.
func (f Facts) Require(more ...string) error {
	if missing := f.Missing(more...); len(missing) > 0 {
		return exitcode.With(exitcode.NoPermission,
			fmt.Errorf("missing %s; run as root, or grant it to the process", strings.Join(missing, ", ")))
	}
	for _, x := range f.Features {
		switch {
		case x.Denied:
			return exitcode.With(exitcode.Unavailable,
				fmt.Errorf("%s: refused to this process: %s; see what confines it, such as the seccomp profile of a container", x.Name, x.Lacks))
		case !x.OK:
			return exitcode.With(exitcode.Unavailable, fmt.Errorf("kernel %s lacks %s: %s", f.Kernel, x.Name, x.Lacks))
		}
	}
	return nil
}

// kernelFeatures asks the kernel itself rather than its version: distributions
// backport.
func kernelFeatures() []Feature {
	return []Feature{
		feature("XDP programs", "needs kernel 4.8", features.HaveProgramType(ebpf.XDP)),
		feature("AF_XDP maps", "needs kernel 4.18 with CONFIG_XDP_SOCKETS", features.HaveMapType(ebpf.XSKMap)),
		feature("AF_XDP sockets", "needs kernel 4.18 with CONFIG_XDP_SOCKETS", haveXDPSocket()),
		feature("XDP on multi-buffer frames", "needs kernel 5.18", haveFrags()),
	}
}

func feature(name, needs string, err error) Feature {
	switch {
	case err == nil:
		return Feature{Name: name, OK: true}
	case errors.Is(err, fs.ErrPermission):
		return Feature{Name: name, Lacks: "operation not permitted", Denied: true}
	}
	return Feature{Name: name, Lacks: fmt.Sprintf("%s (%v)", needs, err)}
}

// haveFrags loads a program as bpf/steer is loaded, but for its instructions.
func haveFrags() error {
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type:         ebpf.XDP,
		Flags:        unix.BPF_F_XDP_HAS_FRAGS,
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 2), asm.Return()},
		License:      "Dual BSD/GPL",
	})
	if err != nil {
		return err
	}
	return p.Close()
}

func haveXDPSocket() error {
	fd, err := unix.Socket(unix.AF_XDP, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	return unix.Close(fd)
}
