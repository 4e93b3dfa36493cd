package main

import (
	"bufio"
	"io"
	"strconv"
	"strings"
	"time"
)

// profile is where the processor time of a load has gone, in samples.
type profile struct {
	cell
	perSecond float64
	micros    float64 // of a sample, per operation
	idle      float64 // processors

	owners    map[int]string // processes, by id
	processes map[string]int
	parts     map[string]int // of the service
	functions map[string]int // of the service, by itself
	service   int
}

// others are processes that take no part in an operation, and the kernel's own threads.
const others = "kernel threads, others"

func newProfile(c cell, s *subject, perSecond float64, looked time.Duration) *profile {
	p := &profile{cell: c, perSecond: perSecond, micros: 1e6 / sampleRate / (perSecond * looked.Seconds()),
		owners: map[int]string{}, processes: map[string]int{}, parts: map[string]int{}, functions: map[string]int{}}
	for part, pid := range s.parts {
		for _, one := range append(children(pid), pid) {
			p.owners[one] = part
		}
	}
	return p
}

// read adds what perf script says: for each sample a line with the command and the
// process, and one for each function on its stack, the innermost first.
func (p *profile) read(r io.Reader) error {
	lines := bufio.NewScanner(r)
	command, stack, within := "", []string(nil), false
	pid := 0
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		switch {
		case len(fields) == 0:
			if within {
				p.add(command, pid, stack)
			}
			within, stack = false, stack[:0]
		case !within:
			within, command = true, fields[0]
			pid, _ = strconv.Atoi(fields[len(fields)-1])
		case len(fields) > 1:
			stack = append(stack, strings.Join(fields[1:], " "))
		}
	}
	if within {
		p.add(command, pid, stack)
	}
	return lines.Err()
}

func (p *profile) add(command string, pid int, stack []string) {
	owner, known := p.owners[pid]
	switch {
	case pid == 0: // nothing to do
		return
	case command == "walletctl":
		owner = loader
	case !known:
		owner = others
	}
	p.processes[owner]++
	if owner != "service" || len(stack) == 0 {
		return
	}
	p.service++
	p.functions[stack[0]]++
	p.parts[partOf(stack)]++
}

// The parts of the service, in the order of the table.
const (
	partWriting  = "net/http: writing the answer"
	partReading  = "net/http: reading the request"
	partServing  = "net/http: the rest of serving"
	partWatching = "net/http: watching the client"
	partHandler  = "handler: body, answer, headers, metrics"
	partAccept   = "`accept`: id, existence, gate, waiter, wait"
	partJournal  = "`journal` and the Kafka client"
	partLedger   = "`ledger` and its client"
	partApplier  = "`applier`, announcing, and Redis's client"
	partMonitor  = "the runtime's monitor thread"
	partCollect  = "collecting"
	partSchedule = "the scheduler of goroutines, other"
)

var partOrder = []string{partWriting, partReading, partServing, partWatching, partHandler, partAccept, partJournal, partLedger, partApplier, partSchedule, partMonitor, partCollect}

// marks say by which function a sample is of a part: the innermost on the stack that has
// one decides, so that allocating and copying count with whoever does it.
var marks = []struct{ prefix, part string }{
	{"github.com/walletd/walletd/internal/httpapi.(*connection).Write", partWriting},
	{"github.com/walletd/walletd/internal/httpapi.(*connection)", ""}, // whose caller decides
	{"net/http.(*conn).readRequest", partReading},
	{"bufio.(*Reader).Peek", partReading},
	{"net/http.(*connReader).backgroundRead", partWatching},
	{"net/http.(*connReader).startBackgroundRead", partWatching},
	{"net/http.(*connReader).abortPendingRead", partWatching},
	{"net/http.(*conn).serve", partServing},
	{"net/http.(*Server).Serve", partServing},
	{"github.com/walletd/walletd/internal/httpapi.", partHandler},
	{"github.com/walletd/walletd/bench/rival.", partHandler},
	{"github.com/walletd/walletd/internal/accept.", partAccept},
	{"github.com/walletd/walletd/internal/journal.", partJournal},
	{"github.com/twmb/franz-go/", partJournal},
	{"github.com/walletd/walletd/internal/ledger.", partLedger},
	{"github.com/jackc/", partLedger},
	{"github.com/walletd/walletd/internal/applier.", partApplier},
	{"github.com/walletd/walletd/internal/balance.", partApplier},
	{"github.com/redis/rueidis", partApplier},
	{"runtime.sysmon", partMonitor},
	{"runtime.gcBgMarkWorker", partCollect},
	{"runtime.bgsweep", partCollect},
	{"runtime.bgscavenge", partCollect},
}

func partOf(stack []string) string {
	for _, function := range stack {
		for _, m := range marks {
			if strings.HasPrefix(function, m.prefix) {
				if m.part != "" {
					return m.part
				}
				break
			}
		}
	}
	return partSchedule
}
