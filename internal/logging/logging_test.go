// SPDX-License-Identifier: Apache-2.0

package logging

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/lab"
)

// reason is a number that has a name.
type reason uint8

func (reason) String() string { return "no_route" }

// Whatever the text holds, one event is one line, and the level decides.
func TestFormats(t *testing.T) {
	for _, asJSON := range []bool{false, true} {
		var out lab.Buffer
		level := &slog.LevelVar{}
		log := New(&out, asJSON, level)
		log.Debug("not said")
		log.Warn("two\nlines", "error", "a\nb", "n", 3, "every", 2*time.Second, "reason", reason(0))
		level.Set(slog.LevelError)
		log.Warn("not said")
		text := out.String()
		if strings.Count(text, "\n") != 1 || strings.Contains(text, "not said") {
			t.Errorf("json %v: %q", asJSON, text)
		}
		var line struct {
			Level, Msg, Error, Every, Reason string
			N                                int
			Time                             time.Time
		}
		err := json.Unmarshal([]byte(text), &line)
		if asJSON && (err != nil || line.Level != "WARN" || line.Msg != "two\nlines" || line.Error != "a\nb" || line.N != 3 || line.Time.IsZero() || line.Every != "2s" || line.Reason != "no_route") {
			t.Errorf("%v: %q", err, text)
		}
		if !asJSON && !strings.Contains(text, ` level=WARN msg="two\nlines" error="a\nb" n=3 every=2s reason=no_route`) {
			t.Errorf("%q", text)
		}
	}
}

// A flood from one place becomes a bounded number of lines, one of which says how
// many there were, and hides nothing that others say.
func TestFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out lab.Buffer
		log := New(&out, false, slog.LevelInfo)
		flood := func(n int) {
			for i := range n {
				log.With("client", i).Warn(fmt.Sprintf("client %d misbehaves", i))
			}
		}
		flood(100_000)
		log.Warn("what matters")
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		if len(lines) != burst+1 || !strings.Contains(lines[burst], "what matters") {
			t.Errorf("%d lines: %s", len(lines), lines[len(lines)-1])
		}
		time.Sleep(sumUpAfter + time.Second)
		lines = strings.Split(strings.TrimSpace(out.String()), "\n")
		if last := lines[len(lines)-1]; len(lines) != burst+2 || !strings.Contains(last, "level=WARN") ||
			!strings.Contains(last, `kind="client 50 misbehaves"`) || !strings.HasSuffix(last, fmt.Sprintf("lines=%d", 100_000-burst)) {
			t.Errorf("%d lines: %s", len(lines), last)
		}

		// For an hour: what is refilled, and the sums.
		before := len(lines)
		for range 3600 {
			flood(10)
			time.Sleep(time.Second)
		}
		said := strings.Count(out.String(), "\n") - before
		if most := int(time.Hour/refill) + int(time.Hour/sumUpAfter) + burst; said > most || said < most/2 {
			t.Errorf("%d lines in an hour, want at most %d", said, most)
		}

		// After a pause there is as much room as at first.
		time.Sleep(burst*refill + sumUpAfter)
		before = strings.Count(out.String(), "\n")
		flood(burst)
		if said := strings.Count(out.String(), "\n") - before; said != burst {
			t.Errorf("%d lines after a pause, want %d", said, burst)
		}
	})
}

// As many lines as are allowed come, however the attributes differ, and from
// however many goroutines.
func TestLimitIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out lab.Buffer
		log := slog.New(Limit(slog.NewTextHandler(&out, nil), 3, time.Minute)).WithGroup("g")
		for i := range 100 {
			go func() { log.With("i", i).Info("x") }()
		}
		synctest.Wait()
		if n := strings.Count(out.String(), "msg=x"); n != 3 {
			t.Errorf("%d lines, want 3", n)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if !strings.Contains(out.String(), "lines=97") {
			t.Error(out.String())
		}
	})
}
