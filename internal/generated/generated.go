// SPDX-License-Identifier: Apache-2.0

// Package generated is for tests that hold the pages of docs/reference to the
// code that they are made from. "make docs" writes them.
package generated

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// write is the variable with which the pages are written.
const write = "NETPROBE_WRITE_DOCS"

// Notice is how each page begins, below its title.
const Notice = "<!-- Made from the code by \"make docs\". Change it there. -->\n"

// Page fails the test when the page docs/reference/NAME is not this text, or
// writes it where the environment says so. The test's folder is two below the repository's.
func Page(t *testing.T, name, text string) {
	t.Helper()
	file := filepath.Join("../../docs/reference", name)
	if os.Getenv(write) != "" {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	committed, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(committed), text); diff != "" {
		t.Errorf("docs/reference/%s is not what the code says; run make docs, and commit it (- committed, + code):\n%s", name, diff)
	}
}

// Table returns a table in Markdown, the first row being its head.
func Table(rows [][]string) string {
	var b strings.Builder
	for i, row := range rows {
		for _, cell := range row {
			b.WriteString("| " + strings.ReplaceAll(cell, "|", `\|`) + " ")
		}
		b.WriteString("|\n")
		if i == 0 {
			b.WriteString(strings.Repeat("|---", len(row)) + "|\n")
		}
	}
	return b.String()
}

// Code returns text as code, and nothing for nothing.
func Code(s string) string {
	if s == "" {
		return ""
	}
	return "`" + s + "`"
}
