// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"time"
)

// File is a list in a file. It is looked at once a second rather than watched
// by inotify: that holds on network file systems too, through links that are
// switched over, and while the file is away for a moment.
type File struct {
	Path string
	Last Stamp // of the file when it was read last, the zero value if it was not
}

// Stamp tells one state of a file from another. The zero value is that of no
// file.
type Stamp struct {
	inode uint64
	size  int64
	time  time.Time // of the last change of contents
}

// StampOf returns the stamp of a file.
func StampOf(info fs.FileInfo) Stamp {
	s := Stamp{size: info.Size(), time: info.ModTime()}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		s.inode = st.Ino
	}
	return s
}

// lookEvery is how often a file is looked at.
const lookEvery = time.Second

// Run hands the file over when it has changed and then stood still from one
// look to the next: a program may be writing it.
func (f File) Run(ctx context.Context, take func(Delivery) error) {
	last, before := f.Last, f.Last
	gone, refused := false, false
	for pause(ctx, lookEvery) {
		info, err := os.Stat(f.Path)
		if err != nil {
			if !gone { // once, not every second
				gone = true
				_ = take(Delivery{Err: unreadable(f.Path, err)})
			}
			last, before = Stamp{}, Stamp{}
			continue
		}
		gone = false
		now := StampOf(info)
		switch still := now == before; {
		case now == last && !refused:
			_ = take(Delivery{Same: true})
		case now != last && still:
			// A file that cannot be used is not read again until it changes.
			last, refused = now, take(Delivery{}) != nil
		}
		before = now
	}
}

// unreadable says what to do about a file that is not there.
func unreadable(path string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cannot read %q: there is no such file; write it again, or take the inventory out of the configuration", path)
	}
	return fmt.Errorf("cannot read %q: %w; see its permissions", path, errors.Unwrap(err))
}
