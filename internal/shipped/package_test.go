// SPDX-License-Identifier: Apache-2.0

package shipped

import (
	"bytes"
	"compress/gzip"
	"debug/buildinfo"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/netprobe-xdp/netprobe-xdp/internal/lab"
)

// pack builds the packages of an architecture as a release is built.
func pack(t *testing.T, arch string) (deb, archive string) {
	t.Helper()
	lab.Tool(t, "dpkg-deb", "dpkg")
	out := t.TempDir()
	cmd := exec.Command("../../scripts/packages.sh", arch)
	cmd.Env = append(os.Environ(), "OUT="+out, "VERSION=v1.2.3-rc1", "REVISION=0123456789abcdef", "SOURCE_DATE_EPOCH=1700000000")
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("scripts/packages.sh: %v\n%s", err, text)
	}
	return filepath.Join(out, "netprobe-xdp_1.2.3~rc1_"+arch+".deb"), filepath.Join(out, "netprobe-xdp-1.2.3~rc1-linux-"+arch+".tar.gz")
}

// command runs one to its end and returns what it prints on standard output.
func command(t *testing.T, name string, args ...string) string {
	t.Helper()
	var stderr bytes.Buffer
	cmd := exec.Command(name, args...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v: %s%s", name, strings.Join(args, " "), err, out, &stderr)
	}
	return string(out)
}

// TestPackage: the Debian package holds what an installed prober needs, owned by
// root, with the licences of all that is linked; dpkg installs it, keeps what
// was changed when it is installed again, removes it, and purges it.
func TestPackage(t *testing.T) {
	t.Parallel()
	deb, archive := pack(t, runtime.GOARCH)
	t.Run("contents", func(t *testing.T) { contents(t, deb, archive) })
	t.Run("dpkg", func(t *testing.T) { lifecycle(t, deb) })
}

var tarLine = regexp.MustCompile(`(?m)^(\S{10}) (\S+) +\d+ (\S+ \S+) \.?(\S+)$`)

func contents(t *testing.T, deb, archive string) {
	files := map[string]string{}
	for _, m := range tarLine.FindAllStringSubmatch(command(t, "dpkg-deb", "-c", deb), -1) {
		files[m[4]] = m[1]
		want := map[bool]string{true: "drwxr-xr-x", false: "-rw-r--r--"}[strings.HasSuffix(m[4], "/")]
		if m[4] == "/usr/bin/netprobe-xdp" || strings.HasSuffix(m[4], ".py") {
			want = "-rwxr-xr-x"
		}
		if m[1] != want || m[2] != "root/root" || m[3] != "2023-11-14 22:13" {
			t.Errorf("%s: want %s root/root 2023-11-14 22:13", m[0], want)
		}
	}
	const doc = "/usr/share/doc/netprobe-xdp/"
	want := []string{"/usr/bin/netprobe-xdp", "/usr/lib/systemd/system/netprobe-xdp.service", "/usr/lib/systemd/system/netprobe-xdp@.service",
		"/etc/netprobe-xdp/netprobe.yaml", "/etc/default/netprobe-xdp", "/usr/share/man/man1/netprobe-xdp.1.gz", "/usr/share/man/man5/netprobe.yaml.5.gz",
		"/usr/share/bash-completion/completions/netprobe-xdp", "/usr/share/zsh/vendor-completions/_netprobe-xdp",
		"/usr/share/fish/vendor_completions.d/netprobe-xdp.fish",
		doc + "README.md", doc + "CHANGELOG.md.gz", doc + "copyright", doc + "notices.gz", doc + "docs/install.md"}
	err := filepath.WalkDir(configs, func(path string, d fs.DirEntry, err error) error {
		if rel, _ := filepath.Rel(configs, path); err == nil && !d.IsDir() && !strings.HasPrefix(rel, "systemd/") {
			want = append(want, doc+"examples/"+rel)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range want {
		if files[name] == "" {
			t.Errorf("the package lacks %s", name)
		}
	}
	if got := command(t, "dpkg-deb", "-f", deb, "Package", "Version", "Architecture"); got != "Package: netprobe-xdp\nVersion: 1.2.3~rc1\nArchitecture: "+runtime.GOARCH+"\n" {
		t.Error(got)
	}

	root := t.TempDir()
	command(t, "dpkg-deb", "-R", deb, root)
	conffiles, err := os.ReadFile(filepath.Join(root, "DEBIAN", "conffiles"))
	if want := "/etc/default/netprobe-xdp\n/etc/netprobe-xdp/netprobe.yaml\n"; err != nil || string(conffiles) != want {
		t.Errorf("conffiles: %v\n%s", err, conffiles)
	}
	command(t, "env", "-C", root, "md5sum", "--check", "--quiet", "DEBIAN/md5sums")
	// The licences of all that is linked have to go with the program.
	info, err := buildinfo.ReadFile(filepath.Join(root, "usr/bin/netprobe-xdp"))
	if err != nil || len(info.Deps) < 10 {
		t.Fatal(err, info)
	}
	notices := unpacked(t, filepath.Join(root, doc, "notices.gz"))
	for _, m := range info.Deps {
		if _, below, ok := strings.Cut(notices, "\n== "+m.Path+" "+m.Version+"\n"); !ok || !strings.Contains(strings.SplitN(below, "\n== ", 2)[0], "LICENSE") {
			t.Errorf("notices.gz lacks the licence of %s %s", m.Path, m.Version)
		}
	}
	page := unpacked(t, filepath.Join(root, "usr/share/man/man5/netprobe.yaml.5.gz"))
	for _, key := range []string{"probe_name:", "max_prefix_pps:", "kill_file:"} {
		if !strings.Contains(page, key) {
			t.Errorf("netprobe.yaml(5) lacks %s", key)
		}
	}

	list := command(t, "tar", "-tvzf", archive)
	for _, name := range []string{"netprobe-xdp", "manual/netprobe-xdp.1", "configs/netprobe.yaml", "configs/systemd/netprobe-xdp.service", "LICENSE", "NOTICES", "docs/install.md"} {
		if !strings.Contains(list, "/"+name+"\n") {
			t.Errorf("the archive lacks %s", name)
		}
	}
	for l := range strings.Lines(list) {
		if !strings.Contains(l, " 0/0 ") {
			t.Errorf("the archive has an owner: %s", l)
		}
	}
}

func unpacked(t *testing.T, path string) string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var b bytes.Buffer
	z, err := gzip.NewReader(f)
	if err == nil {
		_, err = b.ReadFrom(z)
	}
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return b.String()
}

var libraries = regexp.MustCompile(`(/\S+) \(0x`)

// lifecycle takes the package through dpkg in a root that has nothing but what
// its scripts call.
func lifecycle(t *testing.T, deb string) {
	lab.NeedRoot(t, "change the root of a process")
	root := t.TempDir()
	for _, dir := range []string{"bin", "tmp", "var/lib/dpkg/info", "var/lib/dpkg/updates", "etc/systemd/system/multi-user.target.wants"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write(t, root, "var/lib/dpkg/status", nil)
	for _, tool := range []string{"sh", "rm"} {
		path := lab.Tool(t, tool, "dash and coreutils")
		for _, file := range append([]string{path}, found(libraries, command(t, "ldd", path))...) {
			command(t, "install", "-D", file, root+file)
		}
		if bin := "/bin/" + tool; path != bin {
			command(t, "install", path, root+bin)
		}
	}
	dpkg := func(args ...string) string {
		t.Helper()
		return command(t, "dpkg", append([]string{"--root=" + root, "--log=/dev/null", "--force-depends"}, args...)...)
	}
	there := func(name string) bool {
		_, err := os.Lstat(filepath.Join(root, name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		return err == nil
	}

	if out := dpkg("-i", deb); !strings.Contains(out, "nothing is probed yet") {
		t.Errorf("the first installation does not say what to do:\n%s", out)
	}
	if out := command(t, "chroot", root, "/usr/bin/netprobe-xdp", "version"); !strings.HasPrefix(out, "netprobe-xdp v1.2.3-rc1 (revision 0123456789abcdef, ") {
		t.Error(out)
	}
	if out := command(t, "chroot", root, "/usr/bin/netprobe-xdp", "check"); out != "/etc/netprobe-xdp/netprobe.yaml: 0 targets, 1 group, 0 probes/s\n" {
		t.Error(out)
	}

	const option = "OPTIONS=--iface eth0\n"
	write(t, root, "etc/default/netprobe-xdp", []byte(option))
	write(t, root, "etc/netprobe-xdp/eth0.yaml", []byte("mine\n"))
	for _, unit := range []string{"netprobe-xdp.service", "netprobe-xdp@eth0.service", "other.service"} {
		if err := os.Symlink("/usr/lib/systemd/system/"+unit, filepath.Join(root, "etc/systemd/system/multi-user.target.wants", unit)); err != nil {
			t.Fatal(err)
		}
	}
	if out := dpkg("-i", deb); strings.Contains(out, "nothing is probed yet") {
		t.Errorf("an upgrade says what the first installation says:\n%s", out)
	}
	if got, err := os.ReadFile(filepath.Join(root, "etc/default/netprobe-xdp")); err != nil || string(got) != option {
		t.Errorf("the upgrade changed a configuration file: %v: %s", err, got)
	}

	dpkg("-r", "netprobe-xdp")
	for name, want := range map[string]bool{"usr/bin/netprobe-xdp": false, "usr/lib/systemd/system/netprobe-xdp.service": false,
		"etc/default/netprobe-xdp": true, "etc/netprobe-xdp/netprobe.yaml": true, "etc/systemd/system/multi-user.target.wants/netprobe-xdp.service": true} {
		if there(name) != want {
			t.Errorf("after the removal: %s is there: %t", name, !want)
		}
	}

	dpkg("-P", "netprobe-xdp")
	var left []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if rel, _ := filepath.Rel(root, path); err == nil && !d.IsDir() && strings.HasPrefix(rel, "etc/") || strings.Contains(rel, "netprobe") && !d.IsDir() {
			left = append(left, rel)
		}
		return err
	})
	if want := []string{"etc/netprobe-xdp/eth0.yaml", "etc/systemd/system/multi-user.target.wants/other.service"}; err != nil || !slices.Equal(left, want) {
		t.Errorf("after the purge: %v\n%s", err, cmp.Diff(want, left))
	}
}

// found returns what the first group of a pattern matches.
func found(pattern *regexp.Regexp, text string) (all []string) {
	for _, m := range pattern.FindAllStringSubmatch(text, -1) {
		all = append(all, m[1])
	}
	return all
}
