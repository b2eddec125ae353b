// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// zmap is Debian's zmap. It sends each address one probe, so the targets are
// as many as the probes; a rate of 0 is as fast as it goes. Its kernel answers each SYN-ACK with
// a RST, since nothing keeps it from that.
type zmap struct {
	dir   string
	child *child
}

func (z *zmap) name() string { return "zmap" }
func (z *zmap) pass() bool   { return true }

// timed says whether zmap is asked when each probe left and came back, which
// its echo module can tell; as fast as it goes that would be a burden.
func (z *zmap) timed(l load) bool { return l.Proto == icmp && l.PPS > 0 }

func (z *zmap) start(r *rig, dir string, l load) (_ []*child, err error) {
	z.dir = dir
	empty := filepath.Join(dir, "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		return nil, err
	}
	args := []string{"-C", empty, "-b", empty, "-i", r.near.Name, "-G", r.far.MAC.String(), "-S", nearAddr,
		"-r", strconv.Itoa(l.PPS), "-n", strconv.Itoa(l.Probes), "-c", "1", "-m", filepath.Join(dir, "meta.json"),
		"-q", "-v", "1", "--disable-syslog", "--max-sendto-failures", "1000000000", "-O", "csv"}
	switch {
	case l.Proto == tcp:
		args = append(args, "-M", "tcp_synscan", "-p", strconv.Itoa(tcpPort), "-o", "/dev/null")
	case z.timed(l):
		args = append(args, "-M", "icmp_echo_time", "-o", filepath.Join(dir, "out.csv"),
			"-f", "sent-timestamp-ts,sent-timestamp-us,timestamp-ts,timestamp-us")
	default:
		args = append(args, "-M", "icmp_echoscan", "-o", "/dev/null")
	}
	z.child, err = start(where{r.prober, dir, anyCPU}, "zmap", append(args, targetPrefix)...)
	return []*child{z.child}, err
}

func (z *zmap) finish(l load) (claims, error) {
	if err := z.child.wait(20 * time.Second); err != nil {
		return claims{}, err
	}
	b, err := os.ReadFile(filepath.Join(z.dir, "meta.json"))
	if err != nil {
		return claims{}, fmt.Errorf("read zmap's summary: %w", err)
	}
	c, err := zmapClaims(b)
	if err != nil || !z.timed(l) {
		return c, err
	}
	f, err := os.Open(filepath.Join(z.dir, "out.csv"))
	if err != nil {
		return c, fmt.Errorf("read zmap's samples: %w", err)
	}
	defer f.Close()
	trips, err := zmapTrips(f)
	c.P50, c.P99 = quantiles(trips)
	return c, err
}

// zmapClaims reads the metadata file.
func zmapClaims(b []byte) (claims, error) {
	var m struct {
		Sent    float64 `json:"total_sent"`
		Matched float64 `json:"success_unique"`
	}
	if err := json.Unmarshal(b, &m); err != nil {
		return claims{}, fmt.Errorf("read zmap's summary: %w", err)
	}
	return claims{Sent: m.Sent, Matched: m.Matched, Lost: m.Sent - m.Matched, NotSent: none, Unknown: none, Marked: none, P50: none, P99: none}, nil
}

// zmapTrips reads round trips, ns, from lines of two times in seconds and
// microseconds.
func zmapTrips(r io.Reader) ([]float64, error) {
	lines, err := csv.NewReader(r).ReadAll()
	if err != nil {
		return nil, fmt.Errorf("read zmap's samples: %w", err)
	}
	var trips []float64
	for i, line := range lines {
		var v [4]float64
		for j := range v {
			if len(line) != len(v) {
				return nil, fmt.Errorf("zmap's sample %d has %d fields", i, len(line))
			}
			if v[j], err = strconv.ParseFloat(line[j], 64); err != nil {
				break
			}
		}
		if err != nil && i == 0 {
			continue // the names of the fields
		}
		if err != nil {
			return nil, fmt.Errorf("zmap's sample %d: %w", i, err)
		}
		trips = append(trips, (v[2]-v[0])*1e9+(v[3]-v[1])*1e3)
	}
	return trips, nil
}
