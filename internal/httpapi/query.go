package httpapi

import (
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/wallet"
)

// query reads the parameters of a request and collects their faults.
type query struct {
	request *http.Request
	values  url.Values
	faults  []wallet.FieldError
}

// parseQuery reads the query, which may have the known parameters, each once.
func parseQuery(r *http.Request, known ...string) *query {
	q := &query{request: r}
	if r.URL.RawQuery == "" {
		return q
	}
	var err error
	if q.values, err = url.ParseQuery(r.URL.RawQuery); err != nil {
		q.add("query", "is malformed")
	}
	for _, name := range slices.Sorted(maps.Keys(q.values)) {
		switch {
		case len(q.faults) >= maxFaults:
			return q
		case !slices.Contains(known, name):
			q.add(shorten(name), "is unknown")
		case len(q.values[name]) > 1:
			q.add(name, "must be given once")
		}
	}
	return q
}

func (q *query) add(field, detail string) {
	q.faults = append(q.faults, wallet.FieldError{Field: field, Detail: detail})
}

// err returns the error of all faults, nil if there are none.
func (q *query) err() error {
	if len(q.faults) == 0 {
		return nil
	}
	return invalid(q.faults)
}

// value returns a parameter; given is false if it is absent, or given twice,
// which is a fault already.
func (q *query) value(name string) (value string, given bool) {
	if v := q.values[name]; len(v) == 1 {
		return v[0], true
	}
	return "", false
}

// parsed reads a parameter; what is absent is parsed as "".
func parsed[T any](q *query, name, rule string, parse func(text string) (T, bool)) T {
	text, given := q.value(name)
	v, ok := parse(text)
	if given && !ok {
		q.add(name, rule)
	}
	return v
}

// parseSequence reads a number from 0.
func parseSequence(text string) (int64, bool) { return parseDigits(text, 63) }

// rfc3339 is what time.Parse does not see to: it takes T9:00, a comma and +24:00.
var rfc3339 = regexp.MustCompile(`^[0-9-]{10}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$`)

// moment reads an RFC 3339 time.
func (q *query) moment(name string) time.Time {
	text, given := q.value(name)
	if !given {
		return time.Time{}
	}
	text = strings.ToUpper(text)
	t, err := time.Parse(time.RFC3339, text)
	switch {
	case err == nil && rfc3339.MatchString(text):
		if t.IsZero() { // given, and the zero time says that it is not
			t = t.Add(time.Nanosecond)
		}
	case strings.Contains(text, " "):
		q.add(name, "must be an RFC 3339 time; a + is written %2B")
	default:
		q.add(name, "must be an RFC 3339 time")
	}
	return t
}

// pathID reads an id from the path.
func (q *query) pathID(name string) uuid.UUID {
	id, ok := wallet.ParseID(q.request.PathValue(name))
	if !ok {
		q.add(name, idRule)
	}
	return id
}

// parseDigits reads a number of plain digits, without sign, that fits in bits.
func parseDigits(s string, bits int) (int64, bool) {
	n, err := strconv.ParseUint(s, 10, bits)
	return int64(n), err == nil //nolint:gosec // at most 63 bits
}
