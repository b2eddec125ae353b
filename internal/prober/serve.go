// SPDX-License-Identifier: Apache-2.0

package prober

import (
	"context"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/api"
	"github.com/netprobe-xdp/netprobe-xdp/internal/web"
	wire "github.com/netprobe-xdp/netprobe-xdp/pkg/api"
)

// listen takes the address of the metrics.
func (p *prober) listen() error {
	p.server = web.New(web.Options{
		Page: p.page, Credentials: web.CredentialsFromEnv(), ConfigFile: p.cfg.Web.ConfigFile,
		Healthy: p.healthy, Ready: p.ready, Worst: http.HandlerFunc(p.serveWorst), Log: p.Log,
		API: api.New(asked{p}, api.Web, p.Log), APIPrefix: wire.Prefix,
		Reload: func(ctx context.Context) (web.Reloaded, error) {
			r, err := p.reload(ctx)
			return web.Reloaded(r), err
		},
	})
	g := p.cfg.Global
	return p.server.Listen(net.JoinHostPort(g.PrometheusAddress, strconv.Itoa(g.PrometheusPort)))
}

// listenControl takes socket and address of the control API. The socket that nobody
// asked for may be missing.
func (p *prober) listenControl() error {
	o := api.Options{Backend: asked{p}, Log: p.Log}
	if a := p.cfg.API; p.Control {
		o.Socket, o.Group, o.Listen = a.Socket, a.SocketGroup, a.Listen
	}
	p.asks = api.NewServer(o)
	if err := p.asks.ListenSocket(); err != nil {
		if p.cfg.API.Configured {
			return err
		}
		p.Log.Warn("nobody can steer this prober by netprobe-xdp ctl", "error", err)
	}
	return p.asks.ListenTCP()
}

// watchIteration keeps app_iteration_time_seconds: how long a round takes
// beyond its planned span is how late its probes leave.
func (p *prober) watchIteration(ctx context.Context) {
	every(ctx, time.Second, func() {
		var late time.Duration
		p.shownMu.RLock()
		for _, port := range p.ports {
			late = max(late, port.engine.Stats().Lag)
		}
		p.shownMu.RUnlock()
		p.app.SetIterationTime(late)
	})
}
