// Package rival has what walletd is measured against: the empty handler, which is
// the most that its HTTP stack can answer; its own API around wallets in memory; and
// the two ways in which services usually keep a balance, each as small and as honest
// as it can be: with a history row for every operation, a sequence, and idempotency
// keys.
package rival

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/walletd/walletd/internal/httpapi"
	"github.com/walletd/walletd/internal/wallet"
)

// Schema is what the rivals keep; the columns are named as in walletd's ledger, so
// that one query checks them all.
const Schema = `
CREATE TABLE wallets (
	id uuid PRIMARY KEY, balance bigint NOT NULL CHECK (balance >= 0), version bigint NOT NULL,
	refused boolean NOT NULL DEFAULT false) WITH (fillfactor = 70);
CREATE TABLE operations (
	wallet_id uuid NOT NULL, operation_id uuid NOT NULL, sequence bigint NOT NULL, type smallint NOT NULL, amount bigint NOT NULL,
	status smallint NOT NULL, balance_after bigint NOT NULL, applied_at timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (wallet_id, operation_id));
CREATE UNIQUE INDEX operations_sequence ON operations (wallet_id, sequence);`

// done is what became of an operation.
type done struct {
	Sequence int64
	Balance  int64
	Failed   bool
}

// errUnknownWallet is answered with 404.
var errUnknownWallet = errors.New("no such wallet")

// applier applies one operation in its own way.
type applier interface {
	apply(ctx context.Context, op wallet.Operation) (done, error)
}

// Handler returns the rival of that name: empty, memory, row-lock or atomic. The first
// two do not use the pool.
func Handler(name string, pool *pgxpool.Pool) (http.Handler, error) {
	r := &rival{pool: pool}
	handlers := map[string]http.HandlerFunc{"POST /api/v1/wallet/create": r.create, "POST /api/v1/wallet": r.submit}
	switch name {
	case "empty":
		handlers = empty()
	case "memory":
		return newMemory()
	case "row-lock":
		r.applier = rowLock{pool}
	case "atomic":
		r.applier = atomic{pool}
	default:
		return nil, errors.New("no such rival: " + name)
	}
	return httpapi.Stack(prometheus.NewRegistry(), handlers)
}

type rival struct {
	applier
	pool *pgxpool.Pool
}

// requestTimeout bounds a request, above the loader's own.
const requestTimeout = time.Minute

func (v *rival) create(w http.ResponseWriter, r *http.Request) {
	id := uuid.New()
	if _, err := v.pool.Exec(r.Context(), `INSERT INTO wallets (id, balance, version) VALUES ($1, 0, 0)`, id); err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	answer(w, http.StatusCreated, map[string]any{"walletId": id, "balance": 0, "sequence": 0})
}

func (v *rival) submit(w http.ResponseWriter, r *http.Request) {
	op, err := read(w, r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), requestTimeout)
	defer cancel()
	d, err := v.apply(ctx, op)
	switch {
	case errors.Is(err, errUnknownWallet):
		http.Error(w, err.Error(), http.StatusNotFound)
	case err != nil:
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
	case d.Failed:
		answer(w, http.StatusUnprocessableEntity, outcome(op, d))
	default:
		answer(w, http.StatusOK, outcome(op, d))
	}
}

// What is read of a body, and of a bulk, as walletd does unless configured otherwise.
const (
	maxBodyBytes = 16 << 10
	maxBulkBytes = 1 << 20
)

// read reads the request as walletd's contract has it.
func read(w http.ResponseWriter, r *http.Request) (wallet.Operation, error) {
	var body struct {
		WalletID      uuid.UUID
		OperationType string
		Amount        wallet.Amount
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBodyBytes)).Decode(&body); err != nil {
		return wallet.Operation{}, err
	}
	httpapi.Keep(r) // as walletd does: its client is not watched either
	kind, ok := wallet.ParseType(body.OperationType)
	if !ok || !body.Amount.Valid() {
		return wallet.Operation{}, errors.New("operationType or amount is not valid")
	}
	id := wallet.OperationID(body.WalletID, r.Header.Get("Idempotency-Key"))
	return wallet.Operation{ID: id, WalletID: body.WalletID, Type: kind, Amount: body.Amount}, nil
}

func outcome(op wallet.Operation, d done) any {
	status := wallet.Applied
	if d.Failed {
		status = wallet.Failed
	}
	return map[string]any{"balance": d.Balance, "sequence": d.Sequence, "operation": map[string]any{
		"operationId": op.ID, "walletId": op.WalletID, "operationType": op.Type.String(), "amount": op.Amount,
		"status": status.String(), "sequence": d.Sequence, "balanceAfter": d.Balance}}
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the loader counts what it did not get
}
