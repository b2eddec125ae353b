// SPDX-License-Identifier: Apache-2.0

package endtoend

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/netprobe-xdp/netprobe-xdp/internal/exitcode"
	"github.com/netprobe-xdp/netprobe-xdp/internal/lab"
)

// TestDemo: the demo measures what it promises and leaves nothing behind: at
// its end, at SIGINT, and, once another one has run, after kill -9.
func TestDemo(t *testing.T) {
	t.Parallel()
	if lab.ForTest(t, "endtoend").Err() != nil { // skips without root
		return
	}
	tmp := folder(t, nil)
	w := place{env: []string{"TMPDIR=" + tmp}}
	left := func(t *testing.T, p *program) (all []string) {
		t.Helper()
		for dir, prefix := range map[string]string{"/run/netns": fmt.Sprintf("npxdemo%d-", p.pid()), tmp: ""} {
			names, err := os.ReadDir(dir)
			if err != nil {
				t.Fatal(err)
			}
			for _, n := range names {
				if strings.HasPrefix(n.Name(), prefix) {
					all = append(all, dir+"/"+n.Name())
				}
			}
		}
		return all
	}

	killed := w.start(t, "demo")
	killed.waitFor("What is to be seen")
	if len(left(t, killed)) == 0 {
		t.Fatal("this test looks in the wrong place: a running demo has namespaces")
	}
	killed.kill()

	ended := w.start(t, "demo", "--duration", "8s")
	if code := ended.wait(); code != exitcode.OK {
		t.Errorf("--duration: exit code %d", code)
	}
	for _, want := range []string{"For a browser: http://127.0.0.1:", "lossy-ipv4", "all answered"} {
		if !strings.Contains(ended.stdout.String(), want) {
			t.Errorf("the demo does not say %q", want)
		}
	}
	for _, p := range []*program{killed, ended} {
		if all := left(t, p); len(all) > 0 {
			t.Errorf("left behind: %q", all)
		}
	}

	stopped := w.start(t, "demo")
	stopped.waitFor("What is to be seen")
	if code := stopped.signal(syscall.SIGINT); code != exitcode.OK {
		t.Errorf("SIGINT: exit code %d", code)
	}
	if errs := (outcome{stderr: stopped.stderr.String()}).errorLines(t); len(errs) > 0 {
		t.Errorf("errors %q", errs)
	}
	if all := left(t, stopped); len(all) > 0 {
		t.Errorf("left behind: %q", all)
	}
}
