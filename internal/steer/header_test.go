// SPDX-License-Identifier: Apache-2.0

package steer

import (
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/netprobe-xdp/netprobe-xdp/bpf"
	"github.com/netprobe-xdp/netprobe-xdp/internal/packet"
)

// TestHeader compares what the C header says with what the Go side says.
func TestHeader(t *testing.T) {
	text, err := os.ReadFile("../../bpf/include/steer.h")
	if err != nil {
		t.Fatal(err)
	}
	header := string(text)
	names := regexp.MustCompile(`(?m)^\tVERDICT_(\w+)(?: = 1)?,$`).FindAllStringSubmatch(header, -1)
	if len(names) != int(packet.Verdicts)-1 {
		t.Errorf("%d verdicts in the header, %d in Go", len(names), packet.Verdicts-1)
	}
	for i, n := range names {
		if got, want := strings.ToLower(n[1]), packet.Verdict(i+1).String(); got != want {
			t.Errorf("verdict %d is %s in the header, %s in Go", i+1, got, want)
		}
	}
	for name, want := range map[string]int{
		"META_MAGIC":    metaMagic,
		"SEQ_WINDOW":    packet.SeqWindow,
		"UDP_NUMBERS":   packet.UDPNumbers,
		"VERDICT_SLOTS": len(bpf.SteerQueueCounters{}.Frames),
	} {
		m := regexp.MustCompile(`(?m)^#define ` + name + ` \(?(1 << )?(\w+)`).FindStringSubmatch(header)
		if m == nil {
			t.Errorf("the header has no %s", name)
			continue
		}
		got, err := strconv.ParseInt(m[2], 0, 64)
		if err != nil {
			t.Fatal(err)
		}
		if m[1] != "" {
			got = 1 << got
		}
		if got != int64(want) {
			t.Errorf("%s is %#x in the header, %#x in Go", name, got, want)
		}
	}
}
