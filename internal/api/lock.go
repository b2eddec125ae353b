// SPDX-License-Identifier: Apache-2.0

package api

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"time"
)

// Whoever holds the lock of a socket is done within moments, or stopped.
const (
	lockWait  = 5 * time.Second
	lockAgain = 5 * time.Millisecond
)

// alone calls f while nobody else does for the same path, in any process: whoever makes
// or removes a socket looks first at what is there. The lock is flock(2) on a file beside
// it, which ends with its holder, however that ends; the file is for its owner only, so
// that nobody else can hold it, and is removed when f is done. Who opened it before then
// has the lock of a file that is no more, and opens it anew.
func alone(path string, f func() error) error {
	name := path + ".lock"
	for begun := time.Now(); ; {
		lock, err := os.OpenFile(name, os.O_RDONLY|os.O_CREATE|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0o600)
		if err != nil {
			return err
		}
		err = syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			var held fs.FileInfo
			if held, err = lock.Stat(); err == nil && sameFile(name, held) {
				defer lock.Close()
				defer os.Remove(name)
				return f()
			}
		}
		lock.Close()
		switch {
		case errors.Is(err, syscall.EWOULDBLOCK) && time.Since(begun) > lockWait:
			return fmt.Errorf("another program has held %s for %v", name, lockWait)
		case errors.Is(err, syscall.EWOULDBLOCK):
			time.Sleep(lockAgain)
		case err != nil:
			return fmt.Errorf("lock %s: %w", name, err)
		}
	}
}

// sameFile says whether a path and what was there once are one.
func sameFile(path string, was fs.FileInfo) bool {
	now, err := os.Lstat(path)
	return err == nil && os.SameFile(now, was)
}
