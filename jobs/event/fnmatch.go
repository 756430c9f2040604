package event

import "strings"

// FnMatch tells whether s fits the shell pattern, as fnmatch(3) with no flags in
// the C locale: '*' and '?' also match '/' and a leading '.', a backslash takes
// the next character as it is, and brackets hold characters, ranges and classes
// such as [[:digit:]], negated by '!' or '^'. It takes time in proportion to the
// product of both lengths at most.
func FnMatch(pattern, s string) bool {
	if !strings.ContainsAny(pattern, `*?[\`) {
		return pattern == s
	}
	// After a star the rest of the pattern is tried at every place of s in turn.
	// Only the last star needs to be tried again: what an earlier one could take
	// more, the last one can take as well.
	p, i := 0, 0
	star, from := -1, 0
	for {
		if p < len(pattern) && pattern[p] == '*' {
			p++
			star, from = p, i
			continue
		}
		if p == len(pattern) && i == len(s) {
			return true
		}
		if p < len(pattern) && i < len(s) {
			if n, ok := matchOne(pattern[p:], s[i]); ok {
				p, i = p+n, i+1
				continue
			}
		}
		if star < 0 || from == len(s) {
			return false
		}
		from++
		p, i = star, from
	}
}

// matchOne matches c with the single-character pattern that p begins with, and
// returns how long that is.
func matchOne(p string, c byte) (n int, ok bool) {
	switch p[0] {
	case '?':
		return 1, true
	case '\\':
		// A backslash at the end matches nothing.
		return 2, len(p) > 1 && p[1] == c
	case '[':
		if n, ok := matchBracket(p, c); n > 0 {
			return n, ok
		}
	}
	return 1, p[0] == c
}

// matchBracket matches c with the bracket expression that p begins with; n is 0
// when it has no end, and the bracket is then a character like any other.
func matchBracket(p string, c byte) (n int, ok bool) {
	i := 1
	negate := i < len(p) && (p[i] == '!' || p[i] == '^')
	if negate {
		i++
	}
	found := false
	for first := true; ; first = false {
		if i >= len(p) {
			return 0, false
		}
		if p[i] == ']' && !first {
			return i + 1, found != negate
		}
		if strings.HasPrefix(p[i:], "[:") {
			if end := strings.Index(p[i+2:], ":]"); end >= 0 {
				found = found || inClass(p[i+2:i+2+end], c)
				i += end + 4
				continue
			}
		}
		lo, n := element(p[i:])
		if n == 0 {
			return 0, false
		}
		i += n
		hi := lo
		if i+1 < len(p) && p[i] == '-' && p[i+1] != ']' {
			if hi, n = element(p[i+1:]); n == 0 {
				return 0, false
			}
			i += 1 + n
		}
		found = found || lo <= c && c <= hi
	}
}

// element reads one end of a range: a character, an escaped one, or [.x.] or [=x=]
// of a single character. Its length n is 0 when p ends too early.
func element(p string) (c byte, n int) {
	if p[0] == '\\' {
		if len(p) < 2 {
			return 0, 0
		}
		return p[1], 2
	}
	if len(p) >= 5 && p[0] == '[' && (p[1] == '.' || p[1] == '=') && p[3] == p[1] && p[4] == ']' {
		return p[2], 5
	}
	return p[0], 1
}

// inClass tells whether c is in the named character class of the C locale.
func inClass(name string, c byte) bool {
	upper, lower := 'A' <= c && c <= 'Z', 'a' <= c && c <= 'z'
	digit, graph := '0' <= c && c <= '9', '!' <= c && c <= '~'
	alpha := upper || lower
	switch name {
	case "alnum":
		return alpha || digit
	case "alpha":
		return alpha
	case "blank":
		return c == ' ' || c == '\t'
	case "cntrl":
		return c < ' ' || c == 0x7f
	case "digit":
		return digit
	case "graph":
		return graph
	case "lower":
		return lower
	case "print":
		return graph || c == ' '
	case "punct":
		return graph && !alpha && !digit
	case "space":
		return c == ' ' || '\t' <= c && c <= '\r'
	case "upper":
		return upper
	case "xdigit":
		return digit || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
	}
	return false
}
