// SPDX-License-Identifier: Apache-2.0

package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"

	"go.yaml.in/yaml/v3"

	"github.com/netprobe-xdp/netprobe-xdp/internal/exitcode"
)

// MaxFileSize is the size in bytes above which a file is refused.
const MaxFileSize = 64 << 20

// source is a file that was read.
type source struct {
	name string
	data []byte
}

// readSource reads a configuration file. Every error carries
// exitcode.NoInput.
func readSource(name string) (*source, error) {
	data, err := readLimited(name)
	if err != nil {
		return nil, exitcode.With(exitcode.NoInput, fmt.Errorf("cannot read configuration %s: %w", oneLine(name), err))
	}
	return &source{name: name, data: data}, nil
}

var errPermission = errors.New("permission denied; make it readable for the user that runs netprobe-xdp")

func readLimited(name string) ([]byte, error) {
	switch filepath.Ext(name) {
	case ".yaml", ".yml", ".json":
	default:
		return nil, errors.New("its name must end in .yaml, .yml or .json; rename the file")
	}
	f, size, err := openRegular(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if size > MaxFileSize {
		return nil, fmt.Errorf("it holds %d bytes, more than the limit of %d; split the targets over several probes", size, MaxFileSize)
	}
	data, err := io.ReadAll(io.LimitReader(f, MaxFileSize+1))
	switch {
	case err != nil:
		return nil, errors.Unwrap(err)
	case len(data) > MaxFileSize:
		return nil, fmt.Errorf("it grew over the limit of %d bytes while it was read", MaxFileSize)
	case len(bytes.TrimSpace(data)) == 0:
		return nil, errors.New("it is empty; configs/netprobe.yaml is an example to start from")
	}
	return data, nil
}

// openRegular opens a file that is neither a directory nor a device, and returns
// its size in bytes. The error says what to do.
func openRegular(name string) (f *os.File, size int64, err error) {
	info, err := os.Stat(name) // before it is opened: opening a named pipe waits
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, 0, errors.New("there is no such file; check the name")
	case errors.Is(err, fs.ErrPermission):
		return nil, 0, errPermission
	case err != nil:
		return nil, 0, errors.Unwrap(err)
	case info.IsDir():
		return nil, 0, errors.New("it is a directory; name a file in it")
	case !info.Mode().IsRegular():
		return nil, 0, errors.New("it is not a regular file; write it to one")
	}
	f, err = os.Open(name)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return nil, 0, errPermission
	case err != nil:
		return nil, 0, errors.Unwrap(err)
	}
	return f, info.Size(), nil
}

// parse turns a file into the node of its only document, without looking at
// what is in it. A nil node comes with exactly one fault.
func (s *source) parse() (*yaml.Node, *Fault) {
	if filepath.Ext(s.name) == ".json" {
		return s.parseJSON()
	}
	dec := yaml.NewDecoder(bytes.NewReader(s.data))
	var doc, next yaml.Node
	if err := dec.Decode(&doc); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, s.empty()
		}
		return nil, s.syntax(err)
	}
	if err := dec.Decode(&next); err == nil {
		return nil, &Fault{File: s.name, Line: next.Line, Read: "a second YAML document begins here", Allowed: "allowed: one document in a file; remove the --- line or split the file"}
	} else if !errors.Is(err, io.EOF) {
		return nil, s.syntax(err)
	}
	root := doc.Content[0]
	if root.Kind == yaml.ScalarNode && classify(root) == kindNull {
		return nil, s.empty()
	}
	return root, nil
}

func (s *source) empty() *Fault {
	return &Fault{File: s.name, Read: "holds nothing but comments", Allowed: "configs/netprobe.yaml is an example to start from"}
}

var (
	yamlError     = regexp.MustCompile(`(?s)^yaml: (?:line (\d+): )?(.*)$`)
	unknownAnchor = regexp.MustCompile(`^unknown anchor '(.*)' referenced$`)
)

// syntax makes a fault of a parser's error.
func (s *source) syntax(err error) *Fault {
	f := &Fault{File: s.name, Read: err.Error(), Allowed: "correct the syntax on this line"}
	hint := 0
	if m := yamlError.FindStringSubmatch(err.Error()); m != nil {
		hint, _ = strconv.Atoi(m[1])
		f.Read = m[2]
	}
	if unknownAnchor.MatchString(f.Read) {
		f.Allowed = "define the anchor with & before it is used"
	}
	f.Read = "not YAML: " + oneLine(shorten(f.Read, 200))
	f.Line = s.badLine(hint)
	if line, ok := s.tabIndent(f.Line); ok {
		f.Line, f.Allowed = line, "the line is indented with a tab; use spaces"
	}
	return f
}

// maxReparse bounds, in bytes, what is parsed again to find a fault's line.
const maxReparse = 64 << 20

// badLine finds the first line that the file cannot be read beyond. The parser
// itself names the line on which the surrounding map or list begins, or none:
// hint is only where to stop looking.
func (s *source) badLine(hint int) int {
	ends := lineStarts(s.data)[1:] // offset after each line
	if len(ends) == 0 || ends[len(ends)-1] < int64(len(s.data)) {
		ends = append(ends, int64(len(s.data)))
	}
	budget := int64(maxReparse)
	good, bad := 0, len(ends) // lines 1 to good can be read, lines 1 to bad cannot
	for bad-good > 1 {
		mid := (good + bad) / 2
		if budget -= ends[mid-1]; budget < 0 {
			return max(hint, 1)
		}
		if yaml.Unmarshal(s.data[:ends[mid-1]], new(yaml.Node)) == nil {
			good = mid
		} else {
			bad = mid
		}
	}
	return max(bad, min(hint, len(ends)))
}

// tabIndent looks for a line indented with a tab at or just after line.
func (s *source) tabIndent(line int) (int, bool) {
	lines := bytes.Split(s.data, []byte("\n"))
	for n := max(line, 1); n <= min(line+1, len(lines)); n++ {
		text := lines[n-1]
		indent := text[:len(text)-len(bytes.TrimLeft(text, " \t"))]
		if bytes.Contains(indent, []byte("\t")) {
			return n, true
		}
	}
	return 0, false
}
