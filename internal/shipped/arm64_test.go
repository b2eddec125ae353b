// SPDX-License-Identifier: Apache-2.0

//go:build packages

package shipped

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/netprobe-xdp/netprobe-xdp/internal/lab"
)

// TestPackageArm64: the program of the package for arm64 runs on an emulated
// processor, and so do the tests of what needs no network. Those two of
// internal/engine that are left out ask for kinds of sockets that this emulation
// does not know; scripts/test-kernels.sh boots a kernel for the rest.
func TestPackageArm64(t *testing.T) {
	emulator := lab.Tool(t, "qemu-aarch64-static", "qemu-user-static")
	deb, _ := pack(t, "arm64")
	root := t.TempDir()
	command(t, "dpkg-deb", "-x", deb, root)
	program := filepath.Join(root, "usr/bin/netprobe-xdp")
	if out := command(t, emulator, program, "version"); !strings.HasSuffix(out, "linux/arm64)\n") {
		t.Error(out)
	}
	if out := command(t, emulator, program, "check", filepath.Join(configs, "netprobe.yaml")); !strings.Contains(out, "4 targets, 2 groups") {
		t.Error(out)
	}
	cmd := exec.Command("go", "test", "-count=1", "-short", "-exec", emulator, "-skip", "TestWorstNoNeighbour|TestMoreUnderWayThanBefore",
		"../packet", "../plan", "../result", "../engine")
	cmd.Env = append(os.Environ(), "GOARCH=arm64", "CGO_ENABLED=0")
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Error(err)
	}
}
