package ledger_test

import (
	"io"
	"math"
	"net"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/walletd/walletd/internal/embedded/embeddedtest"
	"github.com/walletd/walletd/internal/wallet"
)

// cable is a way to PostgreSQL that can be pulled: so many more bytes get through, and
// then nothing, while the server's end stays open, as when the client's host has gone.
type cable struct {
	listener net.Listener
	server   string
	left     atomic.Int64
	running  sync.WaitGroup
	mu       sync.Mutex
	ends     []net.Conn
}

// through returns the DSN of a way to the database by a cable.
func through(t *testing.T, dsn string) (string, *cable) {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	c := &cable{server: u.Host}
	if c.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	c.left.Store(math.MaxInt64)
	u.Host = c.listener.Addr().String()
	c.running.Go(func() {
		for {
			client, err := c.listener.Accept()
			if err != nil {
				return
			}
			c.running.Go(func() { c.connect(client) })
		}
	})
	t.Cleanup(func() {
		c.listener.Close()
		c.mu.Lock()
		for _, end := range c.ends {
			end.Close()
		}
		c.mu.Unlock()
		c.running.Wait()
	})
	return u.String(), c
}

func (c *cable) connect(client net.Conn) {
	server, err := net.Dial("tcp", c.server)
	if err != nil {
		client.Close()
		return
	}
	c.mu.Lock()
	c.ends = append(c.ends, client, server)
	c.mu.Unlock()
	c.running.Go(func() { _, _ = io.Copy(client, server) })
	part := make([]byte, 4096)
	for {
		n, err := client.Read(part)
		left := c.left.Add(-int64(n)) + int64(n)
		if _, werr := server.Write(part[:max(0, min(int64(n), left))]); err != nil || werr != nil {
			return // and the server's end stays
		}
	}
}

// The server runs a batch's statements as they arrive. One whose rest never comes holds
// the fence; nobody else could apply the partition before TCP gives the connection up.
func TestABatchThatIsCutOffInTheMiddleHoldsTheFenceNoLongerThanACommitMayTake(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	dsn, cable := through(t, b.dsn)
	cfg := embeddedtest.LedgerConfig(dsn)
	cfg.CommitTimeout, cfg.CommitConnections = 3*time.Second, 1
	cut := open(t, cfg)
	id := b.funded(1)
	long := func(s wallet.State, from int64) *wallet.Batch {
		ops := decide(s, id, slices.Repeat([]wallet.Amount{1}, 1000)...)
		return &wallet.Batch{Fence: b.fence(from, from+1), Changes: []wallet.Change{change(id, s.Sequence, ops)}, Operations: ops}
	}
	first := long(wallet.State{Balance: 1, Sequence: 1}, 0)
	if err := cut.Commit(testContext(t), first); err != nil { // its statements are prepared by now
		t.Fatal(err)
	}
	second := long(first.Changes[0].State, 1)
	cable.left.Store(16 << 10)
	wantKind(t, cut.Commit(testContext(t), second), wallet.ErrUnavailable)
	eventually(t, "another replica commits it", func() bool { return b.commit(second) == nil })
}
