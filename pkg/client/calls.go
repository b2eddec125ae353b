// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/pkg/api"
)

func ask[T any](ctx context.Context, c *Client, path string, query url.Values) (*T, error) {
	out := new(T)
	if err := c.call(ctx, request{method: http.MethodGet, path: path, query: query}, out); err != nil {
		return nil, err
	}
	return out, nil
}

// Health says whether the daemon works as it should.
func (c *Client) Health(ctx context.Context) (*api.State, error) {
	return c.state(ctx, "/health")
}

// Ready says whether its first round is complete.
func (c *Client) Ready(ctx context.Context) (*api.State, error) {
	return c.state(ctx, "/ready")
}

func (c *Client) state(ctx context.Context, path string) (*api.State, error) {
	s := new(api.State)
	if err := c.call(ctx, request{method: http.MethodGet, path: path, state: true}, s); err != nil {
		return nil, err
	}
	return s, nil
}

// Info says what the daemon is.
func (c *Client) Info(ctx context.Context) (*api.Info, error) {
	return ask[api.Info](ctx, c, "/info", nil)
}

// Status says how the daemon fares.
func (c *Client) Status(ctx context.Context) (*api.Status, error) {
	return ask[api.Status](ctx, c, "/status", nil)
}

// Config returns the configuration in force.
func (c *Client) Config(ctx context.Context) (*api.Config, error) {
	return ask[api.Config](ctx, c, "/config", nil)
}

// OpenAPI returns the daemon's own description of its API, in YAML.
func (c *Client) OpenAPI(ctx context.Context) ([]byte, error) {
	text, err := ask[[]byte](ctx, c, "/openapi.yaml", nil)
	if err != nil {
		return nil, err
	}
	return *text, nil
}

// Query chooses targets. Empty fields choose all.
type Query struct {
	Filter string // in name, destination, address or a label
	Group  string
	Family string // ipv4 or ipv6
	Source string // config, api, or the name of an inventory
	State  string
	Sort   string // name, worst, loss, round_trip; default name
	Limit  int    // so many at the most; 0: as many as the daemon gives at once
	Offset int    // leave out so many
}

func (q Query) values() url.Values {
	v := url.Values{}
	for key, value := range map[string]string{"filter": q.Filter, "group": q.Group, "family": q.Family, "source": q.Source, "state": q.State, "sort": q.Sort} {
		if value != "" {
			v.Set(key, value)
		}
	}
	for key, value := range map[string]int{"limit": q.Limit, "offset": q.Offset} {
		if value != 0 {
			v.Set(key, strconv.Itoa(value))
		}
	}
	return v
}

// Targets returns one page of targets with their latest rounds.
func (c *Client) Targets(ctx context.Context, q Query) (*api.Targets, error) {
	return ask[api.Targets](ctx, c, "/targets", q.values())
}

// pageSize is how many targets EachTarget asks for at once.
const pageSize = 1000

// EachTarget goes through all targets that q chooses, page by page. An error is
// the last thing it yields. A target that is added or removed meanwhile may be
// missed or come twice.
func (c *Client) EachTarget(ctx context.Context, q Query) iter.Seq2[api.Target, error] {
	return func(yield func(api.Target, error) bool) {
		left := q.Limit
		for {
			if q.Limit = pageSize; left > 0 {
				q.Limit = min(left, pageSize)
			}
			page, err := c.Targets(ctx, q)
			if err != nil {
				yield(api.Target{}, err)
				return
			}
			for _, t := range page.Targets {
				if !yield(t, nil) {
					return
				}
			}
			n := len(page.Targets)
			q.Offset += n
			if left > 0 {
				if left -= n; left <= 0 {
					return
				}
			}
			if n == 0 || q.Offset >= page.Total {
				return
			}
		}
	}
}

// Target returns one target, its last rounds and its paths.
func (c *Client) Target(ctx context.Context, name string) (*api.TargetDetail, error) {
	return ask[api.TargetDetail](ctx, c, named(name), nil)
}

// History returns the past of a target in one group, in steps of about this
// length; 0: the finest there are.
func (c *Client) History(ctx context.Context, name, group string, step time.Duration) (*api.History, error) {
	q := url.Values{"group": {group}}
	if step > 0 {
		q.Set("step", seconds(step))
	}
	return ask[api.History](ctx, c, named(name, "history"), q)
}

// Worst returns the n addresses that answered worst in their last rounds, of one
// target or with "" of all; 0: as many as the daemon gives at once.
func (c *Client) Worst(ctx context.Context, target string, n int) (*api.Worst, error) {
	q := url.Values{}
	if target != "" {
		q.Set("target", target)
	}
	if n != 0 {
		q.Set("n", strconv.Itoa(n))
	}
	return ask[api.Worst](ctx, c, "/worst", q)
}

func seconds(d time.Duration) string {
	return strconv.FormatFloat(d.Seconds(), 'f', -1, 64)
}

// AddTargets adds targets, all of them or none.
func (c *Client) AddTargets(ctx context.Context, a api.AddTargets) (*api.Reloaded, error) {
	out := new(api.Reloaded)
	if err := c.call(ctx, request{method: http.MethodPost, path: "/targets", body: a}, out); err != nil {
		return nil, err
	}
	return out, nil
}

// RemoveTarget removes a target that owner added.
func (c *Client) RemoveTarget(ctx context.Context, name, owner string) error {
	return c.call(ctx, request{method: http.MethodDelete, path: named(name), query: url.Values{"owner": {owner}}}, nil)
}

// Pause keeps a target from being probed.
func (c *Client) Pause(ctx context.Context, name string, p api.Pause) error {
	return c.change(ctx, named(name, "pause"), p)
}

// Resume lets a paused target be probed again.
func (c *Client) Resume(ctx context.Context, name string) error {
	return c.change(ctx, named(name, "resume"), nil)
}

// Stop stops all sending.
func (c *Client) Stop(ctx context.Context) error { return c.change(ctx, "/stop", nil) }

// Start lets sending go on after Stop.
func (c *Client) Start(ctx context.Context) error { return c.change(ctx, "/start", nil) }

func (c *Client) change(ctx context.Context, path string, body any) error {
	return c.call(ctx, request{method: http.MethodPost, path: path, body: body}, nil)
}

// Reload loads the configuration again and says what that changed. With a fault in
// it nothing changes, and the *api.Problem names each.
func (c *Client) Reload(ctx context.Context) (*api.Reloaded, error) {
	out := new(api.Reloaded)
	if err := c.call(ctx, request{method: http.MethodPost, path: "/reload", unbounded: true}, out); err != nil {
		return nil, err
	}
	return out, nil
}
