// SPDX-License-Identifier: Apache-2.0

package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"sort"

	"go.yaml.in/yaml/v3"
)

// maxJSONDepth bounds the recursion; a configuration has five levels.
const maxJSONDepth = 100

// parseJSON reads a .json file as strict JSON into the nodes that YAML gives.
// A YAML parser will not do: JSON has tabs between tokens, surrogate pairs and
// keys of any length.
func (s *source) parseJSON() (*yaml.Node, *Fault) {
	r := &jsonReader{lines: lineStarts(s.data)}
	if err := json.Unmarshal(s.data, new(json.RawMessage)); err != nil {
		f := &Fault{File: s.name, Read: "not JSON: " + oneLine(err.Error()), Allowed: "correct the syntax at this line, or use YAML in a .yaml file"}
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			f.Line = r.line(syntax.Offset - 1)
		}
		return nil, f
	}
	r.dec = json.NewDecoder(bytes.NewReader(s.data))
	r.dec.UseNumber()
	root, err := r.node(0)
	if err != nil {
		return nil, &Fault{File: s.name, Line: r.line(r.dec.InputOffset()), Read: "not JSON: " + oneLine(err.Error()), Allowed: "correct the syntax at this line"}
	}
	return root, nil
}

type jsonReader struct {
	dec   *json.Decoder
	lines []int64 // offset at which each line begins
	above int     // lines before the first of them
}

func lineStarts(data []byte) []int64 {
	starts := []int64{0}
	for i, c := range data {
		if c == '\n' {
			starts = append(starts, int64(i)+1)
		}
	}
	return starts
}

func (r *jsonReader) line(offset int64) int {
	return r.above + max(1, sort.Search(len(r.lines), func(i int) bool { return r.lines[i] > offset }))
}

func (r *jsonReader) node(depth int) (*yaml.Node, error) {
	if depth > maxJSONDepth {
		return nil, errors.New("nested too deeply")
	}
	token, err := r.dec.Token()
	if err != nil {
		return nil, err
	}
	n := &yaml.Node{Kind: yaml.ScalarNode, Line: r.line(r.dec.InputOffset() - 1)}
	switch t := token.(type) {
	case json.Delim:
		n.Kind, n.Tag, n.Style = yaml.MappingNode, "!!map", yaml.FlowStyle
		if t == '[' {
			n.Kind, n.Tag = yaml.SequenceNode, "!!seq"
		}
		for r.dec.More() {
			child, err := r.node(depth + 1)
			if err != nil {
				return nil, err
			}
			n.Content = append(n.Content, child)
		}
		_, err = r.dec.Token() // the closing bracket
		return n, err
	case string:
		n.Value, n.Style = t, yaml.DoubleQuotedStyle
	case json.Number:
		n.Value = t.String()
	case bool:
		n.Value = "false"
		if t {
			n.Value = "true"
		}
	case nil:
		n.Value = "null"
	}
	return n, nil
}
