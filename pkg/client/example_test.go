// SPDX-License-Identifier: Apache-2.0

package client_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/pkg/api"
	"github.com/netprobe-xdp/netprobe-xdp/pkg/client"
)

// Example adds a target for an hour and shows the worst ones.
func Example() {
	socket, done := daemon() // your daemon's, usually api.DefaultSocket
	defer done()

	c, err := client.New(client.Options{Socket: socket})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()

	changed, err := c.AddTargets(ctx, api.AddTargets{
		Owner:           "example",
		LifetimeSeconds: time.Hour.Seconds(),
		Targets:         []api.TargetSpec{{Name: "web", Type: "TCPsyn", Destination: "192.0.2.10", DstPort: 443}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("added:", changed.Enabled)

	for t, err := range c.EachTarget(ctx, client.Query{Sort: "worst", Limit: 10}) {
		if err != nil {
			fmt.Println(err)
			return
		}
		for _, g := range t.Groups {
			if g.Round != nil && g.Round.LossRatio != nil {
				fmt.Printf("%s, group %s: %.0f%% lost\n", t.Name, g.Group, 100**g.Round.LossRatio)
			}
		}
	}
	// Output:
	// added: [web]
	// dns, group standard: 25% lost
	// web, group standard: 0% lost
}

// ExampleClient_Events follows the rounds of all targets until the first loss.
func ExampleClient_Events() {
	socket, done := daemon()
	defer done()
	c, err := client.New(client.Options{Socket: socket})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	for e, err := range c.Events(context.Background(), true) {
		switch {
		case errors.Is(err, client.ErrCut):
			fmt.Println("the daemon ended")
		case err != nil:
			fmt.Println(err)
		case e.Type == api.EventRound && e.Round.Lost > 0:
			fmt.Printf("%s lost %d of %d\n", e.Target, e.Round.Lost, e.Round.Sent)
			return // closes the connection
		}
	}
	// Output:
	// dns lost 5 of 20
}

// Example_errors tells kinds of errors apart.
func Example_errors() {
	c, err := client.New(client.Options{Socket: "/nowhere/api.sock", RetryFor: -1})
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = c.Status(context.Background())
	fmt.Println(err)

	var problem *api.Problem
	switch {
	case errors.Is(err, client.ErrNotRunning):
		fmt.Println("start it")
	case errors.As(err, &problem):
		fmt.Println("it objects to", problem.Errors)
	}
	// Output:
	// no netprobe-xdp at /nowhere/api.sock: there is no such socket; start one, or name the socket of one that runs
	// start it
}
