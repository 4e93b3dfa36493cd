package wallet

import "github.com/google/uuid"

// Key names an operation: its id is unique within its wallet.
type Key struct{ WalletID, ID uuid.UUID }

// Key returns the operation's key.
func (o Operation) Key() Key { return Key{o.WalletID, o.ID} }

// IsCreation reports whether k names the creation of its wallet.
func (k Key) IsCreation() bool { return k.ID == k.WalletID }

// Placed is an operation, or a creation under its wallet's id, with the place of its record.
type Placed struct {
	Key
	Receipt Receipt
}
