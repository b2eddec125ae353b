// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func itemsOf(data string) (all []seen, err error) {
	for l, failed := range Items([]byte(data)) {
		if failed != nil {
			return all, failed
		}
		all = append(all, seen{l.Number, string(l.Text), l.Long, l.Plain})
	}
	return all, nil
}

func TestItems(t *testing.T) {
	got, err := itemsOf("\n[ {\"hostname\": \"a\"}, {\"hostname\": \"b\",\n \"x\": 1},\n\n5\n , \"caf\xe9\"]\n")
	want := []seen{{2, `{"hostname": "a"}`, false, true}, {2, `{"hostname":"b","x":1}`, false, true}, {5, "5", false, false}, {6, "\"caf\xe9\"", false, false}}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v: -want +got:\n%s", err, diff)
	}
	if got, err := itemsOf("[]"); len(got) != 0 || err != nil {
		t.Errorf("none: %v, %v", got, err)
	}
	for text, line := range map[string]int{
		"": 1, "{}": 1, "\n\n5": 3, "[": 1, "[1,\n2": 2, "[1,\n2,\n]": 2, "[1]\n[2]": 2, "[1]\nx": 2, "[1 \n 2]": 2, "<html>\n</html>": 1, "[{\"a\":\n1,}]": 2,
	} {
		_, err := itemsOf(text)
		var syntax *SyntaxError
		if !errors.As(err, &syntax) || syntax.Line != line || syntax.Error() == "" {
			t.Errorf("%q: %+v, want line %d", text, err, line)
		}
	}
	for range Items([]byte("[1,2]")) { // whoever has enough stops the reading
		break
	}
}

// FuzzItems: what is taken for a list is one to encoding/json, item by item.
func FuzzItems(f *testing.F) {
	f.Add([]byte("[ {\"hostname\": \"a\",\n\"x\": [1]}, 5 ]"))
	f.Add([]byte("[1,,2]"))
	f.Add([]byte("[1e999]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var want []json.RawMessage // whatever numbers are in it
		wrong := json.Unmarshal(data, &want)
		n := 0
		for l, err := range Items(data) {
			if err != nil {
				if wrong == nil && want != nil {
					t.Fatalf("%q is a list, and refused: %v", data, err)
				}
				return
			}
			if !json.Valid(l.Text) || l.Number < 1 {
				t.Fatalf("%q: item %q on line %d", data, l.Text, l.Number)
			}
			n++
		}
		if wrong != nil || n != len(want) {
			t.Fatalf("%q: %d items, want %d, %v", data, n, len(want), wrong)
		}
	})
}
