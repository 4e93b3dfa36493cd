package statement_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/walletd/walletd/cmd/walletctl/internal/statement"
	"github.com/walletd/walletd/internal/wallet"
)

var columns = statement.Columns{ID: "id", Account: "account", Type: "type", Amount: "amount",
	Balance: "after", Deposit: "DEPOSIT", Withdraw: "WITHDRAW"}

func TestReadKeepsEachAccountsOrder(t *testing.T) {
	file := "\xef\xbb\xbfid,note,account,type,amount,after\r\n" +
		"7,x,b,DEPOSIT,50,50\r\n8,,a,DEPOSIT,10,10\r\n5,\"two\nlines\",b,WITHDRAW,20,30\r\n"
	got, err := statement.Read(strings.NewReader(file), columns)
	if err != nil {
		t.Fatal(err)
	}
	if got.Rows != 3 || len(got.Accounts) != 2 || got.Accounts[0].Name != "b" {
		t.Fatalf("got %+v", got)
	}
	want := []statement.Row{
		{Line: 2, ID: "7", Type: wallet.Deposit, Amount: 50, Balance: 50},
		{Line: 4, ID: "5", Type: wallet.Withdraw, Amount: 20, Balance: 30},
	}
	if !slices.Equal(got.Accounts[0].Rows, want) {
		t.Errorf("rows %+v, want %+v", got.Accounts[0].Rows, want)
	}
}

func TestReadNamesEveryFault(t *testing.T) {
	file := "id,account,type,amount,after\n" +
		"1,a,DEPOSIT,12.50,12\n" +
		"2,,REFUND,1,x\n" +
		"1,a,DEPOSIT,1,1\n" +
		"3,a,DEPOSIT,1\n" +
		"4,a,DEPOSIT,0,1\n" +
		"5,a,DEP\"OSIT,1,1\n" +
		",a,DEPOSIT,9007199254740992,1\n" +
		"5,a,DEPOSIT,+5,05\n"
	_, err := statement.Read(strings.NewReader(file), columns)
	var faults statement.Faults
	if !errors.As(err, &faults) {
		t.Fatalf("got %v, want faults", err)
	}
	want := []string{
		`line 2, column 13 (amount): "12.50" is not an integer in minor units`,
		`line 3, column 3 (account): is empty`,
		`line 3, column 4 (type): "REFUND" is neither "DEPOSIT" nor "WITHDRAW"`,
		`line 3, column 13 (after): "x" is not an integer in minor units`,
		`line 4, column 1 (id): "1" is also the id of line 2`,
		`line 5: 4 fields where the header has 5`,
		`line 6, column 13 (amount): 0 is not from 1 to 9007199254740991`,
		`line 7, column 8: bare " in non-quoted-field`,
		`line 8, column 1 (id): is empty`,
		`line 8, column 12 (amount): 9007199254740992 is not from 1 to 9007199254740991`,
		`line 9, column 13 (amount): "+5" is not an integer in minor units`,
		`line 9, column 16 (after): "05" is not an integer in minor units`,
	}
	if got := strings.Split(faults.Error(), "\n"); !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", faults.Error(), strings.Join(want, "\n"))
	}
}

func TestReadNamesFaultsOfTheHeader(t *testing.T) {
	for file, want := range map[string]string{
		"":                                      "line 1: the file is empty",
		"id,account,type,amount,amount,after\n": "line 1 (amount): 2 columns have this name",
		"id,account,type,amount\n1,a,DEPOSIT,1\n": "line 1 (after): no such column; " +
			"the file has id, account, type, amount",
		"id,\"acc\n": `line 1, column 9: extraneous or missing " in quoted-field`,
	} {
		_, err := statement.Read(strings.NewReader(file), columns)
		if err == nil || err.Error() != want {
			t.Errorf("%q: got %v, want %s", file, err, want)
		}
	}
}

func TestOpeningBalanceIsWhatNoRowBringsIn(t *testing.T) {
	file := "id,account,type,amount,after\n1,a,WITHDRAW,30,70\n"
	got, err := statement.Read(strings.NewReader(file), columns)
	if err != nil {
		t.Fatal(err)
	}
	if opening := got.Accounts[0].OpeningBalance(); opening != 100 {
		t.Errorf("got %d, want 100", opening)
	}
}
