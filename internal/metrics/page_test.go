// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"flag"
	"os"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/netprobe-xdp/netprobe-xdp/internal/result"
)

var update = flag.Bool("update", false, "rewrite testdata/page.txt")

// The whole page, but for the values that differ from one process to the next.
func TestGoldenPage(t *testing.T) {
	x := New(sample())
	page := get(t, x)
	if again := get(t, x); stable(again) != stable(page) {
		t.Errorf("two pages of the same figures differ:\n%s", cmp.Diff(stable(page), stable(again)))
	}
	const file = "testdata/page.txt"
	if *update {
		if err := os.WriteFile(file, []byte(stable(page)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	golden, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(golden), stable(page)); diff != "" {
		t.Errorf("page differs from %s (-want +got):\n%s", file, diff)
	}
}

var processValue = regexp.MustCompile(`(?m)^(process_\w+) .*$`)

func stable(page string) string {
	return processValue.ReplaceAllString(strings.ReplaceAll(page, runtime.Version(), "GOVERSION"), "$1 VALUE")
}

func TestRoundsDecideWhatIsShown(t *testing.T) {
	opt := sample()
	opt.Store = new(result.Store)
	x := New(opt)
	s := add(opt.Store, icmp, "a", "ipv4", "", "g", 50, 50)
	a := five("a", "ipv4", "None", "g")
	rtt := with(a, "percentile", "50")

	got := parse(t, get(t, x))
	want(t, got, "icmp_sent_total", a, "") // no whole round yet
	want(t, got, "icmp_round_trip_seconds", rtt, "")

	publish(s, 0, time.Millisecond)
	got = parse(t, get(t, x))
	want(t, got, "icmp_sent_total", a, "1")
	want(t, got, "icmp_loss_total", a, "0")
	want(t, got, "icmp_loss_ratio", a, "0")
	want(t, got, "icmp_round_trip_seconds", rtt, "0.001") // once, though named twice

	var r result.Round // nothing could be sent
	r.Skip(result.LinkDown)
	s.Publish(&r, time.Now())
	got = parse(t, get(t, x))
	want(t, got, "icmp_sent_total", a, "1")
	want(t, got, "icmp_loss_ratio", a, "")
	want(t, got, "icmp_round_trip_seconds", rtt, "")
	want(t, got, "netprobe_not_sent_total", with(a, "reason", "link_down"), "1")

	r.Reset() // answered, but when is not known: 0 would say total loss
	r.Sent = 2
	r.AnswerWithoutTime()
	r.Lose(result.Timeout)
	s.Publish(&r, time.Now())
	got = parse(t, get(t, x))
	want(t, got, "icmp_loss_ratio", a, "0.5")
	want(t, got, "icmp_round_trip_seconds", rtt, "")

	opt.Store.Remove(s)
	got = parse(t, get(t, x))
	want(t, got, "icmp_sent_total", a, "")
	want(t, got, "netprobe_not_sent_total", with(a, "reason", "link_down"), "")
}

// While a reload replaces a series both are in the store for a moment.
func TestSeriesTwiceInTheStore(t *testing.T) {
	opt := sample()
	opt.Store = new(result.Store)
	publish(add(opt.Store, icmp, "a", "ipv4", "", "g", 50), 0, time.Millisecond)
	publish(add(opt.Store, icmp, "b", "ipv4", "", "g", 50), 0, time.Millisecond)
	publish(add(opt.Store, icmp, "a", "ipv4", "", "g", 50), 2)
	got := parse(t, get(t, New(opt))) // fails on a sample that is there twice
	want(t, got, "icmp_sent_total", five("a", "ipv4", "None", "g"), "2")
	want(t, got, "icmp_sent_total", five("b", "ipv4", "None", "g"), "1")
}

// Values come out of a page with the labels they went in with.
func TestLabelsAreEscaped(t *testing.T) {
	opt := sample()
	opt.Store = new(result.Store)
	publish(add(opt.Store, icmp, "a\"b\\c\nd\xff", "ipv4", "é", "g"), 1)
	page := get(t, New(opt))
	const line = `icmp_sent_total{probe_name="probe1",destination="a\"b\\c\nd�",address_family="ipv4",state="é",group="g"} 1` + "\n"
	if !strings.Contains(page, line) {
		t.Errorf("no line %q", line)
	}
}

// docs/reference/metrics.md lists every family of our own with its type, and none that
// is not there.
func TestDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/reference/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	documented, served := map[string]string{}, map[string]string{}
	for _, m := range regexp.MustCompile("(?m)^\\| `(netprobe_[a-z_]+)` \\| ([a-z]+)").FindAllStringSubmatch(string(text), -1) {
		documented[m[1]] = m[2]
	}
	page := get(t, New(sample()))
	for _, m := range regexp.MustCompile(`(?m)^# TYPE (netprobe_[a-z_]+) ([a-z]+)$`).FindAllStringSubmatch(page, -1) {
		served[m[1]] = m[2]
	}
	if diff := cmp.Diff(served, documented); diff != "" || len(served) == 0 {
		t.Errorf("-served +documented:\n%s", diff)
	}
}
