package api

import (
	"net/http"
	"testing"
)

// What answers may be anything, and its words go to a terminal.
func TestARefusalsWordsHaveNoControlCharacters(t *testing.T) {
	body := []byte(`{"code":"c\u001b","detail":"d\u001b]0;t\u0007 é\n","errors":[{"field":"f\r","detail":"\u009b2J"}]}`)
	r := refusal(&http.Response{StatusCode: 400, Header: http.Header{}}, body)
	const want = "400 c�: d�]0;t� é\n\n  f�: �2J"
	if got := r.Error(); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
