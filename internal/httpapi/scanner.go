package httpapi

import (
	"bytes"
	"encoding/json"
	"strings"
)

// maxNesting bounds the depth of a body. What we read has depth one; the rest is
// only looked through to report it.
const maxNesting = 16

// scanner reads a JSON text (RFC 8259) in place. Its methods return false once
// the text is malformed; what and where is then in malformed and at.
type scanner struct {
	text      []byte
	at        int
	malformed string
}

func (s *scanner) fail(what string) bool {
	s.malformed = what
	if s.at >= len(s.text) {
		s.malformed = "unexpected end"
	}
	return false
}

// peek returns the next byte, 0 at the end. A byte 0 in the text is no JSON either.
func (s *scanner) peek() byte {
	if s.at < len(s.text) {
		return s.text[s.at]
	}
	return 0
}

// space passes white space and returns the byte after it.
func (s *scanner) space() byte {
	for ; s.at < len(s.text); s.at++ {
		switch c := s.text[s.at]; c {
		case ' ', '\t', '\n', '\r':
		default:
			return c
		}
	}
	return 0
}

// name reads a member's name and the colon and space after it.
func (s *scanner) name() ([]byte, bool) {
	if s.peek() != '"' {
		return nil, s.fail("expected a member name")
	}
	name, ok := s.string()
	if !ok {
		return nil, false
	}
	if s.space() != ':' {
		return nil, s.fail("expected a colon")
	}
	s.at++
	s.space()
	return name, true
}

// string reads a string. The value is a part of the text unless it has escapes.
func (s *scanner) string() ([]byte, bool) {
	start, escaped := s.at, false
	for s.at++; s.at < len(s.text); s.at++ {
		switch c := s.text[s.at]; {
		case c == '"':
			s.at++
			if escaped {
				return unescape(s.text[start:s.at]), true
			}
			return s.text[start+1 : s.at-1], true
		case c == '\\':
			escaped = true
			if !s.escape() {
				return nil, false
			}
		case c < ' ':
			return nil, s.fail("control character in a string")
		}
	}
	return nil, s.fail("")
}

// escape checks an escape sequence and stops at its last byte.
func (s *scanner) escape() bool {
	s.at++
	c := s.peek()
	if c != 'u' {
		return c != 0 && strings.IndexByte(`"\/bfnrt`, c) >= 0 || s.fail("invalid escape")
	}
	for range 4 {
		s.at++
		if !isHex(s.peek()) {
			return s.fail("invalid escape")
		}
	}
	return true
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

// unescape returns the value of a string that was scanned, so it cannot fail.
func unescape(quoted []byte) []byte {
	var v string
	_ = json.Unmarshal(quoted, &v)
	return []byte(v)
}

// number reads what looks like a number, also one that JSON does not allow (01,
// +1, 1.): whoever wanted a number can name it better than "malformed".
func (s *scanner) number() []byte {
	start := s.at
	for isNumeric(s.peek()) || s.peek() == 'e' || s.peek() == 'E' {
		s.at++
	}
	return s.text[start:s.at]
}

func isNumeric(c byte) bool {
	return '0' <= c && c <= '9' || c == '-' || c == '+' || c == '.'
}

// skip passes any value; depth is how deep it is nested.
func (s *scanner) skip(depth int) bool {
	switch c := s.peek(); {
	case depth > maxNesting:
		return s.fail("nested too deep")
	case c == '"':
		_, ok := s.string()
		return ok
	case c == '{', c == '[':
		return s.skipNested(c == '{', depth)
	case isNumeric(c):
		s.number()
		return true
	}
	for _, word := range [...]string{"true", "false", "null"} {
		if bytes.HasPrefix(s.text[s.at:], []byte(word)) {
			s.at += len(word)
			return true
		}
	}
	return s.fail("expected a value")
}

func (s *scanner) skipNested(object bool, depth int) bool {
	closing := byte(']')
	if object {
		closing = '}'
	}
	s.at++
	if s.space() == closing {
		s.at++
		return true
	}
	for {
		if object {
			if _, ok := s.name(); !ok {
				return false
			}
		}
		if !s.skip(depth + 1) {
			return false
		}
		if more, ok := s.next(closing); !more {
			return ok
		}
	}
}

// next passes the comma before another member or element, or the closing bracket.
func (s *scanner) next(closing byte) (more, ok bool) {
	switch s.space() {
	case ',':
		s.at++
		s.space()
		return true, true
	case closing:
		s.at++
		return false, true
	}
	return false, s.fail("expected a comma or " + string(closing))
}
