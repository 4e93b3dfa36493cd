package httpapi

import (
	"strconv"
	"strings"
	"time"

	"github.com/walletd/walletd/internal/wallet"
)

// preference is what a request says about waiting (RFC 7240 §4.1, §4.3).
type preference struct {
	async   bool
	waits   bool // wait was given
	seconds int
}

// wait returns how long to wait for the outcome; respond-async alone does not wait.
func (p preference) wait(unsaid time.Duration) time.Duration {
	switch {
	case p.waits:
		return time.Duration(p.seconds) * time.Second
	case p.async:
		return 0
	}
	return unsaid
}

// applied returns the value of Preference-Applied, empty if nothing was preferred.
func (p preference) applied() string {
	var s []string
	if p.async {
		s = append(s, "respond-async")
	}
	if p.waits {
		s = append(s, "wait="+strconv.Itoa(p.seconds))
	}
	return strings.Join(s, ", ")
}

// parsePrefer reads the Prefer headers. What is unknown or malformed is ignored,
// and of a preference given twice the first counts, as RFC 7240 §2 demands.
func parsePrefer(values []string) preference {
	var p preference
	for _, v := range values {
		for rest := v; rest != ""; {
			var one string
			one, rest = cutUnquoted(rest, ',')
			p.read(one)
		}
	}
	return p
}

func (p *preference) read(one string) {
	one, _ = cutUnquoted(one, ';') // its parameters mean nothing to us
	name, value, _ := strings.Cut(one, "=")
	name, value = strings.TrimSpace(name), unquote(strings.TrimSpace(value))
	switch {
	case strings.EqualFold(name, "respond-async") && value == "":
		p.async = true
	case strings.EqualFold(name, "wait") && !p.waits:
		p.seconds, p.waits = parseWait(value)
	}
}

// parseWait reads delta-seconds; more than wallet.MaxWait is wallet.MaxWait.
func parseWait(s string) (int, bool) {
	const most = int(wallet.MaxWait / time.Second)
	n := 0
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = min(n*10+int(c-'0'), most)
	}
	return n, s != ""
}

// cutUnquoted cuts s at the first sep that is not inside a quoted-string.
func cutUnquoted(s string, sep byte) (before, after string) {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '"':
			quoted = !quoted
		case s[i] == '\\' && quoted:
			i++
		case s[i] == sep && !quoted:
			return s[:i], s[i+1:]
		}
	}
	return s, ""
}

// unquote takes a value out of its quotes; what we read has no escapes.
func unquote(s string) string {
	if len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"' {
		return s[1 : len(s)-1]
	}
	return s
}
