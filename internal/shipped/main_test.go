// SPDX-License-Identifier: Apache-2.0

package shipped

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/lab"
)

// patience bounds every wait for something that takes moments on an idle
// machine.
const patience = 60 * time.Second

// configs is the folder under test.
var configs = filepath.Join("..", "..", "configs")

// binary is the program, in a folder that everybody may enter.
var binary string

func TestMain(m *testing.M) { os.Exit(build(m)) }

// build builds the program as the Makefile does and runs the tests.
func build(m *testing.M) int {
	dir, err := os.MkdirTemp("", "npxshipped")
	if err == nil {
		defer os.RemoveAll(dir)
		err = os.Chmod(dir, 0o755)
	}
	if err == nil {
		binary = filepath.Join(dir, "netprobe-xdp")
		err = lab.BuildProgram(binary)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// eventually waits for ok.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("after %v still not: %s", patience, what)
		}
	}
}

// read returns a file of the repository's configs.
func read(t *testing.T, path ...string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(append([]string{configs}, path...)...))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// write writes a file below a folder of the test.
func write(t *testing.T, dir, name string, text []byte) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, text, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}
