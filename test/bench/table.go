package main

import (
	"fmt"
	"io"
	"math"
	"strings"
	"text/tabwriter"
)

// result is a figure with what was measured, by name of the peer.
type result struct {
	figure *figure
	values map[string]*samples
	failed map[string]error
}

// print writes the result as a table of Markdown, the peers in the given order.
func (r *result) print(w io.Writer, order []*peer) {
	fmt.Fprintf(w, "\n### %s\n\n%s.\n\n", r.figure.title, r.figure.note)
	tw := tabwriter.NewWriter(w, 0, 0, 1, ' ', tabwriter.Debug)
	head, line := []string{""}, []string{"---"}
	for _, c := range r.figure.columns {
		head = append(head, c.head)
		line = append(line, "---:")
	}
	row := func(cells []string) { fmt.Fprintf(tw, "| %s\t\n", strings.Join(cells, "\t ")) }
	row(head)
	row(line)
	for _, p := range order {
		s := r.values[p.name]
		if s == nil || len(s.values) == 0 {
			continue
		}
		cells := []string{p.name}
		for _, c := range r.figure.columns {
			v, ok := s.of(c)
			cells = append(cells, number(v, ok))
		}
		row(cells)
	}
	tw.Flush()
	for _, p := range order {
		if err := r.failed[p.name]; err != nil {
			text := strings.Join(strings.Fields(err.Error()), " ")
			fmt.Fprintf(w, "\n%s failed: %s\n", p.name, text[:min(len(text), 160)])
		}
	}
}

// number writes a value with three digits that mean something.
func number(v float64, ok bool) string {
	switch a := math.Abs(v); {
	case !ok:
		return "–"
	case v == 0:
		return "0"
	case a >= 100:
		return fmt.Sprintf("%.0f", v)
	case a >= 10:
		return fmt.Sprintf("%.1f", v)
	default:
		return fmt.Sprintf("%.2f", v)
	}
}
