package main

import (
	"fmt"
	"io"

	"github.com/walletd/walletd/client"
)

// row is the layout of the table of operations. Its widths are fixed, so that rows can be
// shown before the last is known; the largest amount has 16 digits.
const row = "%9v  %-8v  %16v  %-7v  %-18v  %16v  %-29v  %v\n"

// table is for people.
type table struct {
	to   io.Writer
	rows int
}

func (t *table) add(ops []client.Operation) error {
	for i := range ops {
		if err := t.row(&ops[i]); err != nil {
			return err
		}
	}
	return nil
}

func (t *table) row(op *client.Operation) error {
	if t.rows == 0 {
		fmt.Fprintf(t.to, row, "SEQUENCE", "TYPE", "AMOUNT", "STATUS", "REASON", "BALANCE AFTER", "APPLIED", "OPERATION")
	}
	t.rows++
	applied := "-"
	if op.AppliedAt != nil {
		applied = local(*op.AppliedAt)
	}
	_, err := fmt.Fprintf(t.to, row, known(op.Sequence), op.OperationType, op.Amount, op.Status,
		known(op.Reason), known(op.BalanceAfter), applied, op.OperationID)
	return err
}

// known shows what an operation may not have yet.
func known[T any](value *T) any {
	if value == nil {
		return "-"
	}
	return *value
}

func (t *table) end(next string) error {
	text := fmt.Sprintf("%d operations", t.rows)
	if next != "" {
		text += "; there are more: --all, or --cursor " + next
	}
	_, err := fmt.Fprintln(t.to, text)
	return err
}
