package audit

import (
	"testing"

	"github.com/google/uuid"
)

// A known loss of many records must not hide one other difference.
func TestFindingsAreBoundedByKindAndAllCounted(t *testing.T) {
	var a Audit
	if !a.report.Clean() || a.report.Differences() != 0 {
		t.Error("a report of nothing is not clean")
	}
	for range maxFindings + 50 {
		a.find(walletFinding(WrongBalance, uuid.New()), "off by %d", 1)
	}
	a.find(walletFinding(WalletMissing, uuid.New()), "gone")
	r := &a.report
	if r.Clean() || r.Differences() != maxFindings+51 || len(r.Findings) != maxFindings+1 {
		t.Errorf("clean %t, %d differences, %d listed", r.Clean(), r.Differences(), len(r.Findings))
	}
	if last := r.Findings[len(r.Findings)-1]; last.Kind != WalletMissing || last.Detail != "gone" {
		t.Errorf("the last is %s", last)
	}
	for range maxNotes + 1 {
		a.note(walletFinding(WrongBalance, uuid.New()), "by the way")
	}
	if len(r.Notes) != maxNotes || r.Differences() != maxFindings+51 {
		t.Errorf("%d notes, %d differences", len(r.Notes), r.Differences())
	}
}
