package httpapi

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"
)

// contract holds answers against openapi.yaml.
type contract struct {
	doc    *openapi3.T
	router routers.Router
}

var loadContract = sync.OnceValues(func() (*contract, error) {
	doc, err := openapi3.NewLoader().LoadFromData(description)
	if err != nil {
		return nil, err
	}
	router, err := legacy.NewRouter(doc) // validates the description and its examples
	return &contract{doc, router}, err
})

func newContract(t testing.TB) *contract {
	t.Helper()
	c, err := loadContract()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// ours are the headers that an answer may have only if they are described.
var ours = []string{
	"Location", "ETag", "Idempotency-Replayed", "Preference-Applied", "Retry-After", "Deprecation",
}

// check fails the test if the answer to a described request is not as described.
func (c *contract) check(t testing.TB, req *http.Request, resp *http.Response, body []byte) {
	t.Helper()
	asked := req.Clone(context.Background())
	asked.URL.Scheme, asked.URL.Host, asked.Host = "", "", ""
	if asked.Method != http.MethodGet && asked.Method != http.MethodPost {
		return
	}
	route, path, err := c.router.FindRoute(asked)
	if err != nil {
		return // not described: other methods and paths have tests of their own
	}
	input := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: asked, PathParams: path, Route: route},
		Status:                 resp.StatusCode,
		Header:                 resp.Header,
		Body:                   io.NopCloser(bytes.NewReader(body)),
		Options:                &openapi3filter.Options{IncludeResponseStatus: true},
	}
	if err := openapi3filter.ValidateResponse(context.Background(), input); err != nil {
		t.Errorf("%s %s: the answer is not as described: %v", req.Method, req.URL.Path, err)
		return
	}
	described := route.Operation.Responses.Status(resp.StatusCode).Value.Headers
	for _, name := range ours {
		if _, known := described[name]; !known && resp.Header.Get(name) != "" {
			t.Errorf("%s %s: %d has a header %s that is not described", req.Method, req.URL.Path, resp.StatusCode, name)
		}
	}
}

func TestEveryDescribedRequestIsRouted(t *testing.T) {
	r := newRig(t)
	for path, item := range r.contract.doc.Paths.Map() {
		path = strings.NewReplacer("{walletId}", aliceText, "{operationId}", opText).Replace(path)
		for method := range item.Operations() {
			a := r.do(method, path, operationJSON("DEPOSIT", "1"), "Content-Type: application/json")
			if a.StatusCode == http.StatusMethodNotAllowed || bytes.Contains(a.body, []byte(`"not_found"`)) {
				t.Errorf("%s %s: %d", method, path, a.StatusCode)
			}
		}
	}
}

func TestEveryCodeIsDescribed(t *testing.T) {
	var described []string
	for _, v := range newContract(t).doc.Components.Schemas["ProblemCode"].Value.Enum {
		described = append(described, v.(string))
	}
	var known []string
	for code := range problemKinds {
		known = append(known, string(code))
	}
	slices.Sort(described)
	slices.Sort(known)
	if !slices.Equal(described, known) {
		t.Errorf("described %q, in the table %q", described, known)
	}
}

// The description may name a parameter only if the server takes it, and the
// server takes no other.
func TestDescribedQueryParametersAreTaken(t *testing.T) {
	r := newRig(t)
	values := map[string]string{
		"minSequence": "0", "limit": "3", "cursor": "djIuMC4yLjVhNjk3ODg3", "status": "APPLIED", "operationType": "DEPOSIT",
		"from": "2026-05-04T00:00:00Z", "to": "2026-05-05T00:00:00Z", "journal": "7-1204",
	}
	for path, item := range r.contract.doc.Paths.Map() {
		if item.Get == nil || !strings.Contains(path, "{walletId}") {
			continue
		}
		path = strings.NewReplacer("{walletId}", aliceText, "{operationId}", opText).Replace(path)
		for name, value := range values {
			described := item.Get.Parameters.GetByInAndName("query", name) != nil
			if refused := r.get(path+"?"+name+"="+value).StatusCode == http.StatusBadRequest; refused == described {
				t.Errorf("%s: %s is described: %v, refused: %v", path, name, described, refused)
			}
		}
	}
}
