// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestObjectsMatchSources rebuilds everything that bpf2go made, in another
// directory, so that a path in an object shows, and compares it byte by byte.
func TestObjectsMatchSources(t *testing.T) {
	for _, tool := range []string{"clang-14", "llvm-strip-14"} {
		if _, err := exec.LookPath(tool); err != nil {
			if os.Getenv("CI") == "true" {
				t.Fatalf("needs %s, which the objects are built with", tool)
			}
			t.Skipf("needs %s, which the objects are built with", tool)
		}
	}
	dir := t.TempDir()
	bpf2go := filepath.Join(dir, "bpf2go")
	if out, err := exec.Command("go", "build", "-o", bpf2go, "github.com/cilium/ebpf/cmd/bpf2go").CombinedOutput(); err != nil {
		t.Fatalf("build bpf2go: %v\n%s", err, out)
	}
	sources, err := filepath.Glob("*.c")
	if err != nil {
		t.Fatal(err)
	}
	headers, err := filepath.Glob("include/*.h")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range append(sources, headers...) {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		copied := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(copied), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(copied, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	const directive = "//go:generate go run github.com/cilium/ebpf/cmd/bpf2go "
	for line := range strings.Lines(string(doc)) {
		args, ok := strings.CutPrefix(line, directive)
		if !ok {
			continue
		}
		cmd := exec.Command(bpf2go, strings.Fields(args)...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GOPACKAGE=bpf")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", args, err, out)
		}
	}
	built, err := filepath.Glob(filepath.Join(dir, "*_bpfel.*"))
	if err != nil {
		t.Fatal(err)
	}
	committed, err := filepath.Glob("*_bpfel.*")
	if err != nil {
		t.Fatal(err)
	}
	if len(built) != 2*len(sources) || len(committed) != len(built) {
		t.Fatalf("%d sources, %d files built, %d committed", len(sources), len(built), len(committed))
	}
	for _, path := range built {
		name := filepath.Base(path)
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s does not match its source: run make bpf", name)
		}
	}
}
