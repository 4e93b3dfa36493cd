package embedded

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

// report is a line of the program that is killed: what it has been acknowledged so far.
type report struct {
	Postmaster int
	Brokers    []string
	DSN        string
	TopicID    string
	Records    int // acknowledged in partition 0, the value of each being its offset
	Rows       int // committed
}

// recordForEver starts a Dev and writes to journal and database until it is killed, reporting each acknowledgement.
func recordForEver(dir string) {
	ctx := context.Background()
	d, err := StartDev(ctx, DevConfig{Dir: dir})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	client, err := newClient(d.Brokers(), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		panic(err)
	}
	r := report{Postmaster: d.postgres.Pid(), Brokers: d.Brokers(), DSN: d.DSN()}
	if r.TopicID, err = topicID(ctx, client, "kept", true); err != nil {
		panic(err)
	}
	if _, err = query(ctx, d.DSN(), "CREATE TABLE kept (n int)"); err != nil {
		panic(err)
	}
	for ; ; r.Records++ {
		os.Stdout.Write(append(mustJSON(r), '\n'))
		offset, err := produce(ctx, client, "kept", fmt.Sprint(r.Records))
		if err != nil || offset != int64(r.Records) {
			panic(fmt.Sprint(offset, err))
		}
		if r.Records%10 == 0 {
			if _, err := query(ctx, d.DSN(), fmt.Sprintf("INSERT INTO kept VALUES (%d)", r.Rows)); err != nil {
				panic(err)
			}
			r.Rows++
		}
	}
}

// killedAfter runs that program on dir, kills it with SIGKILL after it has reported n records, and returns its last report.
func killedAfter(t *testing.T, dir string, n int) (last report) {
	t.Helper()
	program := exec.CommandContext(testContext(t), os.Args[0])
	program.Env = append(os.Environ(), "EMBEDDED_TEST_DEV_DIR="+dir)
	program.Stderr = os.Stderr
	output, err := program.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := program.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(output)
	for lines.Scan() && json.Unmarshal(lines.Bytes(), &last) == nil {
		if last.Records == n {
			if err := program.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	_ = program.Wait()
	if last.Records < n {
		t.Fatalf("the program ended by itself: %+v", last)
	}
	return last
}

func TestDevSurvivesKill9(t *testing.T) {
	dir := t.TempDir()
	before := killedAfter(t, dir, 100)
	if settle([]int{before.Postmaster}, process.dead); !all([]int{before.Postmaster}, process.dead) {
		t.Error("the database outlived its owner")
	}
	d := startTestDev(t, dir)
	if d.DSN() != before.DSN || d.Brokers()[0] != before.Brokers[0] {
		t.Errorf("the addresses changed: %s %s, before %s %s", d.DSN(), d.Brokers(), before.DSN, before.Brokers)
	}
	if got := mustQuery(t, d.DSN(), fmt.Sprintf("SELECT count(*) FROM kept WHERE n < %d", before.Rows)); got != fmt.Sprint(before.Rows) {
		t.Errorf("%s of %d committed rows are there", got, before.Rows)
	}
	values, err := readTopic(testContext(t), d.Brokers(), "kept", before.Records)
	if err != nil {
		t.Fatalf("%d of %d records: %v", len(values), before.Records, err)
	}
	for offset, value := range values {
		if value != fmt.Sprint(offset) {
			t.Fatalf("offset %d holds %s", offset, value)
		}
	}
	client, err := newClient(d.Brokers(), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if id, err := topicID(testContext(t), client, "kept", false); err != nil || id != before.TopicID {
		t.Errorf("the topic's id is %s (%v), before %s", id, err, before.TopicID)
	}
	if offset, err := produce(testContext(t), client, "kept", "next"); err != nil || offset < int64(before.Records) {
		t.Errorf("the next record went to offset %d (%v), after %d", offset, err, before.Records)
	}
}

func startTestDev(t *testing.T, dir string) *Dev {
	t.Helper()
	d, err := StartDev(testContext(t), DevConfig{Dir: dir, Progress: os.Stderr})
	if err != nil {
		t.Fatal(err)
	}
	stopAtEnd(t, d)
	return d
}

func TestDevHasItsDirectoryForItselfAndMovesFromTakenPorts(t *testing.T) {
	dir := t.TempDir()
	first := startTestDev(t, dir)
	if _, err := StartDev(testContext(t), DevConfig{Dir: dir}); !errors.Is(err, ErrDirInUse) || !contains(err, fmt.Sprint(os.Getpid())) {
		t.Fatalf("got %v, want %v by this process", err, ErrDirInUse)
	}
	ports := first.ports()
	if err := first.Stop(testContext(t)); err != nil {
		t.Fatal(err)
	}
	for _, port := range []int{ports.Postgres, ports.Kafka, ports.Redis} {
		listener, err := net.Listen("tcp", address(port))
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close()
	}
	second := startTestDev(t, dir)
	moved := second.ports()
	if moved.Postgres == ports.Postgres || moved.Kafka == ports.Kafka || moved.Redis == ports.Redis {
		t.Fatalf("on taken ports: %+v, before %+v", moved, ports)
	}
	if stored := readPorts(second.path("ports.json")); stored != moved {
		t.Fatalf("stored %+v, used %+v", stored, moved)
	}
	mustQuery(t, second.DSN(), "SELECT 1")
	client, err := newClient(second.Brokers()) // the broker has to advertise its new address
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := topicID(testContext(t), client, "made", true); err != nil {
		t.Fatal(err)
	}
	if got, err := redisSays(second.RedisAddr(), "PING", testTimeout); err != nil || got != "+PONG" {
		t.Fatalf("the cache says %q, %v", got, err)
	}
}

func TestDevStopsWhatItStartedWhenAPartFails(t *testing.T) {
	dir := t.TempDir()
	d := startTestDev(t, dir)
	postmaster := d.postgres.Pid()
	if err := d.Stop(testContext(t)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(d.path("journal/meta.json"), []byte("damaged"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := StartDev(testContext(t), DevConfig{Dir: dir}); err == nil || !contains(err, "move it away") {
		t.Fatalf("got %v", err)
	}
	if pids := append(serversIn("postgres", d.path("postgres/data")), postmaster); !all(pids, process.dead) {
		t.Fatalf("still running: %v", pids)
	}
}
