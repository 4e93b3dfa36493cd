package load

import "github.com/walletd/walletd/internal/wallet"

// wireReason is a FAILED operation's reason, read from its name. A name that is
// not known is NoReason, which no FAILED operation may have.
type wireReason wallet.Reason

// UnmarshalText reads the name.
func (r *wireReason) UnmarshalText(name []byte) error {
	*r = wireReason(wallet.NoReason)
	for _, known := range []wallet.Reason{wallet.InsufficientFunds, wallet.BalanceOverflow, wallet.WalletMissing} {
		if known.String() == string(name) {
			*r = wireReason(known)
		}
	}
	return nil
}
