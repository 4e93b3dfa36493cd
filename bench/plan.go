package main

import (
	"fmt"
	"slices"
)

// cell is one figure of the table: a load on a subject.
type cell struct {
	Group   string `json:"group"`
	Subject string `json:"subject"`
	load
}

// The groups of cells, in the order of the table.
const (
	groupHot   = "hot"   // one wallet, closed loop; with one connection a request waits for nobody
	groupMany  = "many"  // a thousand wallets
	groupReads = "reads" // of a balance from the cache
	groupOpen  = "open"  // one wallet, on schedule
	groupBulk  = "bulk"  // 500 operations a request, one wallet
)

// Bulk is last: PostgreSQL goes on working on what it leaves behind.
var groups = []string{groupHot, groupMany, groupReads, groupOpen, groupBulk}

// The loads that are not the connections'.
const (
	manyWallets     = 1000
	manyConnections = 256
	zipfExponent    = 1.1
	bulkOperations  = 500
	bulkConnections = 8
	readConnections = 256

	// With so many connections it is measured what idempotency keys cost.
	keyedConnections = 256

	// From so many connections on a batch in memory is not what its requests wait for.
	memoryConnections = 256
)

var openRates = []float64{1000, 5000}

// postgresItself is measured by this program: what PostgreSQL takes without a
// service in front, on one connection.
const postgresItself = "postgresql"

// plan returns the cells of one round. Those that are compared stand together.
func plan(only []string, connections []int) (cells []cell) {
	add := func(group, subject string, l load) {
		if len(only) == 0 || slices.Contains(only, group) {
			l.Wallets = max(l.Wallets, 1)
			cells = append(cells, cell{group, subject, l})
		}
	}
	for _, n := range connections {
		if n == 1 {
			add(groupHot, postgresItself, load{Connections: n})
		}
		for _, s := range []string{emptyHandler, rowLock, atomicUpdate, flushed, replicated} {
			add(groupHot, s, load{Connections: n})
		}
		add(groupHot, replicated, load{Connections: n, Async: true})
		if n == keyedConnections {
			add(groupHot, replicated, load{Connections: n, Keys: true})
			add(groupHot, replicated, load{Connections: n, Async: true, Keys: true})
		}
		if n >= memoryConnections {
			add(groupHot, inMemory, load{Connections: n})
		}
	}
	add(groupMany, emptyHandler, load{Connections: manyConnections, Wallets: manyWallets})
	for _, s := range []string{flushed, replicated} {
		add(groupMany, s, load{Connections: manyConnections, Wallets: manyWallets})
		add(groupMany, s, load{Connections: manyConnections, Wallets: manyWallets, Zipf: zipfExponent})
	}
	for _, s := range []string{emptyHandler, flushed} {
		add(groupReads, s, load{Connections: readConnections, Reads: true})
	}
	for _, rate := range openRates {
		add(groupOpen, flushed, load{Rate: rate})
	}
	for _, s := range []string{postgresItself, flushed, replicated} {
		add(groupBulk, s, load{Connections: bulkConnections, Bulk: bulkOperations})
	}
	return cells
}

// inTurn are the cells of a round. Those that are compared change their order from one
// round to the next, so that what a cell leaves behind is not always the same one's to bear.
func inTurn(cells []cell, round int) []cell {
	turned := slices.Clone(cells)
	if round%2 == 0 {
		return turned
	}
	for rest := turned; len(rest) > 0; {
		n := 1
		for n < len(rest) && rest[n].Group == rest[0].Group && rest[n].loop() == rest[0].loop() {
			n++
		}
		slices.Reverse(rest[:n])
		rest = rest[n:]
	}
	return turned
}

// name is the cell's line in the table.
func (c cell) name() string {
	way := c.Subject
	switch {
	case c.Reads && c.Subject != emptyHandler:
		way = "cached balance"
	case c.Async:
		way += ", 202"
	case (c.Subject == flushed || c.Subject == replicated) && c.Bulk == 0:
		way += ", waited"
	}
	if c.Zipf > 0 {
		way += ", Zipf"
	}
	if c.Keys {
		way += ", keys"
	}
	return way
}

func (c cell) loop() string {
	if c.Rate > 0 {
		return fmt.Sprintf("%g/s", c.Rate)
	}
	return fmt.Sprint(c.Connections)
}

// yardstick is the cell whose figure is this one's yardstick: the empty handler with
// as many connections, or what PostgreSQL does itself.
func (c cell) yardstick() cell {
	y := cell{Group: c.Group, Subject: emptyHandler, load: load{Connections: c.Connections, Wallets: c.Wallets, Reads: c.Reads}}
	if c.Group == groupBulk {
		y = cell{Group: c.Group, Subject: postgresItself, load: load{Connections: c.Connections, Wallets: 1, Bulk: c.Bulk}}
	}
	return y
}
