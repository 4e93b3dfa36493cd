// Package api is walletctl's view of walletd: the generated client, with answers
// in one shape and everything that is not a success as an error that says which
// kind it is.
package api

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/google/uuid"

	"github.com/walletd/walletd/client"
)

// PageOperations is the most operations that one answer lists.
const PageOperations = 1000

const (
	dialTimeout    = 5 * time.Second
	idleTimeout    = 90 * time.Second
	maxIdlePerHost = 256
)

// Client talks to one walletd. It is safe for concurrent use and repeats nothing
// by itself.
type Client struct {
	base *url.URL
	http *http.Client
	gen  *client.Client
}

// New returns a client of the walletd at base, for example http://127.0.0.1:8080.
// The timeout bounds each request, its wait for an outcome included.
func New(base string, timeout time.Duration) (*Client, error) {
	u, err := url.Parse(base)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return nil, fmt.Errorf("%q is not an http URL such as http://127.0.0.1:8080", base)
	}
	h := &http.Client{Timeout: timeout, Transport: &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: dialTimeout}).DialContext,
		MaxIdleConnsPerHost: maxIdlePerHost,
		IdleConnTimeout:     idleTimeout,
	}}
	gen, err := client.NewClient(base, client.WithHTTPClient(h))
	if err != nil {
		return nil, err
	}
	return &Client{base: u, http: h, gen: gen}, nil
}

// Close drops the kept connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Create makes a wallet, or with a key finds the one that the key made.
func (c *Client) Create(ctx context.Context, key string) (Answer[client.Wallet], error) {
	return decode[client.Wallet](c.gen.CreateWallet(ctx, &client.CreateWalletParams{IdempotencyKey: optional(key)}))
}

// Submit asks for one operation. A FAILED one is a *Refusal that carries it.
func (c *Client) Submit(ctx context.Context, request client.OperationRequest, key, prefer string) (Answer[client.Outcome], error) {
	params := &client.SubmitOperationParams{IdempotencyKey: optional(key), Prefer: optional(prefer)}
	return decode[client.Outcome](c.gen.SubmitOperation(ctx, params, request))
}

// Wallet reads a wallet that has reached minSequence; fresh reads past the cache.
func (c *Client) Wallet(ctx context.Context, id uuid.UUID, minSequence int64, fresh bool) (Answer[client.Wallet], error) {
	params := &client.GetWalletParams{}
	if minSequence > 0 {
		params.MinSequence = &minSequence
	}
	if fresh {
		params.CacheControl = optional("no-cache")
	}
	return decode[client.Wallet](c.gen.GetWallet(ctx, id, params))
}

// Operations reads one part of a wallet's list, newest first.
func (c *Client) Operations(ctx context.Context, id uuid.UUID, params client.ListOperationsParams) (Answer[client.OperationList], error) {
	return decode[client.OperationList](c.gen.ListOperations(ctx, id, &params))
}

// Operation reads one operation; with its receipt, unless that is "", also one that is not applied yet.
func (c *Client) Operation(ctx context.Context, walletID, id uuid.UUID, receipt string) (Answer[client.Operation], error) {
	return decode[client.Operation](c.gen.GetOperation(ctx, walletID, id, &client.GetOperationParams{Journal: optional(receipt)}))
}

// Follow reads the operation at a Location, at this client's host whatever host
// the Location names: a server may not know the name it is reached by.
func (c *Client) Follow(ctx context.Context, location string) (Answer[client.Operation], error) {
	at, err := c.base.Parse(location)
	if err != nil {
		return Answer[client.Operation]{}, fmt.Errorf("answered with a bad Location %q: %w", location, err)
	}
	at.Scheme, at.Host, at.User = c.base.Scheme, c.base.Host, c.base.User
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		return Answer[client.Operation]{}, err
	}
	return decode[client.Operation](c.http.Do(request))
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
