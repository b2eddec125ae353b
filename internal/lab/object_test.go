// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The committed object is what clang makes of its source.
func TestObjectMatchesSource(t *testing.T) {
	if _, err := exec.LookPath("clang-14"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("clang-14 is not installed, and this test must not be skipped where CI=true")
		}
		t.Skip("clang-14 is not installed: apt install clang-14 llvm-14 libbpf-dev")
	}
	source, err := os.ReadFile("reflector.go")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`(?m)^//go:generate go (.*bpf2go) (.*)$`).FindSubmatch(source)
	if m == nil {
		t.Fatal("reflector.go has no go:generate line for bpf2go")
	}
	dir := t.TempDir()
	args := append(strings.Fields(string(m[1])), "-output-dir", dir)
	cmd := exec.Command("go", append(args, strings.Fields(string(m[2]))...)...)
	cmd.Env = append(os.Environ(), "GOPACKAGE=lab", "GOFILE=reflector.go")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, name := range []string{"reflect_bpfel.go", "reflect_bpfel.o"} {
		committed, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		made, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(committed, made) {
			t.Errorf("%s does not match its source: run make bpf", name)
		}
	}
}
