package conf

import "tend/jobs/event"

// expression reads what stands behind "start on" and "stop on". It ends with the
// line, but for the lines inside of parentheses.
func (f *file) expression() *event.Operator {
	if f.wrong {
		return nil
	}
	if f.atEnd() {
		f.missing("Expected token")
		return nil
	}
	var b event.Builder
	for !f.wrong {
		if b.Depth() > 0 {
			f.skipLines()
		}
		if f.atEnd() || f.wrong {
			break
		}
		f.element(&b)
	}
	if f.wrong {
		return nil
	}
	tree, err := b.Finish()
	if err != nil {
		f.unfinished(&b, f.pos, 0, err)
		return nil
	}
	if op := b.Mixed(); op != nil {
		msg := "and and or are mixed without parentheses; both bind alike, from left to right"
		const long = 200 // longer ones show nothing to the eye
		if text := tree.String(); len(text) <= long {
			msg += ": " + text
		}
		f.warn(pos{off: op.Col - 1, line: op.Line}, len(op.Kind.String()), msg)
	}
	f.nextLine()
	return tree
}

// element reads a word or a parenthesis.
func (f *file) element(b *event.Builder) {
	at, width := f.pos, 1
	var err error
	switch {
	case f.src[f.off] == '(':
		f.off++
		f.skipSpace()
		err = b.Open(at.line, at.column())
	case f.src[f.off] == ')':
		f.off++
		f.skipSpace()
		err = b.Close()
	default:
		t := f.next(endOfTerm, true)
		if !f.wrong && len(t.text) == 0 {
			f.fail(t, "Expected token")
		}
		if f.wrong {
			return
		}
		width = t.width
		err = b.Word(f.word(t.text), t.plain, at.line, at.column())
	}
	if err != nil {
		f.unfinished(b, at, width, err)
	}
}

// unfinished notes that the expression is wrong at the word of this width.
func (f *file) unfinished(b *event.Builder, at pos, width int, err error) {
	msg := err.Error()
	switch {
	case b.Depth() > 0:
		line, col := b.Opened()
		msg += "; parenthesis opened at " + f.place(pos{off: col - 1, line: line})
		f.after = atNextStanza
	case err == event.ErrExpectedEvent && width == 0:
		msg += " (the line ends here; in parentheses the expression may go on in the next one)"
	}
	f.fail(token{at: at, width: width}, msg)
}

// skipLines skips what may stand between the words inside of parentheses: the ends
// of lines, comments, and lines that hold nothing else.
func (f *file) skipLines() {
	f.skipSpace()
	for lines := 0; f.is(endOfLine); lines++ {
		if f.Upstart && lines > 0 {
			f.missing("Expected token")
			f.after = atNextStanza
			return
		}
		f.nextLine()
		f.skipSpace()
	}
}
