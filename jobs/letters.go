package jobs

// Upper returns s with ASCII letters in capitals, as names of signals and variables
// have them. The tables of all other letters weigh 10,000 bytes.
//
//go:noinline
func Upper(s string) string { return changed(s, 'a', 'z') }

// Lower returns s with ASCII letters in lower case.
//
//go:noinline
func Lower(s string) string { return changed(s, 'A', 'Z') }

// changed returns s with the letters from first to last in the other case.
func changed(s string, first, last byte) string {
	b := []byte(s)
	for i, c := range b {
		if first <= c && c <= last {
			b[i] = c ^ 0x20
		}
	}
	return string(b)
}

// Fill returns n times the byte c, for columns; none when n is negative.
//
//go:noinline
func Fill(c byte, n int) string {
	var b []byte
	for range n {
		b = append(b, c)
	}
	return string(b)
}
