// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// folderPrefix begins the name of a demo's folder. The process's id follows, so
// that the next demo knows which ones nobody will remove any more.
const folderPrefix = "netprobe-xdp-demo-"

// makeFolder makes a folder for the configuration, after removing those of
// demos that were killed.
func makeFolder() (string, error) {
	left, err := filepath.Glob(filepath.Join(os.TempDir(), folderPrefix+"*"))
	for _, dir := range left {
		text, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(dir), folderPrefix), "-")
		pid, perr := strconv.Atoi(text)
		if perr != nil {
			continue
		}
		if _, alive := os.Stat(filepath.Join("/proc", strconv.Itoa(pid))); errors.Is(alive, fs.ErrNotExist) {
			err = errors.Join(err, os.RemoveAll(dir))
		}
	}
	if err != nil {
		return "", fmt.Errorf("remove what a killed demo left: %w", err)
	}
	dir, err := os.MkdirTemp("", fmt.Sprintf("%s%d-", folderPrefix, os.Getpid()))
	if err != nil {
		return "", fmt.Errorf("make a folder for the demo's configuration: %w", err)
	}
	return dir, nil
}
