// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"errors"
	"math"
	"strings"
	"testing"
)

func FuzzAppendEscaped(f *testing.F) {
	for _, s := range []string{"", "plain", `a"b`, `\`, "\n", "é\xff\xc3", "\xed\xa0\x80", `\n`} {
		f.Add(s)
	}
	unescape := strings.NewReplacer(`\\`, `\`, `\"`, `"`, `\n`, "\n")
	f.Fuzz(func(t *testing.T, s string) {
		got := string(appendEscaped(nil, s))
		if strings.Contains(got, "\n") {
			t.Errorf("%q: a line feed in %q", s, got)
		}
		// Every byte that is not UTF-8 is replaced for itself.
		valid := string([]rune(s))
		if back := unescape.Replace(got); back != valid {
			t.Errorf("%q became %q and reads back as %q", s, got, back)
		}
	})
}

func TestNumbers(t *testing.T) {
	for _, c := range []struct {
		v    float64
		want string
	}{
		{0, "0"}, {1, "1"}, {0.1, "0.1"}, {0.000002, "2e-06"}, {1e21, "1e+21"}, {math.Inf(1), "+Inf"}, {math.NaN(), "NaN"},
	} {
		var b strings.Builder
		e := encoder{w: &b}
		e.begin("x")
		e.float(c.v)
		e.flush()
		if got := b.String(); got != "x "+c.want+"\n" {
			t.Errorf("%v: %q, want %q", c.v, got, c.want)
		}
	}
	var b strings.Builder
	e := encoder{w: &b}
	e.begin("x")
	e.uint(math.MaxUint64)
	e.flush()
	if b.String() != "x 18446744073709551615\n" {
		t.Errorf("%q", b.String())
	}
}

// After an error nothing more is written.
func TestEncoderStopsAtTheFirstError(t *testing.T) {
	w := &failing{}
	e := encoder{w: w}
	for range 100_000 {
		e.begin("some_metric")
		e.uint(1)
	}
	e.flush()
	if e.err == nil || w.calls != 1 {
		t.Errorf("error %v after %d writes, want one write", e.err, w.calls)
	}
}

type failing struct{ calls int }

func (f *failing) Write([]byte) (int, error) {
	f.calls++
	return 0, errors.New("gone")
}
