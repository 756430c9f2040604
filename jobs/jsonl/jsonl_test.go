package jsonl

import (
	"bytes"
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// everything has a field of each kind, for us and for encoding/json.
type everything struct {
	I  int      `json:"i"`
	J  int      `json:"j,omitempty"`
	B  bool     `json:"b"`
	C  bool     `json:"c,omitempty"`
	S  string   `json:"s"`
	T  string   `json:"t,omitempty"`
	L  []string `json:"l"`
	M  []string `json:"m,omitempty"`
	PI *int     `json:"pi,omitempty"`
	PS *string  `json:"ps,omitempty"`
	O  *inner   `json:"o,omitempty"`
	OL []inner  `json:"ol"`
	OM []inner  `json:"om,omitempty"`
}

type inner struct {
	N string      `json:"n"`
	E *everything `json:"e,omitempty"`
}

func (e *everything) Fields(c *Codec) {
	c.Int("i", &e.I)
	c.OptInt("j", &e.J)
	c.Bool("b", &e.B)
	c.OptBool("c", &e.C)
	c.String("s", &e.S)
	c.OptString("t", &e.T)
	c.Strings("l", &e.L)
	c.OptStrings("m", &e.M)
	c.PtrInt("pi", &e.PI)
	c.PtrString("ps", &e.PS)
	if c.Has("o", e.O != nil) {
		if e.O == nil {
			e.O = new(inner)
		}
		c.Object(e.O)
	}
	c.List("ol", len(e.OL), func(i int) Object { return element(&e.OL, i) })
	c.OptList("om", len(e.OM), func(i int) Object { return element(&e.OM, i) })
}

func element(list *[]inner, i int) Object {
	if i == len(*list) {
		*list = append(*list, inner{})
	}
	return &(*list)[i]
}

func (n *inner) Fields(c *Codec) {
	c.String("n", &n.N)
	if c.Has("e", n.E != nil) {
		if n.E == nil {
			n.E = new(everything)
		}
		c.Object(n.E)
	}
}

var texts = []string{"", "plain", "a\"b\\c\n\t\x00\x1f\x7f/", "caf\u00e9 \u2028 \U0001f600", "\xff\xc3 \xed\xa0\x80", "<&>"}

func examples() []*everything {
	n, zero, empty := -7, 0, ""
	all := []*everything{
		{},
		{I: 1, J: -2, B: true, C: true, S: "s", T: "t", L: []string{"a"}, M: []string{"b", ""}, PI: &n, PS: &empty},
		{PI: &zero, L: []string{}, O: &inner{}, OM: []inner{{N: "x"}, {E: &everything{S: "deep"}}}},
		{I: math.MaxInt, J: math.MinInt, OL: []inner{{}}},
	}
	for _, s := range texts {
		all = append(all, &everything{S: s, L: []string{s, s}, PS: &s})
	}
	return all
}

// same compares but for the difference between an absent and an empty list.
func same(t *testing.T, got, want any) {
	t.Helper()
	a, _ := json.Marshal(got)
	b, _ := json.Marshal(want)
	a, b = bytes.ReplaceAll(a, []byte("[]"), []byte("null")), bytes.ReplaceAll(b, []byte("[]"), []byte("null"))
	if !bytes.Equal(a, b) {
		t.Errorf("got  %s\nwant %s", a, b)
	}
}

func TestWhatWeWriteIsReadByEncodingJSON(t *testing.T) {
	for _, e := range examples() {
		line := Append(nil, e)
		var got, want everything
		if err := json.Unmarshal(line, &got); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		std, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(std, &want); err != nil {
			t.Fatal(err)
		}
		same(t, &got, &want)
		names := func(line []byte) (names []string) {
			for d := json.NewDecoder(bytes.NewReader(line)); ; {
				token, err := d.Token()
				if err != nil {
					return names
				}
				if s, ok := token.(string); ok {
					names = append(names, s)
				}
			}
		}
		if got, want := names(line), names(std); !reflect.DeepEqual(got, want) {
			t.Errorf("order %q, want %q", got, want)
		}
	}
}

func TestWhatEncodingJSONWritesIsReadByUs(t *testing.T) {
	for _, e := range examples() {
		compact, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		indented, _ := json.MarshalIndent(e, "\t", " \r")
		for _, line := range [][]byte{compact, indented, Append(nil, e)} {
			var got, want everything
			if err := json.Unmarshal(line, &want); err != nil {
				t.Fatal(err)
			}
			if err := Decode(line, &got); err != nil {
				t.Fatalf("%v in %s", err, line)
			}
			same(t, &got, &want)
		}
	}
}

func TestIndent(t *testing.T) {
	for _, e := range append(examples(), &everything{S: `a:"b\\",{}[`, L: []string{"\\"}}) {
		line := Append(nil, e)
		var want bytes.Buffer
		if err := json.Indent(&want, line, "", "  "); err != nil {
			t.Fatal(err)
		}
		if got := Indent(nil, line); !bytes.Equal(got, want.Bytes()) {
			t.Errorf("got\n%s\nwant\n%s", got, want.Bytes())
		}
	}
}

func TestAppendExtends(t *testing.T) {
	if got := string(Append([]byte("{"), &inner{N: "x"})); got != `{{"n":"x"}` {
		t.Errorf("got %s", got)
	}
}

func TestSkipsWhatIsUnknown(t *testing.T) {
	for _, value := range []string{
		"1", "-0.5e+10", "0", "true", "false", "null", `"s\u0041"`, "[]", "{}", `[1,[{"i":9}],"i"]`,
		`{"i":9,"o":{"n":"x","i":5}}`, strings.Repeat("[", maxDepth-1) + strings.Repeat("]", maxDepth-1),
	} {
		var e everything
		if err := Decode([]byte(`{"x":`+value+`,"i":1,"":`+value+`}`), &e); err != nil || e.I != 1 || e.O != nil {
			t.Errorf("%s: %v, %+v", value, err, e)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	for _, tt := range []struct{ line, want string }{
		{"", "no JSON object"},
		{"null", "no JSON object"},
		{"[]", "no JSON object"},
		{"{", "no valid JSON"},
		{"{}x", "something follows the JSON object"},
		{"{}{}", "something follows the JSON object"},
		{`{"i"}`, "no valid JSON"},
		{`{"i":}`, `field "i" is not a number`},
		{`{"i":1,}`, "no valid JSON"},
		{`{,"i":1}`, "no valid JSON"},
		{`{"i":1 "j":2}`, "no valid JSON"},
		{`{"i":1.0}`, `field "i" is not an integer in range`},
		{`{"i":1e2}`, `field "i" is not an integer in range`},
		{`{"i":01}`, "no valid JSON"},
		{`{"i":+1}`, `field "i" is not a number`},
		{`{"i":-}`, "no valid JSON"},
		{`{"i":9223372036854775808}`, `field "i" is not an integer in range`},
		{`{"i":"1"}`, `field "i" is not a number`},
		{`{"b":1}`, `field "b" is not true or false`},
		{`{"b":tru}`, `field "b" is not true or false`},
		{`{"s":1}`, `field "s" is not a string`},
		{`{"s":'x'}`, `field "s" is not a string`},
		{`{"s":`, "no valid JSON"},
		{`{"s":"x`, "no valid JSON"},
		{"{\"s\":\"a\nb\"}", "no valid JSON"},
		{`{"s":"\x41"}`, "no valid JSON"},
		{`{"s":"\u12"}`, "no valid JSON"},
		{`{"s":"\u+123"}`, "no valid JSON"},
		{`{"s":"\`, "no valid JSON"},
		{`{"l":"x"}`, `field "l" is not a list`},
		{`{"l":{}}`, `field "l" is not a list`},
		{`{"l":["x",]}`, "no valid JSON"},
		{`{"l":["x"}`, "no valid JSON"},
		{`{"l":[1]}`, `field "l" is not a string`},
		{`{"o":[]}`, `field "o" is not an object`},
		{`{"ol":[[]]}`, `field "ol" is not an object`},
		{`{"x":nul}`, "no valid JSON"},
		{`{"x":.5}`, "no valid JSON"},
		{`{"x":1.}`, "no valid JSON"},
		{`{"x":1e}`, "no valid JSON"},
		{`{"x":` + strings.Repeat("[", 100_000), "nested too deep"},
		{`{"x":` + strings.Repeat(`{"x":`, 100_000), "nested too deep"},
		{strings.Repeat(`{"o":{"e":`, 100), "nested too deep"},
	} {
		if err := Decode([]byte(tt.line), new(everything)); err == nil || err.Error() != tt.want {
			t.Errorf("%.40s: error %v, want %s", tt.line, err, tt.want)
		}
	}
}

func TestAppendTime(t *testing.T) {
	for _, tt := range []time.Time{
		time.Unix(0, 0), time.Unix(0, 999_999_999), time.Unix(-1, 5), time.Unix(951_782_400, 0), time.Unix(951_868_799, 0),
		time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(1900, 2, 28, 23, 59, 59, 1, time.UTC),
		time.Date(9999, 12, 31, 23, 59, 59, 999_999_999, time.FixedZone("", 0)),
		time.Date(2024, 2, 29, 12, 34, 56, 78_900_000, time.FixedZone("", -7*3600)),
	} {
		compareTime(t, tt)
	}
	for day := time.Date(1600, 1, 1, 3, 4, 5, 0, time.UTC); day.Year() < 2401; day = day.AddDate(0, 0, 1) {
		compareTime(t, day)
	}
}

func compareTime(t *testing.T, at time.Time) {
	t.Helper()
	for digits, layout := range map[int]string{
		3: "2006-01-02T15:04:05.000Z07:00", 6: "2006-01-02T15:04:05.000000Z07:00", 9: "2006-01-02T15:04:05.000000000Z07:00",
	} {
		if got, want := string(AppendTime(nil, at, digits)), at.UTC().Format(layout); got != want {
			t.Fatalf("time %s, want %s", got, want)
		}
	}
}

func FuzzAppendTime(f *testing.F) {
	f.Add(int64(1_700_000_000), int64(1))
	f.Fuzz(func(t *testing.T, s, ns int64) {
		at := time.Unix(s%250_000_000_000, ns)
		if y := at.UTC().Year(); y >= 1 && y <= 9999 {
			compareTime(t, at)
		}
	})
}

func FuzzText(f *testing.F) {
	for _, s := range texts {
		f.Add([]byte(s + strings.Repeat("x", 100)))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		b := append(AppendText([]byte{'"'}, text), '"')
		var got string
		if err := json.Unmarshal(b, &got); err != nil {
			t.Fatalf("%v in %q", err, b)
		}
		var want strings.Builder
		for s := text; len(s) > 0; {
			r, n := utf8.DecodeRune(s)
			want.WriteRune(r)
			s = s[n:]
		}
		if got != want.String() {
			t.Fatalf("text %q becomes %q, want %q", text, got, want.String())
		}
		if len(b)-2 > 6*len(text) {
			t.Fatalf("%d bytes become %d", len(text), len(b)-2)
		}
	})
}

// FuzzDecode holds Decode to encoding/json, which differs in what is said in the
// comments.
func FuzzDecode(f *testing.F) {
	for _, e := range examples() {
		f.Add(Append(nil, e))
	}
	for _, s := range []string{`{"s":"\ud83d\ude00 \ud83d x \ud83d\u0041 \ude00 \ud83d\ud83d\ude00"}`, `{"x":[1.5e-3,{}],"i":null,"l":[null],"ol":[null,{"n":"x"}]}`, `{"i":1}}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		var got, want everything
		err := Decode(line, &got)
		wantErr := json.Unmarshal(line, &want)
		if err != nil {
			// It takes null for an empty object, and nests deeper.
			if wantErr == nil && !bytes.Equal(bytes.TrimSpace(line), []byte("null")) && err != errDepth {
				t.Fatalf("%q is refused: %v", line, err)
			}
			return
		}
		if !json.Valid(line) {
			t.Fatalf("%q is read, encoding/json says %v", line, wantErr)
		}
		if foldedOrTwice(line) {
			return
		}
		if wantErr != nil {
			t.Fatalf("%q is read, encoding/json says %v", line, wantErr)
		}
		same(t, &got, &want)
	})
}

// foldedOrTwice tells whether a line has a field's name in capitals, or one twice in
// the same object: encoding/json takes the first for known, and puts the second into
// what is there already.
func foldedOrTwice(line []byte) bool {
	d := json.NewDecoder(bytes.NewReader(line))
	d.UseNumber()
	var walk func() bool
	walk = func() bool {
		token, err := d.Token()
		if err != nil {
			return true
		}
		switch token {
		case json.Delim('{'):
			seen := map[string]bool{}
			for d.More() {
				name, _ := d.Token()
				s, _ := name.(string)
				folded := strings.ToLower(strings.ToUpper(s))
				if folded != s || seen[s] {
					return true
				}
				seen[s] = true
				if walk() {
					return true
				}
			}
			_, err = d.Token()
		case json.Delim('['):
			for d.More() {
				if walk() {
					return true
				}
			}
			_, err = d.Token()
		}
		return err != nil
	}
	return walk()
}
