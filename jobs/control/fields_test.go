package control

import (
	"encoding/json"
	"reflect"
	"testing"

	"tend/jobs/jsonl"
)

// fill gives every field below v a value of its own, as deep as depth.
func fill(v reflect.Value, n *int) {
	*n++
	switch v.Kind() {
	case reflect.Int:
		v.SetInt(int64(*n))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.String:
		v.SetString("text <" + string(rune('a'+*n%26)) + "\u2028>")
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), n)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(v.Index(0), n)
		fill(v.Index(1), n)
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), n)
		}
	}
}

// TestFieldsAreThoseOfTheTags compares each of our lines with encoding/json's, which
// goes by the tags: full, empty, and with one field at a time.
func TestFieldsAreThoseOfTheTags(t *testing.T) {
	for _, empty := range []func() jsonl.Object{
		func() jsonl.Object { return new(Request) },
		func() jsonl.Object { return new(Response) },
		func() jsonl.Object { return new(Status) },
		func() jsonl.Object { return &Condition{Terms: []Term{}} },
	} {
		typ := reflect.TypeOf(empty()).Elem()
		for i := -2; i < typ.NumField(); i++ {
			o, n := empty(), 0
			switch i {
			case -2:
			case -1:
				fill(reflect.ValueOf(o).Elem(), &n)
			default:
				fill(reflect.ValueOf(o).Elem().Field(i), &n)
			}
			compare(t, o, empty)
		}
	}
}

func compare(t *testing.T, o jsonl.Object, empty func() jsonl.Object) {
	t.Helper()
	ours := jsonl.Append(nil, o)
	theirs, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	var plain any
	if err := json.Unmarshal(ours, &plain); err != nil {
		t.Fatalf("%v in %s", err, ours)
	}
	for _, line := range [][]byte{ours, theirs} {
		read, readByJSON := empty(), empty()
		if err := jsonl.Decode(line, read); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		if err := json.Unmarshal(line, readByJSON); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		if !reflect.DeepEqual(read, o) {
			t.Errorf("%s\nis read as %+v\nwant %+v", line, read, o)
		}
		if !reflect.DeepEqual(readByJSON, o) {
			t.Errorf("encoding/json reads %s\nas %+v\nwant %+v", line, readByJSON, o)
		}
	}
	// The same bytes but for what encoding/json escapes more than it must.
	again, err := json.Marshal(json.RawMessage(ours))
	if err != nil || string(again) != string(theirs) {
		t.Errorf("%v\ngot  %s\nwant %s", err, again, theirs)
	}
}
