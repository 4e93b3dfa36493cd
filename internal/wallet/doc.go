// Package wallet is the domain: wallets, the operations that move money in and
// out of them, the journal records that carry operations, and the batches that
// the ledger commits. It is pure: no I/O, no clock but in a new id, nothing
// but the standard library and a UUID type. One function, Apply, changes money.
package wallet
