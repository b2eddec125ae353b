// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"compress/gzip"
	"io"
	"strconv"
	"strings"
	"sync"
)

// compressors are kept because one holds several hundred kilobytes. BestSpeed:
// the text is so repetitive that more effort buys little, and the prober needs
// the CPU.
var compressors = sync.Pool{New: func() any {
	z, err := gzip.NewWriterLevel(io.Discard, gzip.BestSpeed)
	if err != nil {
		panic(err) // only for a level that does not exist
	}
	return z
}}

// WriteGzip writes the compressed page to w.
func (x *Exposition) WriteGzip(w io.Writer) error {
	z := compressors.Get().(*gzip.Writer)
	defer compressors.Put(z)
	z.Reset(w)
	if err := x.write(z); err != nil {
		return err
	}
	return z.Close()
}

// acceptsGzip reports whether the values of Accept-Encoding allow gzip
// (RFC 9110, section 12.5.3): named, or matched by *, with a weight above 0. A
// weight that cannot be read is no permission.
func acceptsGzip(values []string) bool {
	star := false
	for _, v := range values {
		for item := range strings.SplitSeq(v, ",") {
			coding, params, _ := strings.Cut(item, ";")
			coding = strings.TrimSpace(coding)
			switch {
			case strings.EqualFold(coding, "gzip"), strings.EqualFold(coding, "x-gzip"):
				return positiveWeight(params)
			case coding == "*":
				star = positiveWeight(params)
			}
		}
	}
	return star
}

// positiveWeight reads "q=0.5"; nothing means 1.
func positiveWeight(params string) bool {
	params = strings.TrimSpace(params)
	if params == "" {
		return true
	}
	name, value, _ := strings.Cut(params, "=")
	if !strings.EqualFold(strings.TrimSpace(name), "q") {
		return false
	}
	q, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
	return err == nil && q > 0 && q <= 1
}
