// Package number reads integers as package strconv does.
//
// The errors of that quote what they are about, and with them come tables of all
// characters that can be printed: 14,000 bytes of the program.
package number

import (
	"errors"
	"strconv"
)

// errInvalid is for all that is no number, or is out of range.
var errInvalid = errors.New("not a number in range")

// Uint reads digits of a base up to 16 as a number of at most so many bits.
func Uint(s string, base, bits int) (uint64, error) {
	if s == "" {
		return 0, errInvalid
	}
	greatest := ^uint64(0) >> (64 - bits)
	n := uint64(0)
	for _, c := range []byte(s) {
		d := 16
		switch {
		case '0' <= c && c <= '9':
			d = int(c - '0')
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			d = int(c|0x20-'a') + 10
		}
		if d >= base || n > (greatest-uint64(d))/uint64(base) {
			return 0, errInvalid
		}
		n = n*uint64(base) + uint64(d)
	}
	return n, nil
}

// Int reads a decimal number, which may have a sign.
func Int(s string) (int, error) {
	digits, negative := s, false
	if s != "" && (s[0] == '-' || s[0] == '+') {
		digits, negative = s[1:], s[0] == '-'
	}
	n, err := Uint(digits, 10, strconv.IntSize)
	switch {
	case err != nil:
	case negative && n <= 1<<(strconv.IntSize-1):
		return int(-n), nil
	case !negative && n < 1<<(strconv.IntSize-1):
		return int(n), nil
	}
	return 0, errInvalid
}
