// SPDX-License-Identifier: Apache-2.0

package steer

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestVerifiedInstructions compares how many instructions the kernel's verifier
// walks through with the figure in testdata/verified.txt. It bounds what a frame can
// cost, and at a million the kernel refuses the program. A change that needs
// more states the new figure there.
func TestVerifiedInstructions(t *testing.T) {
	p := load(t, 1)
	info, err := p.objects.Steer.Info()
	if err != nil {
		t.Fatal(err)
	}
	got, ok := info.VerifiedInstructions()
	if !ok {
		t.Fatal("the kernel does not say how many instructions it verified; it does so from 5.16 on")
	}
	var uts unix.Utsname
	if err := unix.Uname(&uts); err != nil {
		t.Fatal(err)
	}
	release := unix.ByteSliceToString(uts.Release[:])
	limit, from := verifiedLimit(t, release)
	t.Logf("kernel %s verified %d instructions; allowed are %d, %s", release, got, limit, from)
	if uint64(got) > limit {
		t.Errorf("the verifier walks through %d instructions, %d are allowed (%s): make bpf/steer.c simpler, or state the new figure", got, limit, from)
	}
}

// verifiedLimit returns the most that is allowed on a kernel: a tenth above its
// own figure, or where it has none half above the highest there is, since
// verifiers differ.
func verifiedLimit(t *testing.T, release string) (limit uint64, from string) {
	t.Helper()
	f, err := os.Open("testdata/verified.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	s := bufio.NewScanner(f)
	for s.Scan() {
		if strings.HasPrefix(s.Text(), "#") {
			continue
		}
		var kernel string
		var n uint64
		if _, err := fmt.Sscan(s.Text(), &kernel, &n); err != nil {
			t.Fatalf("testdata/verified.txt: %q: %v", s.Text(), err)
		}
		if strings.HasPrefix(release, kernel+".") {
			return n + n/10, "a tenth above the figure of " + kernel
		}
		if most := n + n/2; most > limit {
			limit, from = most, "half above the figure of "+kernel
		}
	}
	if limit == 0 {
		t.Fatal("testdata/verified.txt holds no figure")
	}
	return limit, from
}
