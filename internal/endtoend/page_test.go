// SPDX-License-Identifier: Apache-2.0

package endtoend

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/netprobe-xdp/netprobe-xdp/internal/lab"
)

// sample is one line of the metrics page.
type sample struct {
	name   string
	labels map[string]string
	value  float64
}

// page is what the program served at one moment.
type page []sample

// client speaks HTTP from inside a host, or from here where host is nil.
func client(host *lab.Host) *http.Client {
	return lab.HTTPClient(func(f func() error) error { return inside(host, f) }, patience)
}

// fetch reads a URL of 127.0.0.1 inside a host.
func fetch(host *lab.Host, port int, path string) (string, error) {
	return lab.Fetch(client(host), fmt.Sprintf("http://127.0.0.1:%d%s", port, path))
}

// scrape reads the metrics page, which must be there.
func scrape(t *testing.T, host *lab.Host, port int) page {
	t.Helper()
	text, err := fetch(host, port, "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	return parse(t, text)
}

// parse reads the text format 0.0.4. Label values of the tests hold no quotes.
func parse(t *testing.T, text string) page {
	t.Helper()
	var all page
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		i := strings.LastIndexByte(line, ' ')
		v, err := strconv.ParseFloat(line[i+1:], 64)
		if err != nil {
			t.Fatalf("metrics page: %q: %v", line, err)
		}
		name, rest, _ := strings.Cut(line[:i], "{")
		s := sample{name, map[string]string{}, v}
		for rest = strings.TrimSuffix(rest, "}"); rest != ""; {
			var key, value string
			key, rest, _ = strings.Cut(rest, `="`)
			value, rest, _ = strings.Cut(rest, `"`)
			rest = strings.TrimPrefix(rest, ",")
			s.labels[key] = value
		}
		all = append(all, s)
	}
	return all
}

// all returns the samples of a name with these labels: "destination=web".
func (p page) all(name string, labels ...string) (found page) {
samples:
	for _, s := range p {
		if s.name != name {
			continue
		}
		for _, l := range labels {
			key, value, _ := strings.Cut(l, "=")
			if s.labels[key] != value {
				continue samples
			}
		}
		found = append(found, s)
	}
	return found
}

// value returns the value of the only such sample; ok is false when there is
// none, or more than one.
func (p page) value(name string, labels ...string) (v float64, ok bool) {
	found := p.all(name, labels...)
	if len(found) != 1 {
		return 0, false
	}
	return found[0].value, true
}

// sum adds up all such samples.
func (p page) sum(name string, labels ...string) (v float64) {
	for _, s := range p.all(name, labels...) {
		v += s.value
	}
	return v
}

// want checks one value.
func (p page) want(t *testing.T, value float64, name string, labels ...string) {
	t.Helper()
	if got, ok := p.value(name, labels...); !ok || got != value {
		t.Errorf("%s %v: got %v, want one series with %v", name, labels, p.all(name, labels...), value)
	}
}

// measured waits until each of these targets has had a whole round, checks
// that none of its probes was lost or, the next hop's MAC address in hand, not
// sent, and returns the page. kind is the prefix of the type's series.
func measured(t *testing.T, host *lab.Host, port int, kind string, destinations ...string) page {
	t.Helper()
	var p page
	for _, d := range destinations {
		eventually(t, "a whole round of "+d, func() bool {
			p = scrape(t, host, port)
			_, ok := p.value(kind+"_loss_ratio", "destination="+d)
			return ok
		})
	}
	for _, d := range destinations {
		d = "destination=" + d
		p.want(t, 0, kind+"_loss_ratio", d)
		p.want(t, 0, kind+"_loss_total", d)
		for _, s := range p.all("netprobe_not_sent_total", d) {
			// A loaded machine may give the program no time for an interval.
			if r := s.labels["reason"]; r != "neighbour_pending" && r != "behind" {
				t.Errorf("not sent: %v", s)
			}
		}
		if rtt, ok := p.value(kind+"_round_trip_seconds", d, "percentile=50"); !ok || rtt <= 0 {
			t.Errorf("%s: median round trip %v, want one above 0", d, p.all(kind+"_round_trip_seconds", d))
		}
	}
	return p
}
