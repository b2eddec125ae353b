// SPDX-License-Identifier: Apache-2.0

package main

import (
	"math"
	"slices"
	"strings"
	"testing"
)

func TestFpingTrips(t *testing.T) {
	trips, lost, err := fpingTrips("10.0.0.1   : 0.052 - 0.003\n\n10.0.0.250 : 1.5 - -\n")
	if want := []float64{52_000, 3_000, 1_500_000}; err != nil || !slices.EqualFunc(trips, want, near) || lost != 3 {
		t.Errorf("got %v, %d lost, %v; want %v and 3", trips, lost, err, want)
	}
	for _, bad := range []string{"fping error: not enough sequence numbers available!\n", "10.0.0.1 : 0.1 x\n"} {
		if _, _, err := fpingTrips(bad); err == nil {
			t.Errorf("%q was taken for samples", bad)
		}
	}
}

func TestZmapClaims(t *testing.T) {
	c, err := zmapClaims([]byte(`{"total_sent": 197995, "success_total": 197990, "success_unique": 197985}`))
	if err != nil || c.Sent != 197995 || c.Matched != 197985 || c.Lost != 10 || !math.IsNaN(c.P50) {
		t.Errorf("got %+v, %v", c, err)
	}
	if _, err := zmapClaims(nil); err == nil {
		t.Error("an empty summary was accepted")
	}
}

func TestZmapTrips(t *testing.T) {
	trips, err := zmapTrips(strings.NewReader("sent-timestamp-ts,sent-timestamp-us,timestamp-ts,timestamp-us\n100,999990,101,15\n100,10,100,40\n"))
	if want := []float64{25_000, 30_000}; err != nil || !slices.EqualFunc(trips, want, near) {
		t.Errorf("got %v, %v; want %v", trips, err, want)
	}
	for _, bad := range []string{"1,2,3\n", "a,b,c,d\n1,2,3,x\n"} {
		if _, err := zmapTrips(strings.NewReader(bad)); err == nil {
			t.Errorf("%q was taken for samples", bad)
		}
	}
}

func TestMasscan(t *testing.T) {
	n, err := masscanFound(strings.NewReader("#masscan\nopen icmp 0 10.80.113.44 1795322603\nopen tcp 80 10.0.0.1 1795322603\n# end\n"))
	if err != nil || n != 2 {
		t.Errorf("found %v, %v; want 2", n, err)
	}
	for n, want := range map[int]string{1: "10.0.0.0-10.0.0.0", 65536: "10.0.0.0-10.0.255.255", 600_000: "10.0.0.0-10.9.39.191"} {
		if got := masscanRange(n); got != want {
			t.Errorf("range of %d: %s, want %s", n, got, want)
		}
	}
}

func TestPingTrip(t *testing.T) {
	if ns, ok := pingTrip("24 bytes from 10.0.0.1: icmp_seq=1 ttl=64 time=0.024 ms"); !ok || !near(ns, 24_000) {
		t.Errorf("got %v, %v", ns, ok)
	}
	for _, other := range []string{"PING 10.0.0.1 (10.0.0.1) 16(44) bytes of data.", "64 bytes: time=x ms", ""} {
		if _, ok := pingTrip(other); ok {
			t.Errorf("%q was taken for a sample", other)
		}
	}
}

func near(a, b float64) bool { return math.Abs(a-b) < 1e-3 }
