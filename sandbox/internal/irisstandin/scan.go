package irisstandin

import "strings"

// scanner reads a line of ObjectScript.
type scanner struct {
	text string
	at   int
}

func (s *scanner) peek() byte {
	if s.at < len(s.text) {
		return s.text[s.at]
	}
	return 0
}

func (s *scanner) accept(text string) bool {
	if len(s.text)-s.at >= len(text) && strings.EqualFold(s.text[s.at:s.at+len(text)], text) {
		s.at += len(text)
		return true
	}
	return false
}

func (s *scanner) spaces() {
	for s.peek() == ' ' || s.peek() == '\t' {
		s.at++
	}
}

func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }
func isDigit(c byte) bool  { return c >= '0' && c <= '9' }

// name reads a name that may have dots in it, as those of globals and classes.
func (s *scanner) name() string {
	start := s.at
	if s.peek() == '%' {
		s.at++
	}
	for isLetter(s.peek()) || isDigit(s.peek()) || s.peek() == '.' {
		s.at++
	}
	for s.at > start && s.text[s.at-1] == '.' {
		s.at--
	}
	return s.text[start:s.at]
}

func (s *scanner) number() string {
	start := s.at
	for isDigit(s.peek()) || s.peek() == '.' {
		s.at++
	}
	return formatNumber(toNumber(s.text[start:s.at]))
}

func (s *scanner) quoted() (string, bool) {
	var text strings.Builder
	for s.at++; s.at < len(s.text); s.at++ {
		if s.peek() != '"' {
			text.WriteByte(s.peek())
			continue
		}
		if s.at++; s.peek() != '"' {
			return text.String(), true
		}
		text.WriteByte('"')
	}
	return "", false
}
