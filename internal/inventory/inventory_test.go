// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

// seen is a line as a test compares it.
type seen struct {
	Number int
	Text   string
	Long   bool
	Plain  bool
}

func linesOf(t *testing.T, r io.Reader) (all []seen, err error) {
	t.Helper()
	for l, failed := range Load(r) {
		if failed != nil {
			return all, failed
		}
		all = append(all, seen{l.Number, string(l.Text), l.Long, l.Plain})
	}
	return all, nil
}

func TestLines(t *testing.T) {
	long := strings.Repeat("x", 3*MaxLine)
	want := []seen{
		{1, "{}", false, true},
		{4, "a  b", false, false},
		{5, long[:shownOfLong], true, false},
		{6, long[:MaxLine-1], false, false},
		{7, long[:shownOfLong], true, false},
		{8, `{"x":1}`, false, true},
	}
	text := "{}\n\n \t\r\n\ta  b\r\n" + long + "\n" + long[:MaxLine-1] + "\n" + long[:MaxLine] + "\n" + `{"x":1}`
	for name, r := range map[string]io.Reader{
		"at once": strings.NewReader(text), "byte by byte": iotest.OneByteReader(strings.NewReader(text)), "with a last line end": strings.NewReader(text + "\n"),
	} {
		got, err := linesOf(t, r)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%s: %v: -want +got:\n%s", name, err, diff)
		}
	}
	if got, err := linesOf(t, strings.NewReader("")); err != nil || len(got) != 0 {
		t.Errorf("nothing: %v, %v", got, err)
	}
	// A long line at the very end, with nothing behind it.
	if got, err := linesOf(t, strings.NewReader(long)); err != nil || len(got) != 1 || !got[0].Long {
		t.Errorf("one long line: %d, %v", len(got), err)
	}
}

func TestReadError(t *testing.T) {
	broken := errors.New("broken")
	got, err := linesOf(t, io.MultiReader(strings.NewReader("{}\n{"), iotest.ErrReader(broken)))
	if !errors.Is(err, broken) || len(got) != 1 {
		t.Errorf("got %v, %v", got, err)
	}
	if _, err = linesOf(t, io.MultiReader(strings.NewReader(strings.Repeat("x", 2*MaxLine)), iotest.ErrReader(broken))); !errors.Is(err, broken) {
		t.Errorf("within a long line: %v", err)
	}
}

// Whoever has enough stops the reading.
func TestStop(t *testing.T) {
	for range Load(strings.NewReader("{}\n{}\n")) {
		break
	}
}

func TestPlain(t *testing.T) {
	for text, want := range map[string]bool{
		`{}`: true,
		`{"hostname":"a","timeout":1.5e-3,"dst_port":-0,"groups":[],"state":null}`: true,
		`{ "groups" : [ "a" , "b" ] , "is_subnet" : false }`:                       true,
		`{"other":true,"more":"x","third":-1.5,"fourth":null}`:                     true,
		`{"threshold":{"loss":null}}`:                                              true,
		`{"hostname":"\u0061"}`:                                                    false,
		`{"hostname":"é"}`:                                                         false,
		"{\"hostname\":\"\x01\"}":                                                  false,
		"{\"hostname\":\"\x7f\"}":                                                  false,
		`{"hostname":5}`:                                                           false,
		`{"dst_port":"5"}`:                                                         false,
		`{"dst_port":5.0}`:                                                         false,
		`{"dst_port":05}`:                                                          false,
		`{"dst_port":+5}`:                                                          false,
		`{"dst_port":5 5}`:                                                         false,
		`{"dst_port":1234567890123456}`:                                            false,
		`{"timeout":1e999}`:                                                        false,
		`{"timeout":.5}`:                                                           false,
		`{"timeout":1.}`:                                                           false,
		`{"timeout":1e}`:                                                           false,
		`{"timeout":-}`:                                                            false,
		`{"is_subnet":1}`:                                                          false,
		`{"is_subnet":truee}`:                                                      false,
		`{"hostname":"a","hostname":"a"}`:                                          false,
		`{"hostname":null,"hostname":"a"}`:                                         false,
		`{"other":1,"other":1}`:                                                    false,
		`{"other":[],"more":{"x":[1,{"y":{}}],"z":{"x":null}}}`:                    true,
		`{"other":[[[[[[[[1]]]]]]]]}`:                                              true,
		`{"other":[[[[[[[[[1]]]]]]]]]}`:                                            false,
		`{"other":[1,]}`:                                                           false,
		`{"other":{"x"}}`:                                                          false,
		`{"other":{"x":1,}}`:                                                       false,
		`{"other":["é"]}`:                                                          false,
		`{"threshold":{}}`:                                                         false,
		`{"threshold":null}`:                                                       false,
		`{"threshold":{"loss":1,"loss":1}}`:                                        false,
		`{"threshold":{"loss":1},"threshold":{"latency":1}}`:                       false,
		`{"threshold":{"x":1}}`:                                                    false,
		`{"groups":["a",]}`:                                                        false,
		`{"groups":[,"a"]}`:                                                        false,
		`{"groups":["a"}`:                                                          false,
		`{"groups":[1]}`:                                                           false,
		`{"hostname":"a",}`:                                                        false,
		`{"hostname":"a"}}`:                                                        false,
		`{"hostname":"a"} x`:                                                       false,
		`{"hostname":"a"`:                                                          false,
		`{"hostname":`:                                                             false,
		`{"hostname" "a"}`:                                                         false,
		`{`:                                                                        false,
		`[]`:                                                                       false,
		`{"a":1,"b":1,"c":1,"d":1,"e":1,"f":1,"g":1,"h":1,"i":1,"j":1,"k":1,"l":1,"m":1,"n":1,"o":1,"p":1}`:       true,
		`{"a":1,"b":1,"c":1,"d":1,"e":1,"f":1,"g":1,"h":1,"i":1,"j":1,"k":1,"l":1,"m":1,"n":1,"o":1,"p":1,"q":1}`: false,
	} {
		var target Target
		if got := target.scan([]byte(text)); got != want {
			t.Errorf("%s: plain %t, want %t", text, got, want)
		}
	}
}

// FuzzScan: a plain line is JSON, and says what it says to encoding/json.
func FuzzScan(f *testing.F) {
	f.Add([]byte(everyKey))
	f.Add([]byte(`{"hostname":"a","timeout":1.5e-3,"dst_port":-0,"groups":[],"state":null,"x":null}`))
	f.Add([]byte(`{ "groups" : [ "a" , "b" ] , "threshold" : {"loss": null} }`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var got Target
		if !got.scan(bytes.Trim(text, " \t\r\n")) {
			return
		}
		members := map[string]json.RawMessage{}
		if err := json.Unmarshal(text, &members); err != nil {
			t.Fatalf("%q is taken for plain: %v", text, err)
		}
		var want struct {
			Hostname          *string  `json:"hostname"`
			Type              *string  `json:"type"`
			Destination       *string  `json:"destination"`
			Groups            []string `json:"groups"`
			Family            *string  `json:"address_family"`
			State             *string  `json:"state"`
			AlertLevel        *string  `json:"alert_level"`
			DontFragment      *bool    `json:"dont_fragment"`
			IsSubnet          *bool    `json:"is_subnet"`
			DstPort           *int64   `json:"dst_port"`
			NbPackets         *int64   `json:"nb_packets"`
			IPPayloadSize     *int64   `json:"ip_payload_size"`
			DNSUpdateInterval *int64   `json:"dns_update_interval"`
			Timeout           *float64 `json:"timeout"`
			Threshold         struct {
				Latency *float64 `json:"latency"`
				Loss    *float64 `json:"loss"`
			} `json:"threshold"`
		}
		// encoding/json takes names in any case; here only the exact one is meant.
		for key := range members {
			if lower := strings.ToLower(key); lower != key && members[lower] == nil || strings.Contains(key, "\u017f") {
				return
			}
		}
		if err := json.Unmarshal(text, &want); err != nil {
			t.Fatalf("%q is taken for plain: %v", text, err)
		}
		same(t, got.Has, Hostname, want.Hostname, string(got.Hostname))
		same(t, got.Has, Type, want.Type, string(got.Type))
		same(t, got.Has, Destination, want.Destination, string(got.Destination))
		same(t, got.Has, Family, want.Family, string(got.Family))
		same(t, got.Has, State, want.State, string(got.State))
		same(t, got.Has, AlertLevel, want.AlertLevel, string(got.AlertLevel))
		same(t, got.Has, DontFragment, want.DontFragment, got.DontFragment)
		same(t, got.Has, IsSubnet, want.IsSubnet, got.IsSubnet)
		same(t, got.Has, DstPort, want.DstPort, got.DstPort)
		same(t, got.Has, NbPackets, want.NbPackets, got.NbPackets)
		same(t, got.Has, IPPayloadSize, want.IPPayloadSize, got.IPPayloadSize)
		same(t, got.Has, DNSUpdateInterval, want.DNSUpdateInterval, got.DNSUpdateInterval)
		same(t, got.Has, Timeout, want.Timeout, got.Timeout)
		same(t, got.Has, ThresholdLatency, want.Threshold.Latency, got.ThresholdLatency)
		same(t, got.Has, ThresholdLoss, want.Threshold.Loss, got.ThresholdLoss)
		if (want.Groups != nil) != (got.Has&Groups != 0) {
			t.Fatalf("%q: groups %s", text, got.Groups)
		}
		var groups []string
		if want.Groups != nil && (json.Unmarshal(got.Groups, &groups) != nil || !reflect.DeepEqual(groups, want.Groups)) {
			t.Fatalf("%q: groups %s", text, got.Groups)
		}
		for _, key := range got.Unknown {
			if members[string(key)] == nil {
				t.Fatalf("%q: key %s", text, key)
			}
		}
	})
}

func same[T comparable](t *testing.T, has, key Keys, want *T, got T) {
	t.Helper()
	if (want != nil) != (has&key != 0) || want != nil && *want != got {
		t.Fatalf("got %v of %b, want %v", got, has, want)
	}
}

const everyKey = `{"hostname": "host-1.example.com", "type": "TCPsyn", "destination": "10.0.0.1", "address_family": "ipv4", "dst_port": 443, "groups": ["standard", "quiet"], "nb_packets": 3, "timeout": 0.5, "ip_payload_size": 64, "dont_fragment": true, "is_subnet": false, "threshold": {"latency": 0.2, "loss": 5}, "state": "in production", "alert_level": "paging", "dns_update_interval": 60, "owner": "me"}`

// BenchmarkLoad streams a million lines.
func BenchmarkLoad(b *testing.B) {
	for _, shape := range []struct{ name, line string }{
		{"short", `{"hostname": "host-1", "type": "ICMPping", "destination": "10.0.0.1", "groups": ["standard"]}`},
		{"every key", everyKey},
	} {
		b.Run(shape.name, func(b *testing.B) {
			const n = 1_000_000
			text := []byte(strings.Repeat(shape.line+"\n", n))
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				plain := 0
				for l, err := range Load(bytes.NewReader(text)) {
					if err != nil {
						b.Fatal(err)
					}
					if l.Plain {
						plain++
					}
				}
				if plain != n {
					b.Fatal(plain)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/line")
		})
	}
}
