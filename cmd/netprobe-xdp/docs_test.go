// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"strings"
	"testing"
)

func document(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile("../../" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestReadme: the README shows a configuration without a fault.
func TestReadme(t *testing.T) {
	doc := document(t, "README.md")
	_, yaml, _ := strings.Cut(doc, "```yaml\n")
	yaml, _, _ = strings.Cut(yaml, "```")
	if got := call(t, "check", write(t, "netprobe.yaml", yaml)); got.code != 0 || ofFile(got.stderr) != "" {
		t.Errorf("the README's configuration: %+v", got)
	}
}
