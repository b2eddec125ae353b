// SPDX-License-Identifier: Apache-2.0

package prober

import (
	"math/rand/v2"
	"testing"
	"time"
)

// A limit is told from loss: it lets through as many answers per second as one
// that Linux has, span after span.
func TestLimitWatch(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	chance := func(sent int, p float64) (answered int) {
		for range sent {
			if rng.Float64() < p {
				answered++
			}
		}
		return answered
	}
	const interval = 10 * time.Second
	for name, tt := range map[string]struct {
		family string
		sent   int // per round
		round  func(n int) (answered, other int)
		rate   float64 // 0: not limited
	}{
		"IPv4, one a second":        {"ipv4", 30, func(int) (int, int) { return 10, 0 }, 1},
		"not in step":               {"ipv4", 30, func(n int) (int, int) { return 9 + n%2*2, 0 }, 1},
		"a burst first":             {"ipv4", 30, func(n int) (int, int) { return 10 + 6*max(0, 1-n), 0 }, 1},
		"IPv6, by a route of /64":   {"ipv6", 100, func(int) (int, int) { return 40, 0 }, 4},
		"IPv6, by a default route":  {"ipv6", 400, func(int) (int, int) { return 160, 0 }, 16},
		"all answered":              {"ipv4", 10, func(int) (int, int) { return 10, 0 }, 0},
		"few lost":                  {"ipv4", 11, func(int) (int, int) { return 10, 0 }, 0},
		"nothing answered":          {"ipv4", 30, func(int) (int, int) { return 0, 0 }, 0},
		"a third lost by chance":    {"ipv4", 100, func(int) (int, int) { return chance(100, 0.66), 0 }, 0},
		"one in twenty by chance":   {"ipv4", 400, func(int) (int, int) { return chance(400, 0.05), 0 }, 0},
		"another rate":              {"ipv4", 100, func(int) (int, int) { return 40, 0 }, 0},
		"refused by a router":       {"ipv4", 30, func(int) (int, int) { return 10, 20 }, 0},
		"one way of two is dead":    {"ipv4", 40, func(int) (int, int) { return 20, 0 }, 0},
		"loss that begins and ends": {"ipv4", 30, func(n int) (int, int) { return 10 + 20*(n%2), 0 }, 0},
	} {
		w := limitWatch{began: map[string]tally{}, hits: map[string]int{}, said: map[string]bool{}}
		sum := tally{family: tt.family}
		var told []float64
		for n := range 30 {
			answered, other := tt.round(n)
			sum.sent += uint64(tt.sent)
			sum.answered += uint64(answered)
			sum.other += uint64(other)
			sum.rounds++
			if rate, limited := w.judge("192.0.2.1", sum, interval); limited {
				told = append(told, rate)
			}
		}
		if len(told) > 1 || len(told) == 1 != (tt.rate > 0) || tt.rate > 0 && told[0] != tt.rate {
			t.Errorf("%s: told %v, want %v once", name, told, tt.rate)
		}
	}
}

// Targets that come and go do not make a limit.
func TestLimitWatchBeginsAnew(t *testing.T) {
	w := limitWatch{began: map[string]tally{}, hits: map[string]int{}, said: map[string]bool{}}
	for n := range 20 {
		sum := tally{family: "ipv4", sent: 100, answered: 50, rounds: 5}
		if n%2 == 1 {
			sum = tally{family: "ipv4", sent: 130, answered: 60, rounds: 6}
		}
		if _, limited := w.judge("192.0.2.1", sum, 10*time.Second); limited {
			t.Fatal("limited")
		}
	}
}
