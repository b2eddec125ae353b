// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"fmt"
	"io"
	"net/netip"
	"os"
)

// largeList is from how many targets on they come as an inventory of JSON
// lines rather than in the configuration itself.
const largeList = 20_000

// write writes the configuration of one generation: generations differ in the
// targets of churn. Each file appears whole.
func (f files) write(generation int) error {
	s := f.scenario
	err := replace(f.config(), func(w io.Writer) {
		fmt.Fprintf(w, "global:\n  probe_name: soak\n  interval: %d\n  nb_proc: 1\n  logging_level: INFO\n  dns_update_interval: 0\n"+
			"  prometheus_address: 127.0.0.1\n  prometheus_port: 8000\n", int(s.interval.Seconds()))
		fmt.Fprint(w, "groups:\n  a: {src_port_a: 20000, src_port_z: 20063}\n")
		if s.targets >= largeList {
			return
		}
		fmt.Fprint(w, "targets:\n")
		for i := range s.targets {
			fmt.Fprintf(w, "  t%d: {%s, nb_packets: %d, timeout: %g}\n", i, kind(i, 0), s.packets, timeout.Seconds())
		}
		for i := range s.churn {
			fmt.Fprintf(w, "  churn%d-%d: {%s, nb_packets: %d, timeout: %g}\n", generation, i, kind(s.targets+i, generation), s.packets, timeout.Seconds())
		}
	})
	if err != nil || generation > 0 {
		return err
	}
	if err := replace(f.settings(), func(w io.Writer) {
		fmt.Fprintf(w, "engine: {workers: %d}\nsafety: {max_pps: %d, max_prefix_pps: %d}\nmetrics: {max_series: 20000000}\nhistory: {memory: %d}\n",
			s.workers, 2*int(s.pps())+1000, int(0.6*s.pps())+1000, s.past()) // half of the targets are in one /48
		if s.targets >= largeList {
			fmt.Fprintf(w, "inventories:\n  many: {file: %q}\n", f.list())
		}
	}); err != nil || s.targets < largeList {
		return err
	}
	return replace(f.list(), func(w io.Writer) {
		for i := range s.targets {
			typ, port := "ICMPping", ""
			switch i % 4 {
			case 1:
				typ, port = "TCPsyn", `, "dst_port": 443`
			case 3:
				typ, port = "UDPunreachable", `, "dst_port": 33434`
			}
			a, family := addr(i, 0)
			fmt.Fprintf(w, `{"hostname": "t%d", "type": %q, "destination": %q, "address_family": %q, "groups": ["a"], "nb_packets": %d, "timeout": %g%s}`+"\n",
				i, typ, a, family, s.packets, timeout.Seconds(), port)
		}
	})
}

// past is how much memory the past of all targets gets, bytes: what the program
// gives it without being told, but no more than a quarter of a page for each target.
// So little is touched with the first round that is kept, all of it, and memory that
// grows later is not the past's. By default it would be two pages or more of a target
// that fill over days.
func (s scenario) past() int { return min(64<<20, 1024*(s.targets+s.churn)) }

// kind is the type and destination of a target, as YAML.
func kind(i, generation int) string {
	a, _ := addr(i, generation)
	switch i % 4 {
	case 1:
		return fmt.Sprintf("type: TCPsyn, destination: %q, dst_port: 443", a)
	case 3:
		return fmt.Sprintf("type: UDPunreachable, destination: %q, dst_port: 33434", a)
	}
	return fmt.Sprintf("type: ICMPping, destination: %q", a)
}

// addr is the address of target i: every other eight are IPv6.
func addr(i, generation int) (netip.Addr, string) {
	if i/8%2 == 1 {
		a := netip.MustParseAddr("2001:db8:1::").As16()
		a[8], a[12], a[13], a[14], a[15] = byte(generation), byte(i>>24), byte(i>>16), byte(i>>8), byte(i)
		return netip.AddrFrom16(a), "ipv6"
	}
	i += generation % 100 * 100_000
	return netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), "ipv4"
}

// replace writes a file beside name and moves it there.
func replace(name string, content func(io.Writer)) error {
	file, err := os.Create(name + ".new")
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(file, 1<<20)
	content(w)
	if err := w.Flush(); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	if err := file.Close(); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return os.Rename(name+".new", name)
}
