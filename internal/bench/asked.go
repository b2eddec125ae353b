// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/lab"
	"github.com/netprobe-xdp/netprobe-xdp/pkg/api"
)

// So many ask the prober each second, and so many watch what happens.
const (
	askers   = 100
	watchers = 10
	askedPPS = 10_000
)

// asked is ours with clients of its control API, which are in another process but on
// the same CPUs. Without clients it is ours alone.
type asked struct {
	ours
	clients bool

	stop     context.CancelFunc
	running  sync.WaitGroup
	answered atomic.Int64 // requests
	failed   atomic.Int64
	events   atomic.Int64 // lines that watchers read
}

func (a *asked) start(r *rig, dir string, l load) ([]*child, error) {
	children, err := a.ours.start(r, dir, l)
	if err != nil || !a.clients {
		return children, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	a.stop = cancel
	const base = "http://127.0.0.1:8000" + api.Prefix
	for i := range askers {
		client := insideClient(r.prober)
		a.running.Go(func() {
			pause := time.Duration(i) * time.Second / askers // spread over a second
			for n := 0; ; n++ {
				select {
				case <-ctx.Done():
					client.CloseIdleConnections()
					return
				case <-time.After(pause):
				}
				pause = time.Second
				path := "/targets?sort=worst&limit=100"
				if n%2 == 1 {
					path = "/status"
				}
				if a.get(ctx, client, base+path) == nil {
					a.answered.Add(1)
				} else if ctx.Err() == nil {
					a.failed.Add(1)
				}
			}
		})
	}
	for range watchers {
		client := insideClient(r.prober)
		a.running.Go(func() {
			defer client.CloseIdleConnections()
			if err := a.watch(ctx, client, base+"/events?rounds=true"); err != nil && ctx.Err() == nil {
				a.failed.Add(1)
			}
		})
	}
	return children, nil
}

func (a *asked) finish(l load) (claims, error) {
	if a.stop != nil {
		a.stop()
		a.running.Wait()
	}
	return a.ours.finish(l)
}

// insideClient makes its connections inside a host.
func insideClient(h *lab.Host) *http.Client {
	return &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, network, addr string) (c net.Conn, err error) {
		err = h.Do(func() (err error) {
			c, err = new(net.Dialer).DialContext(ctx, network, addr)
			return err
		})
		return c, err
	}}}
}

func (a *asked) get(ctx context.Context, client *http.Client, url string) error {
	body, err := a.open(ctx, client, url)
	if err != nil {
		return err
	}
	defer body.Close()
	_, err = io.Copy(io.Discard, body)
	return err
}

// watch reads lines until ctx ends.
func (a *asked) watch(ctx context.Context, client *http.Client, url string) error {
	body, err := a.open(ctx, client, url)
	if err != nil {
		return err
	}
	defer body.Close()
	lines := bufio.NewScanner(body)
	for lines.Scan() {
		a.events.Add(1)
	}
	return lines.Err()
}

func (a *asked) open(ctx context.Context, client *http.Client, url string) (io.ReadCloser, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(r)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		resp.Body.Close()
		return nil, fmt.Errorf("%s: %s", url, resp.Status)
	}
	return resp.Body, nil
}

// askedWas is what was measured without clients, or with them.
type askedWas struct {
	Clients bool   `json:"clients"`
	Rate    spread `json:"pps"`
	P50     spread `json:"p50_us"`
	P99     spread `json:"p99_us"`
	LossErr spread `json:"loss_error"`
	NotSent spread `json:"not_sent"`
	Unknown spread `json:"unknown"`
	Marked  spread `json:"marked"`
	CPU     spread `json:"cpu_us"`
	Asked   spread `json:"requests_per_second"`
}

func askedTable(all []*askedWas) *table {
	t := &table{
		title: fmt.Sprintf("%d clients of the API, one request a second each, and %d watchers, beside %d probes/s", askers, watchers, askedPPS),
		note:  "To reach: nothing but the CPU changes. The clients are another process on the same two CPUs.", columns: []string{"", "probes/s on the wire", "p50 µs", "p99 µs", "loss error", "not sent", "unknown", "marked", "CPU µs/probe", "requests/s answered"},
	}
	for _, a := range all {
		name := "without"
		if a.Clients {
			name = "with"
		}
		t.add(name, a.Rate.show(thousands), a.P50.show(digits), a.P99.show(digits), a.LossErr.show(whole), a.NotSent.show(whole), a.Unknown.show(whole), a.Marked.show(percent), a.CPU.show(digits), a.Asked.show(whole))
	}
	return t
}

// askedFor compares the engine alone with the engine that is asked, in turn.
func (o *opts) askedFor(p phases) ([]*askedWas, error) {
	figures := map[bool]map[string][]float64{false: {}, true: {}}
	each := int(askedPPS/1000*o.duration.Seconds()) + 1
	s := setting{name: "asked", load: load{Proto: icmp, Targets: 1000, PPS: askedPPS, Probes: each * 1000}}
	for range o.rounds {
		for _, clients := range []bool{false, true} {
			a := &asked{ours: ours{phases: p}, clients: clients}
			begun := time.Now()
			got, err := contest(a, s, 1)
			if err != nil {
				return nil, err
			}
			if n := a.failed.Load(); n > 0 {
				return nil, fmt.Errorf("%d of %d requests failed", n, n+a.answered.Load())
			}
			f := figures[clients]
			for name, v := range map[string]float64{
				"rate": got.Rate, "p50": got.P50, "p99": got.P99, "loss": got.LossErr, "not sent": got.NotSent, "unknown": got.Unknown,
				"marked": got.Marked, "cpu": got.CPU, "asked": float64(a.answered.Load()) / time.Since(begun).Seconds(),
			} {
				f[name] = append(f[name], v)
			}
			progress("asked: clients %v: p50 %.2f us, p99 %.2f us, loss error %v, %d requests answered, %d lines of events", clients, got.P50, got.P99, got.LossErr, a.answered.Load(), a.events.Load())
		}
	}
	var all []*askedWas
	for _, clients := range []bool{false, true} {
		f := figures[clients]
		all = append(all, &askedWas{
			Clients: clients, Rate: spreadOf(f["rate"]), P50: spreadOf(f["p50"]), P99: spreadOf(f["p99"]), LossErr: spreadOf(f["loss"]),
			NotSent: spreadOf(f["not sent"]), Unknown: spreadOf(f["unknown"]), Marked: spreadOf(f["marked"]), CPU: spreadOf(f["cpu"]), Asked: spreadOf(f["asked"]),
		})
	}
	return all, nil
}
