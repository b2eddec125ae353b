// SPDX-License-Identifier: Apache-2.0

package config

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/netprobe-xdp/netprobe-xdp/internal/exitcode"
)

func TestUnreadable(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.Mkdir(path("dir.yaml"), 0o755))
	must(os.WriteFile(path("file.yaml"), nil, 0o644))
	must(syscall.Mkfifo(path("pipe.yaml"), 0o644))
	must(os.WriteFile(path("huge.yaml"), nil, 0o644))
	must(os.Truncate(path("huge.yaml"), MaxFileSize+1)) // sparse
	must(os.Symlink("nowhere.yaml", path("link.yaml")))

	valid := filepath.Join("testdata", "valid", "everything.yaml")
	for _, tt := range []struct{ file, want string }{
		{path("missing.yaml"), "there is no such file"},
		{path("link.yaml"), "there is no such file"},
		{path("file.yaml/below.yaml"), "not a directory"},
		{path("dir.yaml"), "it is a directory"},
		{path("file.yaml"), "it is empty"},
		{path("pipe.yaml"), "it is not a regular file"},
		{path("huge.yaml"), "it holds 67108865 bytes, more than the limit of 67108864"},
		{path("missing.toml"), "its name must end in .yaml, .yml or .json"},
		{path("new\nline.yaml"), `new\nline.yaml": there is no such file`},
		{path("yaml"), "its name must end in"},
	} {
		for _, opts := range []Options{{File: tt.file}, {File: valid, Settings: tt.file}} {
			_, err := Load(opts)
			if err == nil || exitcode.Of(err) != exitcode.NoInput || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%s: got %v (exit code %d), want %s", tt.file, err, exitcode.Of(err), tt.want)
			}
		}
	}
}

// TestNoPermission runs itself as another user, since root may read anything.
func TestNoPermission(t *testing.T) {
	if file := os.Getenv("NPX_TEST_UNREADABLE"); file != "" {
		_, err := Load(Options{File: file})
		if err == nil || exitcode.Of(err) != exitcode.NoInput || !strings.Contains(err.Error(), "permission denied") {
			t.Fatalf("got %v (exit code %d)", err, exitcode.Of(err))
		}
		return
	}
	dir, err := os.MkdirTemp("/tmp", "npxconfig")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	binary, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	self, secret := filepath.Join(dir, "test"), filepath.Join(dir, "secret.yaml")
	for name, mode := range map[string]os.FileMode{dir: 0o755, self: 0o755, secret: 0} {
		if name == self {
			err = os.WriteFile(self, binary, mode)
		} else if name == secret {
			err = os.WriteFile(secret, []byte("global: {}"), mode)
		} else {
			err = os.Chmod(dir, mode)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(self, "-test.run=^TestNoPermission$", "-test.v")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "NPX_TEST_UNREADABLE="+secret)
	if os.Geteuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	}
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: TestNoPermission") {
		t.Errorf("as nobody: %v\n%s", err, out)
	}
}

func TestSearch(t *testing.T) {
	if _, err := os.Stat("/etc/netprobe-xdp/netprobe.yaml"); err == nil {
		t.Skip("this machine has a configuration of its own in /etc/netprobe-xdp")
	}
	t.Chdir(t.TempDir())
	if got := Search(); got != "" {
		t.Errorf("got %q in an empty directory", got)
	}
	if _, err := Load(Options{}); exitcode.Of(err) != exitcode.NoInput || !strings.Contains(err.Error(), "there is no configuration") {
		t.Errorf("got %v", err)
	}
	if err := os.WriteFile("netprobe.yaml", []byte("- nothing of use\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if got := Search(); got != "./netprobe.yaml" {
		t.Errorf("got %q", got)
	}
	if _, err := Load(Options{}); err == nil || !strings.HasPrefix(err.Error(), "./netprobe.yaml:1: read a list") {
		t.Errorf("got %v", err)
	}
}
