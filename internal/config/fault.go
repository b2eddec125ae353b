// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"hash/maphash"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Fault is one thing wrong with a configuration, said on one line.
type Fault struct {
	File    string // file, or "environment", or "flags"
	Line    int    // 1-based; 0 when there is no line
	Key     string // dotted path of the key, "" for the whole file
	Read    string // what was read
	Allowed string // what is allowed, and what to do
}

// String returns `file:line: key: read; allowed`, always one line.
func (f Fault) String() string {
	var b strings.Builder
	b.WriteString(oneLine(f.File))
	if f.Line > 0 {
		fmt.Fprintf(&b, ":%d", f.Line)
	}
	b.WriteString(": ")
	if f.Key != "" {
		b.WriteString(oneLine(f.Key) + ": ")
	}
	b.WriteString(f.Read)
	if f.Allowed != "" {
		b.WriteString("; " + f.Allowed)
	}
	return b.String()
}

// Faults is every fault of a configuration, in the order of the file.
type Faults []Fault

// Error returns one line per fault.
func (fs Faults) Error() string {
	lines := make([]string, len(fs))
	for i, f := range fs {
		lines[i] = f.String()
	}
	return strings.Join(lines, "\n")
}

// maxShown is how many characters of a value a fault repeats.
const maxShown = 60

// oneLine quotes text that would break a line or a terminal.
func oneLine(s string) string {
	if utf8.ValidString(s) && strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) < 0 {
		return s
	}
	return strconv.Quote(s)
}

// shorten cuts text after n characters.
func shorten(s string, n int) string {
	for i := range s {
		if n == 0 {
			return s[:i] + "…"
		}
		n--
	}
	return s
}

// joinPath writes a path as a person reads it.
func joinPath(path []string) string {
	short := make([]string, len(path))
	for i, p := range path {
		short[i] = shorten(p, 2*maxShown)
	}
	return strings.Join(short, ".")
}

// positions remembers where each key was read. It holds hashes of paths, since
// 100,000 targets have some 600,000 of them. The zero value holds nothing.
type positions struct {
	seed    maphash.Seed
	at      map[uint64]position
	origins []origin
}

// position is a line (0: none) and an index into origins.
type position struct{ line, origin int32 }

// origin is a file, or the variable or flag that set a key.
type origin struct{ file, key string }

func newPositions() positions {
	return positions{seed: maphash.MakeSeed(), at: map[uint64]position{}}
}

func (p *positions) hash(path []string) uint64 {
	var h maphash.Hash
	h.SetSeed(p.seed)
	for _, key := range path {
		h.WriteString(key)
		h.WriteByte(0)
	}
	return h.Sum64()
}

func (p *positions) set(path []string, from origin, line int) {
	i := slices.Index(p.origins, from)
	if i < 0 {
		i = len(p.origins)
		p.origins = append(p.origins, from)
	}
	p.at[p.hash(path)] = position{line: int32(line), origin: int32(i)}
}

func (p *positions) get(path []string) (from origin, line int, ok bool) {
	if p.at == nil {
		return from, 0, false
	}
	at, ok := p.at[p.hash(path)]
	if !ok {
		return from, 0, false
	}
	return p.origins[at.origin], int(at.line), true
}

// Fault returns a fault at the position of the key with this path, or of its
// nearest parent that was read: cfg.Fault("read 70000", "allowed: 1 to
// 65535", "targets", name, "dst_port").
func (c *Config) Fault(read, allowed string, path ...string) Fault {
	f := Fault{File: c.File, Key: joinPath(path), Read: read, Allowed: allowed}
	if f.File == "" {
		f.File = "built-in configuration"
	}
	for n := len(path); n > 0; n-- {
		if from, line, ok := c.positions.get(path[:n]); ok {
			f.File, f.Line = from.file, line
			if from.key != "" {
				f.Key = from.key
			}
			break
		}
		if n > 2 {
			continue
		}
		if file, line, ok := c.listed.find(c.Targets, path[:n]); ok {
			f.File, f.Line = file, line
			break
		}
	}
	return f
}
