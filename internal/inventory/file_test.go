// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"errors"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"
)

// A file is handed over when it has changed and stands still: written in place,
// replaced by another, or by a link that is switched over as Kubernetes does.
func TestFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	name := filepath.Join(dir, "list.jsonl")
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write(name, "1")
	info, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	var refuse atomic.Bool
	all := deliveries(t, File{Path: name, Last: StampOf(info)}, func(d Delivery) error {
		if refuse.Load() {
			return errors.New("refused")
		}
		return nil
	})
	changed := func(what string) {
		t.Helper()
		for d := next(t, all); ; d = next(t, all) {
			if d.Err != nil {
				t.Fatalf("%s: %v", what, d.Err)
			}
			if !d.Same {
				return
			}
		}
	}
	if d := next(t, all); !d.Same || d.Err != nil {
		t.Errorf("as it was read: %+v", d)
	}
	write(name, "22")
	changed("written")
	write(name+".new", "33")
	if err := os.Rename(name+".new", name); err != nil {
		t.Fatal(err)
	}
	changed("replaced")
	write(filepath.Join(dir, "linked"), "44")
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	for {
		if d := next(t, all); d.Err != nil {
			wantError(t, d.Err, name, "there is no such file; write it again")
			break
		}
	}
	select { // it is said once
	case d := <-all:
		t.Errorf("still removed: %+v", d)
	case <-time.After(2 * lookEvery):
	}
	refuse.Store(true)
	if err := os.Symlink("linked", name); err != nil {
		t.Fatal(err)
	}
	changed("linked")
	select { // a list that was refused is not the last good one
	case d := <-all:
		t.Errorf("refused: %+v", d)
	case <-time.After(2 * lookEvery):
	}
}
