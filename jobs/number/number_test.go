package number

import (
	"strconv"
	"strings"
	"testing"
)

var seeds = []string{
	"", "0", "7", "007", "-1", "+1", "-", "+", "--1", "1-", " 1", "1 ", "1_0", "0x1f", "1e3", "1.0", "ff", "FF", "fg", "٣",
	"255", "256", "4294967295", "4294967296", "2147483647", "2147483648", "-2147483648", "-2147483649",
	"9223372036854775807", "9223372036854775808", "-9223372036854775808", "-9223372036854775809",
	"18446744073709551615", "18446744073709551616", "99999999999999999999", "ffffffffffffffff", "10000000000000000",
}

func check(t *testing.T, s string) {
	t.Helper()
	for _, base := range []int{2, 8, 10, 16} {
		for _, bits := range []int{8, 16, 20, 32, 64} {
			got, err := Uint(s, base, bits)
			want, wantErr := strconv.ParseUint(s, base, bits)
			if (err == nil) != (wantErr == nil) || err == nil && got != want {
				t.Errorf("Uint(%q, %d, %d) = %d, %v; strconv says %d, %v", s, base, bits, got, err, want, wantErr)
			}
		}
	}
	got, err := Int(s)
	want, wantErr := strconv.Atoi(s)
	if (err == nil) != (wantErr == nil) || err == nil && got != want {
		t.Errorf("Int(%q) = %d, %v; strconv says %d, %v", s, got, err, want, wantErr)
	}
}

func TestAgainstStrconv(t *testing.T) {
	for _, s := range seeds {
		check(t, s)
		check(t, strings.ToUpper(s))
	}
	for n := -300; n < 70_000; n++ {
		check(t, strconv.Itoa(n))
	}
}

func FuzzAgainstStrconv(f *testing.F) {
	for _, s := range seeds {
		f.Add(s)
	}
	f.Fuzz(check)
}
