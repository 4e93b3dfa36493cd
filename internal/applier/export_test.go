package applier

import "github.com/google/uuid"

// Mutex is what holds a lane.
type Mutex = mutex

// LockLanesWith has the lanes made from now on held by what f makes.
func (a *Applier) LockLanesWith(f func(wallet uuid.UUID) Mutex) { a.lanes.mutex = f }

// MarkStopped has a partition stopped that its worker has not left yet.
func (a *Applier) MarkStopped(partition int32, err error) { a.markStopped(partition, err) }

// Forget has all lanes read the ledger again.
func (a *Applier) Forget() { a.lanes.forget(func(uuid.UUID) bool { return true }) }
