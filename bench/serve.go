package main

import (
	"context"
	"errors"
	"net"
	"net/http"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/walletd/walletd/bench/rival"
	"github.com/walletd/walletd/internal/httpapi"
)

// serveCommand is how bench runs a rival: in a process of its own, as walletd is.
type serveCommand struct {
	Name    string `arg:"" enum:"empty,row-lock,atomic"`
	Address string `required:""`
	DSN     string `name:"dsn"`
}

// rivalConnections is what a service of this kind usually has; more gain nothing
// on one wallet.
const rivalConnections = 16

// Run serves until a signal.
func (c serveCommand) Run(ctx context.Context) error {
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
	server := httpapi.NewServer(c.Address, handler)
	stopped := context.AfterFunc(ctx, func() { server.Close() })
	defer stopped()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
