// SPDX-License-Identifier: Apache-2.0

package host

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Memory is what this process has and may have, in bytes.
type Memory struct {
	InUse uint64 // resident, and its own
	Limit uint64 // of its control groups; Unlimited where they set none
}

// ReadMemory asks the kernel. Limits are those of control groups version 2, and
// of version 1 where that has the memory controller, of this group and those above
// it as far as they are visible (Documentation/admin-guide/cgroup-v2.rst).
func ReadMemory() (Memory, error) {
	groups, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return Memory{}, fmt.Errorf("read the control groups of this process: %w", err)
	}
	statm, err := os.ReadFile("/proc/self/statm") // size resident shared ..., in pages: proc_pid_statm(5)
	if err != nil {
		return Memory{}, fmt.Errorf("read the memory of this process: %w", err)
	}
	var size, resident, shared uint64
	if _, err := fmt.Sscan(string(statm), &size, &resident, &shared); err != nil {
		return Memory{}, fmt.Errorf("read the memory of this process: %w", err)
	}
	return Memory{InUse: (resident - shared) * uint64(os.Getpagesize()), Limit: memoryLimit("/sys/fs/cgroup", groups)}, nil
}

// memoryLimit is the smallest limit of the groups that the content of a
// /proc/PID/cgroup names, under root.
func memoryLimit(root string, groups []byte) uint64 {
	limit := uint64(Unlimited)
	for line := range bytes.Lines(groups) {
		id, rest, _ := strings.Cut(strings.TrimSpace(string(line)), ":")
		controllers, path, ok := strings.Cut(rest, ":")
		dir, file := root, "memory.max"
		switch {
		case !ok:
			continue
		case id == "0" && controllers == "":
		case controllers == "memory":
			dir, file = filepath.Join(root, "memory"), "memory.limit_in_bytes"
		default:
			continue
		}
		for path = filepath.Clean("/" + path); ; path = filepath.Dir(path) {
			b, err := os.ReadFile(filepath.Join(dir, path, file))
			if n, perr := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 64); err == nil && perr == nil && n < 1<<60 {
				limit = min(limit, n) // none is "max", or in version 1 a very large number
			}
			if path == "/" {
				break
			}
		}
	}
	return limit
}
