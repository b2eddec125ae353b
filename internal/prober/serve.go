// SPDX-License-Identifier: Apache-2.0

package prober

import (
	"context"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/web"
)

// listen takes the address of the metrics.
func (p *prober) listen() error {
	p.server = web.New(web.Options{
		Page: p.page, Credentials: web.CredentialsFromEnv(), ConfigFile: p.cfg.Web.ConfigFile,
		Healthy: p.healthy, Ready: p.ready, Worst: http.HandlerFunc(p.serveWorst), Log: p.Log,
		Reload: func(ctx context.Context) (web.Reloaded, error) {
			r, err := p.reload(ctx)
			return web.Reloaded(r), err
		},
	})
	g := p.cfg.Global
	return p.server.Listen(net.JoinHostPort(g.PrometheusAddress, strconv.Itoa(g.PrometheusPort)))
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
