package main

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
)

// profile is where the processor time of a load has gone, in samples of processors that
// had something to do: one that has nothing is not always sampled.
type profile struct {
	cell
	looked    time.Duration
	perSecond float64
	samples   int

	owners    map[int]string // processes, by id
	processes map[string]int
	parts     map[string]int // of the service
	functions map[string]int // of the service, by themselves
}

// others are the kernel's own threads and interrupts, the disk's for one, and processes
// that have nothing to do with the load.
const others = "kernel threads, others"

func newProfile(c cell, looked time.Duration) *profile {
	return &profile{cell: c, looked: looked, owners: map[int]string{}, processes: map[string]int{}, parts: map[string]int{}, functions: map[string]int{}}
}

// own learns which processes are the subject's now.
func (p *profile) own(s *subject) {
	for part, pid := range s.parts {
		for _, one := range append(children(pid), pid) {
			p.owners[one] = part
		}
	}
}

// read adds what perf script says: for each sample a line with the command and the
// process, one for each function on its stack, the innermost first, and an empty one.
func (p *profile) read(r io.Reader) error {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		header := strings.Fields(lines.Text())
		if len(header) == 0 {
			continue
		}
		pid, err := strconv.Atoi(header[len(header)-1])
		if err != nil {
			return fmt.Errorf("perf script: no process in %q", lines.Text())
		}
		p.add(header[0], pid, readStack(lines))
	}
	return lines.Err()
}

// readStack reads functions to the next empty line.
func readStack(lines *bufio.Scanner) (stack []string) {
	for lines.Scan() {
		_, function, _ := strings.Cut(strings.TrimSpace(lines.Text()), " ")
		if function == "" {
			return stack
		}
		stack = append(stack, function)
	}
	return stack
}

// idler is the process of a processor that has nothing to do, interrupts aside.
const idler = 0

// halts are the functions in which it waits, by what is in their names.
var halts = []string{"halt", "idle", "mwait"}

func (p *profile) add(command string, pid int, stack []string) {
	if pid == idler && (len(stack) == 0 || slices.ContainsFunc(halts, func(h string) bool { return strings.Contains(stack[0], h) })) {
		return
	}
	p.samples++
	owner, known := p.owners[pid]
	switch {
	case command == "walletctl":
		owner = loader
	case !known:
		owner = others
	}
	p.processes[owner]++
	if owner == service {
		p.parts[partOf(stack)]++
		if len(stack) > 0 {
			p.functions[stack[0]]++
		}
	}
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
	{"net/http.(*connReader).Read", partReading},
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
