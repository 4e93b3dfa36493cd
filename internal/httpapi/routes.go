package httpapi

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/walletd/walletd/internal/httpapi/api"
	"github.com/walletd/walletd/internal/wallet"
)

// unmatched is the route that metrics show for a path that nobody knows.
const unmatched = "unmatched"

// described is a router that only notes the patterns which the generated code
// registers, so that the route table is openapi.yaml's.
type described struct{ patterns []string }

func (d *described) HandleFunc(pattern string, _ func(http.ResponseWriter, *http.Request)) {
	d.patterns = append(d.patterns, pattern)
}

func (d *described) ServeHTTP(http.ResponseWriter, *http.Request) {}

// handlers answers the described requests. The generated wrapper, which would
// bind parameters first, is left out: it stops at the first fault, takes UUIDs
// that are not in canonical form and overlooks unknown parameters. So each method
// reads its parameters from the request, and those of its signature are unused.
func (s *server) handlers() map[string]http.HandlerFunc {
	var id api.ID
	return map[string]http.HandlerFunc{
		"POST /api/v1/wallet/create": func(w http.ResponseWriter, r *http.Request) {
			s.CreateWallet(w, r, api.CreateWalletParams{})
		},
		"POST /api/v1/wallet": func(w http.ResponseWriter, r *http.Request) {
			s.SubmitOperation(w, r, api.SubmitOperationParams{})
		},
		"GET /api/v1/wallets/{walletId}": func(w http.ResponseWriter, r *http.Request) {
			s.GetWallet(w, r, id, api.GetWalletParams{})
		},
		"POST /api/v1/wallets/{walletId}/operations": func(w http.ResponseWriter, r *http.Request) {
			s.SubmitOperations(w, r, id, api.SubmitOperationsParams{})
		},
		"GET /api/v1/wallets/{walletId}/operations": func(w http.ResponseWriter, r *http.Request) {
			s.ListOperations(w, r, id, api.ListOperationsParams{})
		},
		"GET /api/v1/wallets/{walletId}/operations/{operationId}": func(w http.ResponseWriter, r *http.Request) {
			s.GetOperation(w, r, id, id, api.GetOperationParams{})
		},
		"GET /livez":  s.GetLiveness,
		"GET /readyz": s.GetReadiness,
	}
}

// routed returns the route table: what is described, the description itself, and
// problems for other methods and other paths.
func (s *server) routed() (http.Handler, error) {
	table, d := s.handlers(), &described{}
	api.HandlerWithOptions(s, api.StdHTTPServerOptions{BaseRouter: d})
	for _, pattern := range d.patterns {
		if table[pattern] == nil {
			return nil, fmt.Errorf("httpapi: %s is described but has no handler", pattern)
		}
	}
	if len(d.patterns) != len(table) {
		return nil, fmt.Errorf("httpapi: %d requests are described and %d have a handler", len(d.patterns), len(table))
	}
	s.addPages(table)
	return s.router(table), nil
}

// router answers the patterns of a table, each observed.
func (s *server) router(table map[string]http.HandlerFunc) http.Handler {
	mux := http.NewServeMux()
	for pattern, handler := range table {
		method, route, _ := strings.Cut(pattern, " ")
		mux.Handle(pattern, s.observed(method, route, handler))
	}
	for route, methods := range methodsByPath(table) {
		mux.Handle(route, s.observed("", route, s.otherMethod(methods)))
	}
	return s.matched(mux)
}

// matched sends unknown paths to a problem. ServeMux would redirect a path like
// //api to its cleaned form; here such a path is simply unknown.
func (s *server) matched(mux *http.ServeMux) http.Handler {
	unknown := s.observed("", unmatched, s.unknownPath)
	mux.Handle("/", unknown)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p := r.URL.Path; p == "" || strings.Contains(p, "//") || strings.Contains(p, "/.") {
			unknown.ServeHTTP(w, r)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// methodsByPath returns the value of Allow for each path.
func methodsByPath(table map[string]http.HandlerFunc) map[string]string {
	methods := map[string][]string{}
	for pattern := range table {
		method, path, _ := strings.Cut(pattern, " ")
		methods[path] = append(methods[path], method)
		if method == http.MethodGet {
			methods[path] = append(methods[path], http.MethodHead)
		}
	}
	allow := map[string]string{}
	for path, m := range methods {
		slices.Sort(m)
		allow[path] = strings.Join(append(m, http.MethodOptions), ", ")
	}
	return allow
}

// otherMethod answers a method that a path does not have.
func (s *server) otherMethod(allow string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Allow", allow)
		if r.Method == http.MethodOptions {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		s.fail(w, r, &wallet.Error{Code: codeMethodNotAllowed, Detail: "this path answers " + allow})
	}
}

func (s *server) unknownPath(w http.ResponseWriter, r *http.Request) {
	s.fail(w, r, &wallet.Error{Code: codeNotFound, Detail: "there is nothing at this path"})
}
