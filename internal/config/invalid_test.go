// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/netprobe-xdp/netprobe-xdp/internal/exitcode"
)

var update = flag.Bool("update", false, "write the .want files anew")

// TestInvalid loads every file of testdata/invalid, together with the
// .settings.yaml and the .env (one variable a line) of the same name, and
// compares what is said with the .want beside it. A .list is an inventory.
func TestInvalid(t *testing.T) {
	dir := filepath.Join("testdata", "invalid")
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		ext := filepath.Ext(f.Name())
		if ext == ".want" || ext == ".env" || ext == ".list" || strings.HasSuffix(f.Name(), ".settings.yaml") {
			continue
		}
		t.Run(f.Name(), func(t *testing.T) {
			opts := Options{File: filepath.Join(dir, f.Name())}
			base := strings.TrimSuffix(opts.File, ext)
			if _, err := os.Stat(base + ".settings.yaml"); err == nil {
				opts.Settings = base + ".settings.yaml"
			}
			if env, err := os.ReadFile(base + ".env"); err == nil {
				opts.Env = strings.Split(strings.TrimSuffix(string(env), "\n"), "\n")
			}
			_, err := Load(opts)
			if err == nil {
				t.Fatal("was accepted")
			}
			var faults Faults
			code := exitcode.NoInput
			if errors.As(err, &faults) {
				code = exitcode.Config
			}
			if got := exitcode.Of(err); got != code {
				t.Errorf("exit code %d, want %d", got, code)
			}
			got := strings.ReplaceAll(err.Error(), dir+string(filepath.Separator), "") + "\n"
			if lines := strings.Count(got, "\n"); faults != nil && lines != len(faults) {
				t.Errorf("%d faults on %d lines", len(faults), lines)
			}
			if *update {
				if err := os.WriteFile(base+".want", []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(base + ".want")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}
