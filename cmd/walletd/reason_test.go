package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/walletd/walletd/internal/journal"
	"github.com/walletd/walletd/internal/ledger"
	"github.com/walletd/walletd/internal/wallet"
)

// What PostgreSQL's client says of a server that refuses names user, database and address.
func TestTheReasonTellsNoAddressAndNoName(t *testing.T) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	free.Close()
	l, err := ledger.Open(ledger.Config{DSN: "postgres://somebody:secret@" + free.Addr().String() + "/money", CommitConnections: 1, ReadConnections: 1,
		ConnectTimeout: time.Second, CommitTimeout: time.Second, ReadTimeout: time.Second, LockTimeout: time.Second, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, _, err = l.Followed(context.Background())
	if err == nil || !strings.Contains(err.Error(), "somebody") {
		t.Fatalf("nothing to hide: %v", err)
	}
	if got := reason(err); !errors.Is(got, errRefused) {
		t.Errorf("got %v", got)
	}
}

func TestAReasonHidesHostsAndPasswords(t *testing.T) {
	own := fmt.Errorf("%w: 7", journal.ErrStalled)
	for _, c := range []struct{ err, want error }{
		{nil, nil}, {own, own},
		{fmt.Errorf("%w: %w", wallet.ErrUnavailable, context.DeadlineExceeded), errNoAnswer},
		{fmt.Errorf("%w: password authentication failed for user", wallet.ErrUnavailable), errUnusable},
		{errors.New("tls: failed to verify certificate: x509: certificate is valid for db.internal"), errUnusable},
		{&net.DNSError{Name: "kafka-1", Err: "no such host"}, errUnreachable},
	} {
		if got := reason(c.err); !errors.Is(got, c.want) {
			t.Errorf("%v: got %v, want %v", c.err, got, c.want)
		}
	}
}
