// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
)

func itoa(n int) string { return strconv.Itoa(n) }

// inode returns the inode number of a namespace's file, which is the
// namespace's identity.
func inode(t *testing.T, path string) uint64 {
	t.Helper()
	fi, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return fi.Sys().(*syscall.Stat_t).Ino
}

// holders returns the threads and open files of this process that keep the
// namespace with this inode alive.
func holders(t *testing.T, ino uint64) []string {
	t.Helper()
	var out []string
	want := fmt.Sprintf("net:[%d]", ino)
	for _, pattern := range []string{"/proc/self/task/*/ns/net", "/proc/self/fd/*"} {
		links, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range links {
			if to, err := os.Readlink(l); err == nil && to == want {
				out = append(out, l)
			}
		}
	}
	return out
}
