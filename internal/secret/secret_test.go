// SPDX-License-Identifier: Apache-2.0

package secret

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const hidden = "hunter2"

// Secrets do not show, however they are printed.
func TestHidden(t *testing.T) {
	for want, s := range map[string]Text{"(hidden)": New(hidden), "(in /etc/token)": InFile("/etc/token"), "": {}} {
		p := struct{ S Text }{s}
		encoded, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		var log strings.Builder
		slog.New(slog.NewTextHandler(&log, nil)).Info("x", "secret", p.S, "in", p)
		for _, text := range []string{fmt.Sprint(p), fmt.Sprintf("%+v", p), fmt.Sprintf("%#v", p), fmt.Sprintf("%s %q", p.S, p.S), fmt.Sprint(&p), string(encoded), log.String()} {
			if strings.Contains(text, hidden) || !strings.Contains(text, want) {
				t.Errorf("printed as %s, want %s", text, want)
			}
		}
	}
}

func TestRead(t *testing.T) {
	file := func(text string) Text {
		t.Helper()
		name := filepath.Join(t.TempDir(), "secret")
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return InFile(name)
	}
	for name, c := range map[string]struct {
		s          Text
		want, says string
	}{
		"none":      {Text{}, "", ""},
		"no file":   {InFile(""), "", ""},
		"known":     {New(hidden), hidden, ""},
		"file":      {file(hidden + "\n"), hidden, ""},
		"dos":       {file(hidden + "\r\n"), hidden, ""},
		"empty":     {file("\n"), "", "is empty; put the secret into it"},
		"lines":     {file(hidden + "\nb\n"), "", "holds several lines"},
		"nul":       {file(hidden + "\x00"), "", "holds several lines"},
		"longest":   {file(strings.Repeat("x", MaxBytes)), strings.Repeat("x", MaxBytes), ""},
		"long":      {file(strings.Repeat("x", MaxBytes+1)), "", "holds more than 65536 bytes"},
		"missing":   {InFile("/nowhere/token"), "", "open /nowhere/token: no such file or directory; make it readable"},
		"directory": {InFile(t.TempDir()), "", "is a directory"},
	} {
		got, err := c.s.Read()
		if got != c.want || (err != nil) != (c.says != "") || err != nil && (!strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), hidden)) {
			t.Errorf("%s: %q, %v; want %q, %q", name, got, err, c.want, c.says)
		}
		if c.s.Set() != (name != "none" && name != "no file") {
			t.Errorf("%s: set is %v", name, c.s.Set())
		}
	}
}
