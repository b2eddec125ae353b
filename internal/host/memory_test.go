// SPDX-License-Identifier: Apache-2.0

package host

import (
	"os"
	"path/filepath"
	"testing"
)

func TestMemoryLimit(t *testing.T) {
	root := t.TempDir()
	for name, content := range map[string]string{
		"a/memory.max":                     "500\n",
		"a/b/memory.max":                   "max\n",
		"a/b/c/memory.max":                 "700\n",
		"d/memory.max":                     "max\n",
		"memory/memory.limit_in_bytes":     "9223372036854771712\n",
		"memory/e/memory.limit_in_bytes":   "300\n",
		"memory/e/f/memory.limit_in_bytes": "9223372036854771712\n",
	} {
		file := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for groups, want := range map[string]uint64{
		"0::/a/b/c\n":                   500,
		"0::/d\n":                       Unlimited,
		"0::/\n":                        Unlimited,
		"4:memory:/e/f\n0::/\n":         300,
		"4:memory:/\n2:cpu,io:/a\n":     Unlimited,
		"4:memory:/e\n0::/a\n":          300,
		"4:memory:/elsewhere\n0::/a\n":  500,
		"nonsense\n0::/../../a/./b/c\n": 500,
		"":                              Unlimited,
	} {
		if got := memoryLimit(root, []byte(groups)); got != want {
			t.Errorf("%q: %d, want %d", groups, got, want)
		}
	}
	m, err := ReadMemory()
	if err != nil || m.InUse < 1<<20 || m.InUse > 1<<34 {
		t.Errorf("%+v, %v", m, err)
	}
}
