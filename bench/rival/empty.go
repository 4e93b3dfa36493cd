package rival

import (
	"io"
	"net/http"

	"github.com/walletd/walletd/internal/httpapi"
)

// The empty handler's answers are as long as walletd's.
const (
	emptyWallet  = `{"walletId":"552987c2-b275-526e-b532-fd420f89a5fb","balance":0,"sequence":0,"updatedAt":"2026-11-23T12:54:53.819635Z"}`
	emptyOutcome = `{"operation":{"operationId":"be03eacc-0f83-57e2-bbd4-a325afdd69c1","walletId":"552987c2-b275-526e-b532-fd420f89a5fb",` +
		`"operationType":"DEPOSIT","amount":1000,"status":"APPLIED","balanceAfter":1000,"sequence":1,"origin":"journal",` +
		`"acceptedAt":"2026-11-23T12:54:53.851472Z","appliedAt":"2026-11-23T12:54:53.854791Z","partition":4,"offset":0},"balance":1000,"sequence":1}`
	emptyLocation = "/api/v1/wallets/552987c2-b275-526e-b532-fd420f89a5fb/operations/be03eacc-0f83-57e2-bbd4-a325afdd69c1?journal=4-0"
)

// empty reads each body and answers a constant.
func empty() map[string]http.HandlerFunc {
	return map[string]http.HandlerFunc{
		"POST /api/v1/wallet/create":     constant(http.StatusCreated, emptyWallet),
		"POST /api/v1/wallet":            constant(http.StatusOK, emptyOutcome),
		"GET /api/v1/wallets/{walletId}": constant(http.StatusOK, emptyWallet),
	}
}

func constant(status int, body string) http.HandlerFunc {
	answer := []byte(body)
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if r.Method == http.MethodPost {
			httpapi.Keep(r) // as walletd does: its client is not watched either
		}
		w.Header()["Content-Type"] = []string{"application/json"}
		w.Header()["Location"] = []string{emptyLocation}
		w.WriteHeader(status)
		_, _ = w.Write(answer)
	}
}
