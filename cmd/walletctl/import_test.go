package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/walletd/walletd/cmd/walletctl/internal/fake"
)

// file writes a statement.
func (t *terminal) file(rows ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "bank.csv")
	content := "nr,acc,kind,units,after\n" + strings.Join(rows, "\n") + "\n"
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

var columnFlags = []string{"--id", "nr", "--account", "acc", "--type", "kind", "--amount", "units",
	"--balance", "after", "--deposit-value", "in", "--withdraw-value", "out"}

func (t *terminal) load(code int, file string, args ...string) (stdout, stderr string) {
	t.Helper()
	return t.run(code, slices.Concat([]string{"import", file}, columnFlags, args)...)
}

func TestImport(t *testing.T) {
	c := start(t)
	file := c.file("1,a,in,100,100", "2,b,in,7,7", "3,a,out,30,70")
	report := filepath.Join(t.TempDir(), "report.json")
	out, errors := c.load(0, file, "--name", "zero", "--report", report)
	c.has(out, "applied             3", "exact             2 accounts")
	c.has(errors, "import: 3 of 3 rows")
	content, _ := os.ReadFile(report)
	c.has(string(content), `"account": "a"`, `"balance": 70`, `"agreement": "exact"`)
	report = filepath.Join(t.TempDir(), "report.csv")
	out, _ = c.load(0, file, "--name", "zero", "--report", report, "--json")
	c.has(out, `"replayed": 3`)
	content, _ = os.ReadFile(report)
	c.has(string(content), "\na,", ",2,2,2,0,0,2,0,70,2,exact,0,\n")
}

func TestImportReadsStandardInput(t *testing.T) {
	c := start(t)
	c.in = "nr,acc,kind,units,after\n1,a,in,100,100\n2,a,out,30,70\n"
	out, _ := c.load(0, "-", "--name", "piped")
	c.has(out, "applied             2", "exact             1 accounts")
}

func TestImportExitCodes(t *testing.T) {
	c := start(t)
	out, errors := c.load(exitDiffers, c.file("1,a,in,100,100", "2,a,in,5,106"), "--name", "one")
	c.has(out, "account a, line 3, id 2: balance 105, the file has 106")
	c.has(errors, "1 accounts differ")
	c.load(0, c.file("1,a,in,100,100", "2,a,in,5,106"), "--name", "one", "--tolerance", "1")
	out, _ = c.load(exitRefused, c.file("1,a,out,100,0"), "--name", "two")
	c.has(out, "insufficient_funds")
	c.service.Fault = func(int) fake.Fault { return fake.Unavailable }
	_, errors = c.load(exitUnavailable, c.file("1,a,in,1,1"), "--name", "three", "--give-up-after", "10ms")
	c.has(errors, "no progress for 10ms", "run the same command again")
}

func TestImportOfABadFileSendsNothing(t *testing.T) {
	c := start(t)
	c.service.Fault = func(int) fake.Fault { t.Error("something was sent"); return fake.None }
	_, errors := c.load(exitUsage, c.file("1,a,in,100,100", "1,a,in,x,106"), "--name", "n")
	c.has(errors, "nothing was sent", `line 3, column 1 (nr): "1" is also the id of line 2`, "line 3, column 8 (units)")
	c.load(exitUsage, filepath.Join(t.TempDir(), "absent.csv"), "--name", "n")
	c.load(exitUsage, c.file("1,a,in,1,1"), "--name", "n", "--report", "report.txt")
	c.load(exitUsage, c.file("1,a,in,1,1"), "--name", "n", "--report", filepath.Join(t.TempDir(), "absent", "report.csv"))
}
