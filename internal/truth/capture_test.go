// SPDX-License-Identifier: Apache-2.0

package truth

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/lab"
)

// capture is tcpdump at work on the far end: what AF_XDP sends is not to be
// seen on the near one.
type capture struct {
	t       *testing.T
	process *lab.Process
	file    string
}

func startCapture(t *testing.T, at *lab.End, filter string) *capture {
	t.Helper()
	for _, tool := range []string{"tcpdump", "tshark"} {
		if _, err := exec.LookPath(tool); err != nil {
			if os.Getenv("CI") == "true" {
				t.Fatalf("this test needs %s, and must not be skipped where CI=true", tool)
			}
			t.Skipf("needs %s", tool)
		}
	}
	c := &capture{t: t, file: filepath.Join(t.TempDir(), "capture.pcap")}
	ctx := context.WithoutCancel(t.Context()) // the lab ends it
	var err error
	c.process, err = at.Host.Start(ctx, "tcpdump", "-Z", "root", "-n", "-U", "--immediate-mode", "-B", "16384", "-i", at.Name, "-w", c.file, filter)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if err := c.process.WaitFor(ctx, "listening on"); err != nil {
		t.Fatal(err)
	}
	return c
}

var droppedByKernel = regexp.MustCompile(`(?m)^0 packets dropped by kernel`)

// stop ends the capture, which must have missed nothing.
func (c *capture) stop() {
	c.t.Helper()
	time.Sleep(200 * time.Millisecond) // what has arrived is handed on in batches
	if err := c.process.Stop(); err != nil {
		c.t.Fatalf("tcpdump: %v: %s", err, c.process.Stderr())
	}
	if !droppedByKernel.MatchString(c.process.Stderr()) {
		c.t.Fatalf("tcpdump missed packets, so the test is void: %s", c.process.Stderr())
	}
}

// packets has tshark dissect the captured packets that match, with every
// checksum checked, and returns the fields of each.
func (c *capture) packets(filter string, fields ...string) []map[string]string {
	c.t.Helper()
	args := []string{"-n", "-r", c.file, "-Y", filter, "-T", "fields", "-E", "occurrence=f",
		"-o", "ip.check_checksum:TRUE", "-o", "tcp.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE"}
	for _, f := range fields {
		args = append(args, "-e", f)
	}
	cmd := exec.Command("tshark", args...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		c.t.Fatalf("tshark: %v: %s", err, stderr.String())
	}
	var all []map[string]string
	for line := range strings.Lines(string(out)) {
		p := map[string]string{}
		for i, v := range strings.Split(strings.TrimSuffix(line, "\n"), "\t") {
			p[fields[i]] = v
		}
		all = append(all, p)
	}
	return all
}
