package applier_test

import (
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/wallet"
)

// The texts of a trace.

func walletNumber(id uuid.UUID) int  { return int(id[15]) }
func walletName(id uuid.UUID) string { return fmt.Sprintf("w%d", id[15]) }

func opName(id uuid.UUID) string {
	if id[0] == walletMark {
		return "new " + walletName(id)
	}
	return fmt.Sprintf("#%d", opNumber(id))
}

func opNumber(id uuid.UUID) int { return int(id[14])<<8 | int(id[15]) }

func opText(op wallet.Operation) string {
	return fmt.Sprintf("%s %s%d", opName(op.ID), map[wallet.Type]string{wallet.Deposit: "+", wallet.Withdraw: "-"}[op.Type], op.Amount)
}

func partitionText(p int32) func() string { return func() string { return fmt.Sprintf("p%d", p) } }

func answer(err error) string {
	if err == nil {
		return ""
	}
	return ": " + err.Error()
}

func recordText(rec wallet.Record) string {
	var ops []string
	for _, op := range rec.Operations {
		ops = append(ops, opText(op))
	}
	text := walletName(rec.WalletID) + " " + strings.Join(ops, " ")
	switch {
	case rec.Kind == wallet.KindPoison:
		text = "poison"
	case rec.Kind == wallet.KindBackfill:
		text += " (backfill)"
	case rec.Attempt > 0:
		text += fmt.Sprintf(" (copy %d)", rec.Attempt)
	}
	if rec.Receipt.Known() {
		text += fmt.Sprintf(" @%d/%d", rec.Receipt.Partition, rec.Receipt.Offset)
	}
	return text
}

func recordsText(records []wallet.Record) string {
	texts := make([]string, len(records))
	for i, rec := range records {
		texts[i] = recordText(rec)
	}
	return strings.Join(texts, ", ")
}

func batchText(b *wallet.Batch) string {
	var parts []string
	if f := b.Fence; f != nil {
		parts = append(parts, fmt.Sprintf("p%d %d→%d", f.Partition, f.From, f.To))
	}
	for _, c := range b.Creates {
		parts = append(parts, "new "+walletName(c.ID))
	}
	for _, c := range b.Changes {
		parts = append(parts, fmt.Sprintf("%s v%d→%d", walletName(c.ID), c.FromSequence, c.Sequence))
	}
	for _, op := range b.Operations {
		parts = append(parts, fmt.Sprintf("%s=%s", opName(op.ID), op.Status))
	}
	for _, l := range b.Lists {
		parts = append(parts, fmt.Sprintf("list %s of %d, attempt %d", walletName(l.WalletID), l.Length, l.Attempt))
	}
	return strings.Join(parts, ", ")
}

func resultsText(results []wallet.Result) string {
	var parts []string
	for _, r := range results {
		parts = append(parts, fmt.Sprintf("%s=%s", opName(r.ID), r.Status))
	}
	slices.Sort(parts)
	return strings.Join(parts, " ")
}
