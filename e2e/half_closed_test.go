package e2e_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// A client that has sent its request and closed its own direction waits for its answer
// as any other does.
func TestAClientThatHasClosedItsHalfGetsTheOutcome(t *testing.T) {
	t.Parallel()
	s := startStack(t, 1, "WALLETD_POSTGRES_LOCK_TIMEOUT=10s", "WALLETD_POSTGRES_COMMIT_TIMEOUT=20s")
	r, id := s.replicas[0], s.wallet()
	release := s.lock(s.connect(), id) // until its record is there, and an answer of 202 could have been given
	before := s.ends()
	conn, err := net.Dial("tcp", strings.TrimPrefix(r.url(""), "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	body := fmt.Sprintf(`{"walletId":%q,"operationType":"DEPOSIT","amount":5}`, id)
	_, err = fmt.Fprintf(conn, "POST /api/v1/wallet HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nPrefer: wait=20\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	if err == nil {
		err = conn.(*net.TCPConn).CloseWrite()
	}
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "its record is in the journal", func() bool {
		for p, end := range s.ends() {
			if end > before[p] {
				return true
			}
		}
		return false
	})
	release()
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if text, err := io.ReadAll(answer.Body); err != nil || answer.StatusCode != 200 || !strings.Contains(string(text), `"status":"APPLIED"`) {
		t.Errorf("%d %s, %v", answer.StatusCode, text, err)
	}
}
