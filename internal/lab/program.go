// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"fmt"
	"os"
	"os/exec"
)

// BuildProgram builds the program into a file as the Makefile does: without cgo,
// which would keep it from giving up capabilities on all its threads. It is called
// with the working directory anywhere inside the module.
func BuildProgram(file string) error {
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-o", file, "github.com/netprobe-xdp/netprobe-xdp/cmd/netprobe-xdp")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build the program: %w: %s", err, out)
	}
	return nil
}

// Tool returns the path of a program that the package of this name brings. Without
// it the test is skipped, or fails where CI=true.
func Tool(t TB, name, of string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err == nil {
		return path
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("needs %s: apt-get install %s", name, of)
	}
	t.Skipf("needs %s: apt-get install %s", name, of)
	return ""
}
