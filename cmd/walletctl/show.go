package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/walletd/walletd/client"
	"github.com/walletd/walletd/cmd/walletctl/internal/api"
)

// raw prints an answer as it came.
func (s *screen) raw(body []byte) error {
	_, err := fmt.Fprintf(s.out, "%s\n", bytes.TrimRight(body, "\n"))
	return err
}

// json prints a value of walletctl's own.
func (s *screen) json(value any) error { return writeJSON(s.out, value) }

func writeJSON[T any](to io.Writer, value T) error {
	encoder := json.NewEncoder(to)
	encoder.SetIndent("", "  ")
	return encoder.Encode(value)
}

// refused prints the problem document for programs; people get the error's text.
func (s *screen) refused(err error) error {
	var refusal *api.Refusal
	if s.flags.JSON && errors.As(err, &refusal) && refusal.Problem.Code != "" {
		return errors.Join(err, s.raw(refusal.Body))
	}
	return err
}

// pairs prints names and values under each other.
func pairs(to io.Writer, values ...any) error {
	table := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	for i := 0; i+1 < len(values); i += 2 {
		fmt.Fprintf(table, "%v\t%v\n", values[i], values[i+1])
	}
	return table.Flush()
}

func (s *screen) showWallet(w client.Wallet) error {
	return pairs(s.out, "wallet", w.WalletID, "balance", w.Balance, "sequence", w.Sequence, "updated", local(w.UpdatedAt))
}

func (s *screen) showOperation(op *client.Operation) error {
	values := []any{"operation", op.OperationID, "wallet", op.WalletID, "type", op.OperationType,
		"amount", op.Amount, "status", op.Status}
	if op.Reason != nil {
		values = append(values, "reason", *op.Reason)
	}
	if op.Sequence != nil && op.BalanceAfter != nil {
		values = append(values, "sequence", *op.Sequence, "balance after", *op.BalanceAfter)
	}
	return pairs(s.out, values...)
}

// local shows a time as the person who reads it counts.
func local(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05.000 -0700") }
