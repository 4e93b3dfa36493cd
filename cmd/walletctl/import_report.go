package main

import (
	"cmp"
	"encoding/csv"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/walletd/walletd/cmd/walletctl/internal/importer"
)

// reportFormats are the formats of the full report, by the file's ending.
var reportFormats = map[string]func(io.Writer, *importer.Report) error{".json": writeJSON[*importer.Report], ".csv": writeCSV}

// reportFile is the full report to be. It is made before the import, which may
// take long, so that a path that cannot be written is known at once; the file of
// an earlier import is replaced only when this report is complete.
type reportFile struct {
	path string
	file *os.File // nil: no report is wanted
}

func createReport(path string) (*reportFile, error) {
	if path == "" {
		return &reportFile{}, nil
	}
	file, err := os.CreateTemp(filepath.Dir(path), ".walletctl-*")
	return &reportFile{path, file}, err
}

func (r *reportFile) write(report *importer.Report) error {
	if r.file == nil {
		return nil
	}
	if err := reportFormats[filepath.Ext(r.path)](r.file, report); err != nil {
		return err
	}
	const readable = 0o644 // a temporary file is its owner's only
	if err := cmp.Or(r.file.Chmod(readable), r.file.Close()); err != nil {
		return err
	}
	err := os.Rename(r.file.Name(), r.path)
	r.file = nil
	return err
}

// discard removes a report that was not written.
func (r *reportFile) discard() {
	if r.file != nil {
		r.file.Close()
		os.Remove(r.file.Name())
	}
}

// writeCSV writes a line per account.
func writeCSV(to io.Writer, report *importer.Report) error {
	out := csv.NewWriter(to)
	_ = out.Write([]string{"account", "wallet_id", "rows", "sent", "applied", "failed", "refused", "replayed",
		"unresolved", "balance", "sequence", "agreement", "largest_difference", "reasons"})
	for i := range report.Each {
		_ = out.Write(accountLine(&report.Each[i]))
	}
	out.Flush()
	return out.Error() // the first error of any write
}

func accountLine(a *importer.AccountReport) []string {
	balance := ""
	if a.Balance != nil {
		balance = fmt.Sprint(*a.Balance)
	}
	line := []string{a.Account, a.WalletID}
	for _, n := range []int{a.Rows, a.Sent, a.Applied, a.Failed, a.Refused, a.Replayed, a.Unresolved} {
		line = append(line, fmt.Sprint(n))
	}
	return append(line, balance, fmt.Sprint(a.Sequence), string(a.Agreement), fmt.Sprint(a.LargestDifference), reasons(a))
}

// reasons counts why rows failed, as insufficient_funds:2.
func reasons(a *importer.AccountReport) string {
	count := map[string]int{}
	for _, f := range a.Failures {
		count[f.Reason]++
	}
	var parts []string
	for _, reason := range slices.Sorted(maps.Keys(count)) {
		parts = append(parts, fmt.Sprintf("%s:%d", reason, count[reason]))
	}
	return strings.Join(parts, " ")
}
