package statement

import (
	"errors"
	"strings"
	"testing"
)

// A file is read whole, every row with what it says, or all its faults are named.
func FuzzStatement(f *testing.F) {
	head := "transaction_id,account,operation_type,amount\n"
	for _, s := range []string{
		head + "1,a,DEPOSIT,100\n2,b,WITHDRAW,5\n", "\xef\xbb\xbf" + head + "1,\"a\nb\",DEPOSIT,1\r\n", head, "", "x", head + "1,a,DEPOSIT,12.50\n1,a,DEPOSIT,1,1\n",
		head + "1,a,DEPOSIT,1\n1,a,DEPOSIT,1\n", head + "\"", head + "1,a,\"DEPO\"SIT,1\n", "amount," + head, "\"transaction_id\"\"\",b\n",
	} {
		f.Add(s)
	}
	columns := Columns{ID: "transaction_id", Account: "account", Type: "operation_type", Amount: "amount", Deposit: "DEPOSIT", Withdraw: "WITHDRAW"}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := Read(strings.NewReader(text), columns)
		var faults Faults
		switch {
		case err == nil:
			check(t, s)
		case !errors.As(err, &faults) || len(faults) == 0 || s != nil:
			t.Fatalf("%q: %v", text, err)
		}
		for _, fault := range faults {
			if fault.Line < 1 || fault.Column < 0 || fault.Detail == "" {
				t.Fatalf("%q: fault %+v", text, fault)
			}
		}
	})
}

func check(t *testing.T, s *Statement) {
	rows, ids := 0, map[string]bool{}
	for _, a := range s.Accounts {
		for _, r := range a.Rows {
			rows++
			if r.ID == "" || ids[r.ID] || !r.Amount.Valid() || r.Type.String() == "" || r.Line < 2 {
				t.Fatalf("row %+v", r)
			}
			ids[r.ID] = true
		}
	}
	if rows != s.Rows {
		t.Fatalf("%d rows, %d counted", rows, s.Rows)
	}
}
