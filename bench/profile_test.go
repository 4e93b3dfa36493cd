package main

import (
	"maps"
	"strings"
	"testing"
	"time"
)

// A sample counts once: with its process, with the innermost part on its stack, and with
// the function that it was in.
func TestProfileSortsSamples(t *testing.T) {
	const script = `walletd.x  10 
	ffffffff81 tcp_sendmsg
	      4a01 internal/poll.(*FD).Write
	      4a02 github.com/walletd/walletd/internal/httpapi.(*connection).Write
	      4a03 net/http.(*conn).serve

Kafka network t  21 
	7f01 [unknown]

walletd.x  10 
	      4b01 runtime.mallocgc
	      4b02 github.com/walletd/walletd/internal/wallet.OperationID
	      4b03 github.com/walletd/walletd/internal/httpapi.(*server).readOperation
	      4b04 github.com/walletd/walletd/internal/httpapi.(*server).SubmitOperation
	      4b05 net/http.(*conn).serve

walletd.x  10 
	      4c01 runtime.mallocgc
	      4c02 net.(*conn).SetReadDeadline
	      4c03 github.com/walletd/walletd/internal/httpapi.(*connection).SetReadDeadline
	      4c04 net/http.(*connReader).startBackgroundRead
	      4c05 github.com/walletd/walletd/internal/httpapi.(*server).readBody

walletd.x  10 
	      4d01 runtime.findRunnable

swapper  0 
	ffffffff82 pv_native_safe_halt

swapper  0 
	ffffffff84 handle_softirqs

walletctl  77 
	      4e01 main.main

perf  88 
	ffffffff83 memcpy
`
	p := newProfile(cell{}, 10*time.Second)
	p.owners, p.perSecond = map[int]string{10: service, 21: "kafka"}, 100
	if err := p.read(strings.NewReader(script)); err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]struct{ got, want map[string]int }{
		"processes": {p.processes, map[string]int{service: 4, "kafka": 1, loader: 1, others: 2}},
		"parts":     {p.parts, map[string]int{partWriting: 1, partHandler: 1, partWatching: 1, partSchedule: 1}},
		"functions": {p.functions, map[string]int{"tcp_sendmsg": 1, "runtime.mallocgc": 2, "runtime.findRunnable": 1}},
	} {
		if !maps.Equal(c.got, c.want) {
			t.Errorf("%s: %v, want %v", what, c.got, c.want)
		}
	}
	if top := p.top(1); len(top) != 1 || top[0] != "runtime.mallocgc" {
		t.Errorf("%v on top", top)
	}
	if p.samples != 8 {
		t.Errorf("%d samples", p.samples)
	}
	if got := p.cost(3 * sampleRate); got != "3000.0" { // 3 s of 10, in which 100 a second were done
		t.Errorf("%s µs", got)
	}
	if err := p.read(strings.NewReader("walletd.x\n")); err == nil {
		t.Error("a sample of no process was read")
	}
}
