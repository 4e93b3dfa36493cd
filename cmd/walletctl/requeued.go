package main

import (
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/ledger"
	"github.com/walletd/walletd/internal/wallet"
)

// requeuedCommands are about wallets that were set aside.
type requeuedCommands struct {
	List    requeuedList    `cmd:"" help:"Show the wallets that are set aside, and why."`
	Release requeuedRelease `cmd:"" help:"Have their operations tried again at once, not when their backoff ends."`
}

// requeuedList shows wallets that are set aside.
type requeuedList struct {
	components
	Limit int      `default:"50" help:"How many at most."`
	After walletID `placeholder:"WALLET" help:"Go on where an earlier list ended."`
}

// Validate is kong's.
func (c *requeuedList) Validate() error { return checkLimit(c.Limit) }

// aside is a wallet that is set aside, for programs.
type aside struct {
	WalletID  uuid.UUID `json:"walletId"`
	Length    int       `json:"length"`
	Attempt   int       `json:"attempt"`
	Refusals  int       `json:"refusals"`
	NotBefore time.Time `json:"notBefore"`
	LastError string    `json:"lastError"`
	First     struct {
		OperationID uuid.UUID `json:"operationId"`
		Type        string    `json:"operationType,omitempty"`
		Amount      int64     `json:"amount,omitempty"`
		AcceptedAt  time.Time `json:"acceptedAt"`
		Partition   int32     `json:"partition"`
		Offset      int64     `json:"offset"`
	} `json:"firstOperation"`
}

func newAside(d wallet.ListHead) aside {
	a := aside{WalletID: d.List.WalletID, Length: d.Length, Attempt: d.Attempt, Refusals: d.Refusals, NotBefore: d.NotBefore.UTC(), LastError: d.LastError}
	f, op := &a.First, d.First.Operation
	f.OperationID, f.Type, f.Amount, f.AcceptedAt = op.ID, op.Type.String(), int64(op.Amount), op.AcceptedAt.UTC()
	f.Partition, f.Offset = op.Receipt.Partition, op.Receipt.Offset
	return a
}

// Run is kong's.
func (c *requeuedList) Run(s *screen) error {
	l, err := c.ledger(s.flags.Timeout)
	if err != nil {
		return err
	}
	defer l.Close()
	lists, err := l.Aside(s.ctx, c.After.UUID, c.Limit)
	if err != nil {
		return err
	}
	all := make([]aside, len(lists))
	for n, d := range lists {
		all[n] = newAside(d)
	}
	if s.flags.JSON {
		return s.json(map[string]any{"requeued": all})
	}
	return s.showAside(all, c.Limit)
}

func (s *screen) showAside(all []aside, limit int) error {
	t := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "WALLET\tLENGTH\tATTEMPT\tREFUSALS\tNOT BEFORE\tFIRST OPERATION\tLAST ERROR")
	for _, a := range all {
		fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%s\t%s %s %d\t%s\n", a.WalletID, a.Length, a.Attempt, a.Refusals, local(a.NotBefore),
			a.First.OperationID, a.First.Type, a.First.Amount, a.LastError)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	text := fmt.Sprintf("%d wallets are set aside", len(all))
	if len(all) == limit {
		text = fmt.Sprintf("%d wallets are shown; there may be more: --after %s", limit, all[limit-1].WalletID)
	}
	_, err := fmt.Fprintln(s.out, text)
	return err
}

// requeuedRelease makes lists due.
type requeuedRelease struct {
	components
	operator
	Wallets []walletID `arg:"" optional:"" name:"wallet" help:"The wallets' ids."`
	All     bool       `help:"Every wallet that is set aside now."`
}

// Validate is kong's.
func (c *requeuedRelease) Validate() error {
	switch {
	case c.All == (len(c.Wallets) > 0):
		return errors.New("either wallets or --all")
	case c.Reason == "":
		return errNoReason
	}
	return c.operator.Validate()
}

// maxReleased bounds the wallets of one transaction: while it lasts, their
// owners wait.
const maxReleased = 500

// Run is kong's. Each part is released and traced whole; a failure says how many
// wallets were released before it, and leaves the others as they were.
func (c *requeuedRelease) Run(s *screen) error {
	l, err := c.ledger(s.flags.Timeout)
	if err != nil {
		return err
	}
	defer l.Close()
	released, err := c.release(s, l)
	if err != nil {
		return fmt.Errorf("%w; %d wallets before that are due at once", err, len(released))
	}
	missing := c.without(released)
	if s.flags.JSON {
		err = s.json(map[string]any{"released": released, "notSetAside": missing})
	} else {
		fmt.Fprintf(s.out, "%d wallets are due at once\n", len(released))
	}
	if err == nil && len(missing) > 0 {
		err = &failure{exitRefused, fmt.Errorf("not set aside, or no longer: %v", missing)}
	}
	return err
}

func (c *requeuedRelease) release(s *screen, l *ledger.Ledger) ([]uuid.UUID, error) {
	released := []uuid.UUID{}
	next := c.parts(s, l)
	for {
		ids, err := next()
		if err != nil || len(ids) == 0 {
			return released, err
		}
		part, err := l.Release(s.ctx, ids, c.who(), c.Reason)
		if err != nil {
			return released, err
		}
		released = append(released, part...)
	}
}

// parts returns the wallets to release, some at a time, then none.
func (c *requeuedRelease) parts(s *screen, l *ledger.Ledger) func() ([]uuid.UUID, error) {
	if !c.All {
		left := c.Wallets
		return func() ([]uuid.UUID, error) {
			var ids []uuid.UUID
			n := min(len(left), maxReleased)
			for _, w := range left[:n] {
				ids = append(ids, w.UUID)
			}
			left = left[n:]
			return ids, nil
		}
	}
	after := uuid.Nil
	return func() ([]uuid.UUID, error) {
		lists, err := l.Aside(s.ctx, after, maxReleased)
		var ids []uuid.UUID
		for _, d := range lists {
			after = d.List.WalletID
			ids = append(ids, after)
		}
		return ids, err
	}
}

// without returns the named wallets that are not among the released.
func (c *requeuedRelease) without(released []uuid.UUID) []uuid.UUID {
	done := make(map[uuid.UUID]bool, len(released))
	for _, id := range released {
		done[id] = true
	}
	missing := []uuid.UUID{}
	for _, w := range c.Wallets {
		if !done[w.UUID] {
			missing = append(missing, w.UUID)
		}
	}
	return missing
}
