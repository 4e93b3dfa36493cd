package embedded

import (
	"bufio"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
)

// testTimeout bounds each wait of a test; it is reached only when something is broken.
const testTimeout = 5 * time.Minute

// TestMain also is the program that the tests of kill -9 start and kill.
func TestMain(m *testing.M) {
	if dir := os.Getenv("EMBEDDED_TEST_DEV_DIR"); dir != "" {
		recordForEver(dir)
	}
	os.Exit(m.Run())
}

func testContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
	t.Cleanup(cancel)
	return ctx
}

// stopAtEnd stops a server when the test ends, and says so when it did not stop in order.
func stopAtEnd(t *testing.T, server interface{ Stop(context.Context) error }) {
	t.Helper()
	t.Cleanup(func() {
		if err := server.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

// query runs one statement on a new connection and returns the first column of its rows, joined by spaces.
func query(ctx context.Context, dsn, statement string) (string, error) {
	db, err := sql.Open("pgx", dsn)
	if err != nil {
		return "", err
	}
	defer db.Close()
	rows, err := db.QueryContext(ctx, statement)
	if err != nil {
		return "", err
	}
	defer rows.Close()
	var values []string
	for rows.Next() {
		var value string
		if err := rows.Scan(&value); err != nil {
			return "", err
		}
		values = append(values, value)
	}
	return strings.Join(values, " "), rows.Err()
}

func mustQuery(t *testing.T, dsn, statement string) string {
	t.Helper()
	value, err := query(testContext(t), dsn, statement)
	if err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
	return value
}

// redisSays sends one command and returns the first line of the answer.
func redisSays(addr, command string, wait time.Duration) (string, error) {
	conn, err := net.DialTimeout("tcp", addr, wait)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(wait)); err != nil {
		return "", err
	}
	words := strings.Fields(command)
	request := fmt.Sprintf("*%d\r\n", len(words))
	for _, word := range words {
		request += fmt.Sprintf("$%d\r\n%s\r\n", len(word), word)
	}
	if _, err := io.WriteString(conn, request); err != nil {
		return "", err
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	return strings.TrimSpace(line), err
}

func mustJSON(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return text
}
