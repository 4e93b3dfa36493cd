package load

import (
	"math/rand/v2"

	"github.com/walletd/walletd/internal/wallet"
)

// draft is a request to be sent.
type draft struct {
	target int32
	opType wallet.Type
	amount wallet.Amount
}

// drawing makes the requests of a run, the same for the same seed. One goroutine uses it.
type drawing struct {
	random   *rand.Rand
	wallets  int
	each     int // drafts of a request
	share    float64
	withdraw int64 // the largest amount withdrawn
	zipf     *rand.Zipf
	next     int
}

// newDrawing draws withdrawals so large that they take on average what deposits
// bring in: the balance keeps coming back to where a withdrawal is refused.
func newDrawing(c Config, stream uint64) *drawing {
	d := &drawing{random: rand.New(rand.NewPCG(c.Seed, stream)), wallets: c.Wallets, each: c.each(), share: c.WithdrawShare}
	d.withdraw = maxAmount
	if c.WithdrawShare > 0 {
		d.withdraw = max(1, int64(maxAmount*(1-c.WithdrawShare)/c.WithdrawShare))
	}
	if c.Zipf > 0 {
		d.zipf = rand.NewZipf(d.random, c.Zipf, 1, uint64(c.Wallets-1))
	}
	return d
}

// request draws the operations of one request, all of one wallet.
func (d *drawing) request() []draft {
	drafts, target := make([]draft, d.each), d.wallet()
	for i := range drafts {
		drafts[i] = d.draw(target)
	}
	return drafts
}

func (d *drawing) draw(target int32) draft {
	f := draft{target: target, opType: wallet.Deposit, amount: wallet.Amount(1 + d.random.Int64N(maxAmount))}
	if d.random.Float64() < d.share {
		f.opType, f.amount = wallet.Withdraw, wallet.Amount(1+d.random.Int64N(d.withdraw))
	}
	return f
}

func (d *drawing) wallet() int32 {
	if d.zipf != nil {
		return int32(d.zipf.Uint64())
	}
	d.next++
	return int32((d.next - 1) % d.wallets)
}
