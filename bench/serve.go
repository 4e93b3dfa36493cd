package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"runtime/debug"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/walletd/walletd/bench/rival"
	"github.com/walletd/walletd/internal/httpapi"
)

// serveCommand is how bench runs a rival: in a process of its own, as walletd is.
type serveCommand struct {
	Name    string `arg:"" enum:"empty,memory,row-lock,atomic"`
	Address string `required:""`
	DSN     string `name:"dsn"`
}

// rivalConnections are those with which both rivals are fastest on one wallet and two
// cores: 16, as a service of this kind often has, cost them a quarter.
const rivalConnections = 4

// What walletd's process has and a rival's gets too, so that it is the handlers which
// are compared: a bound on connections, above what bench opens, and a collector that
// works seldom.
const (
	rivalClients   = 20_000
	rivalGCPercent = 400
)

// Run serves until a signal.
func (c serveCommand) Run(ctx context.Context) error {
	debug.SetGCPercent(rivalGCPercent)
	var pool *pgxpool.Pool
	if c.DSN != "" {
		config, err := pgxpool.ParseConfig(c.DSN)
		if err != nil {
			return err
		}
		config.MaxConns = rivalConnections
		if pool, err = pgxpool.NewWithConfig(ctx, config); err != nil {
			return err
		}
		defer pool.Close()
		if _, err := pool.Exec(ctx, rival.Schema); err != nil {
			return err
		}
	}
	handler, err := rival.Handler(c.Name, pool)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", c.Address)
	if err != nil {
		return err
	}
	bounded := httpapi.BoundConnections(listener, rivalClients)
	server := httpapi.NewServer(c.Address, handler)
	stopped := context.AfterFunc(ctx, func() { server.Close() })
	defer stopped()
	if err := server.Serve(bounded); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
