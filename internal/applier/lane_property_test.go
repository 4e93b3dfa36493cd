package applier

import (
	"slices"
	"testing"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/walletd/walletd/internal/wallet"
)

// What lanes keep of acknowledged operations is what was kept and not yet settled, in
// order, however lanes come and go; what does not fit leaves a mark.
func TestLanesKeepWhatIsUnsettledInOrderWhateverElseHappens(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const perWallet, inAll = 4, 9
		l := newLanes(rapid.IntRange(1, 4).Draw(t, "limit"))
		ids := make([]uuid.UUID, 6)
		for i := range ids {
			ids[i] = uuid.UUID{0: 1, 15: byte(i * 40)}
		}
		wallets := rapid.SampledFrom(ids)
		want, marked := map[uuid.UUID][]uuid.UUID{}, map[uuid.UUID]bool{}
		kept, next, offset := 0, byte(0), int64(0)
		t.Repeat(map[string]func(*rapid.T){
			"keep": func(t *rapid.T) {
				id := wallets.Draw(t, "wallet")
				rec := wallet.Record{Kind: wallet.KindOperations, WalletID: id, Receipt: wallet.Receipt{Offset: offset}}
				for range rapid.IntRange(1, 3).Draw(t, "operations") {
					next++
					rec.Operations = append(rec.Operations, wallet.Operation{ID: uuid.UUID{0: 2, 15: next}})
				}
				offset++
				l.keep(rec, perWallet, inAll)
				if len(want[id])+len(rec.Operations) > perWallet || kept >= inAll {
					marked[id] = true
					return
				}
				kept += len(rec.Operations)
				for _, op := range rec.Operations {
					want[id] = append(want[id], op.ID)
				}
			},
			"settle": func(t *rapid.T) {
				id := wallets.Draw(t, "wallet")
				op := uuid.UUID{0: 2, 15: rapid.ByteMax(next+1).Draw(t, "operation")}
				l.settle(id, op)
				if i := slices.Index(want[id], op); i >= 0 {
					want[id] = slices.Delete(want[id], i, i+1)
					kept--
				}
			},
			"lock":   func(t *rapid.T) { l.lock(wallets.Draw(t, "wallet")).mu.Unlock() },
			"forget": func(t *rapid.T) { l.forget(func(id uuid.UUID) bool { return id[15]%80 == 0 }) },
			"": func(t *rapid.T) {
				if l.unsettled.Load() != int64(kept) {
					t.Fatalf("%d are unsettled, the lanes say %d", kept, l.unsettled.Load())
				}
				for _, id := range ids {
					checkLane(t, l, id, want[id], marked[id])
				}
			},
		})
	})
}

func checkLane(t *rapid.T, l *lanes, id uuid.UUID, want []uuid.UUID, marked bool) {
	v, ok := l.m.Load(id)
	if !ok {
		if len(want) > 0 || marked {
			t.Fatalf("the lane of %s is retired with %d operations (marked: %t)", id, len(want), marked)
		}
		return
	}
	ln := v.(*lane)
	same := slices.EqualFunc(ln.unsettled, want, func(u unsettled, op uuid.UUID) bool { return u.ID == op && u.WalletID == id })
	if !same || ln.overflow.Known() != marked || ln.closed {
		t.Fatalf("wallet %s: %d unsettled, want %d; marked %t, want %t; closed %t", id, len(ln.unsettled), len(want), ln.overflow.Known(), marked, ln.closed)
	}
}
