package console

import (
	"bytes"
	"time"
	"unicode/utf8"

	"tend/jobs"
	"tend/jobs/jsonl"
)

const (
	// maxLine is the length beyond which a line is split.
	maxLine = 16 << 10
	// maxPad is the width to which names are padded at most.
	maxPad = 16
	// maxLabel bounds what stands in front of each line; no job name is as long,
	// but the value of an instance stanza may be.
	maxLabel = 255
)

// label returns what stands in front of a job's lines.
func label(k jobKey) string {
	name := k.job
	if k.instance != "" {
		name += "/" + k.instance
	}
	b := appendClean(nil, name)
	if len(b) > maxLabel {
		b = b[:wholeRunes(b[:maxLabel])]
	}
	if string(b) == name {
		return name // which is kept already
	}
	return string(b)
}

const spaces = "                " // maxPad of them

// appendPrefix appends "LABEL | " padded to width.
func appendPrefix(b []byte, label string, width int) []byte {
	b = append(b, label...)
	if n := width - utf8.RuneCountInString(label); n > 0 {
		b = append(b, spaces[:n]...)
	}
	return append(b, " | "...)
}

// appendClean appends s with control characters and bytes that are no UTF-8 as
// escapes, so that it stays on its line and cannot steer a terminal.
func appendClean(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c < 0x7f {
			b = append(b, c)
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case c == '\n':
			b = append(b, `\n`...)
		case c == '\t':
			b = append(b, `\t`...)
		case n > 1 && r >= 0xa0 && r != '\u2028' && r != '\u2029':
			b = append(b, s[i:i+n]...)
		default:
			for _, c := range []byte(s[i : i+n]) {
				b = append(b, '\\', 'x', hex[c>>4], hex[c&15])
			}
		}
		i += n
	}
	return b
}

// piece cuts the next line, or part of a longer one, from data: its text, the number
// of bytes that it takes up, and whether the line goes on after it. n is 0 when only
// the start of a line is there, unless final asks for that too.
func piece(data []byte, final bool) (text []byte, n int, more bool) {
	window := data
	if len(window) > maxLine+1 {
		window = window[:maxLine+1]
	}
	if i := bytes.IndexByte(window, '\n'); i >= 0 {
		return window[:i], i + 1, false
	}
	if len(window) > maxLine {
		n = wholeRunes(window[:maxLine])
		return window[:n], n, true
	}
	if final {
		return window, len(window), false
	}
	return nil, 0, false
}

// wholeRunes returns the length of b without the start of a character that b cuts.
func wholeRunes(b []byte) int {
	for i := len(b) - 1; i >= 0 && i >= len(b)-utf8.UTFMax; i-- {
		if utf8.RuneStart(b[i]) {
			if !utf8.FullRune(b[i:]) {
				return i
			}
			break
		}
	}
	return len(b)
}

// timeDigits is how exact the times are in the JSON lines: microseconds.
const timeDigits = 6

// appendJSONHead appends a line's JSON up to its text.
func appendJSONHead(b []byte, k jobKey, process jobs.Process, stream uint8, now time.Time) []byte {
	b = append(b, `{"time":"`...)
	b = jsonl.AppendTime(b, now, timeDigits)
	b = append(b, `","job":"`...)
	b = jsonl.AppendText(b, clipped(k.job))
	if k.instance != "" {
		b = append(b, `","instance":"`...)
		b = jsonl.AppendText(b, clipped(k.instance))
	}
	b = append(b, `","process":"`...)
	b = append(b, process.String()...)
	b = append(b, `","stream":"`...)
	b = append(b, streamNames[stream]...)
	return append(b, `","msg":"`...)
}

func clipped(s string) []byte {
	if len(s) > maxLabel {
		s = s[:maxLabel]
	}
	return []byte(s)
}

const (
	jsonTail = "\"}\n"
	// jsonMore ends a part of a split line that is not its last.
	jsonMore = "\",\"more\":true}\n"
)
