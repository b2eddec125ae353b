// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"
)

// table is what is shown for people: in a terminal, or as Markdown.
type table struct {
	title   string
	note    string
	columns []string
	rows    [][]string
}

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

// text writes aligned columns.
func (t *table) text(w io.Writer) {
	fmt.Fprintf(w, "\n%s\n", t.title)
	if t.note != "" {
		fmt.Fprintf(w, "%s\n", t.note)
	}
	widths := make([]int, len(t.columns))
	all := append([][]string{t.columns}, t.rows...)
	for _, row := range all {
		for i, c := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(c))
		}
	}
	for _, row := range all {
		var line strings.Builder
		for i, c := range row {
			line.WriteString(c + strings.Repeat(" ", widths[i]-utf8.RuneCountInString(c)+2))
		}
		fmt.Fprintln(w, strings.TrimRight(line.String(), " "))
	}
}

func (t *table) markdown(w io.Writer) {
	fmt.Fprintf(w, "\n### %s\n\n", t.title)
	if t.note != "" {
		fmt.Fprintf(w, "%s\n\n", t.note)
	}
	fmt.Fprintf(w, "| %s |\n|%s\n", strings.Join(t.columns, " | "), strings.Repeat("---|", len(t.columns)))
	for _, row := range t.rows {
		fmt.Fprintf(w, "| %s |\n", strings.Join(row, " | "))
	}
}

// show writes a median and, of several runs, the least and the most.
func (s spread) show(format func(float64) string) string {
	switch s.N {
	case 0:
		return "-"
	case 1:
		return format(s.Median)
	}
	return fmt.Sprintf("%s (%s..%s)", format(s.Median), format(s.Min), format(s.Max))
}

// digits writes three significant digits, and whole numbers from 100 on.
func digits(v float64) string {
	switch {
	case v >= 99.95 || v <= -99.95 || v == 0:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case v >= 9.995 || v <= -9.995:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(v, 'f', 2, 64)
}

// thousands writes a rate: 589k, 1.10M, 150.
func thousands(v float64) string {
	switch {
	case v >= 999_500:
		return strconv.FormatFloat(v/1e6, 'f', 2, 64) + "M"
	case v >= 9_950:
		return strconv.FormatFloat(v/1e3, 'f', 1, 64) + "k"
	}
	return strconv.FormatFloat(v, 'f', 0, 64)
}

func percent(v float64) string { return strconv.FormatFloat(v*100, 'f', 2, 64) + "%" }

func whole(v float64) string { return strconv.FormatFloat(v, 'f', 0, 64) }
