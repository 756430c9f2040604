package main

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
)

// series is one line of a plot.
type series struct {
	name      string
	reference bool // what the others are measured against: dashed
	points    [][2]float64
}

// The size of a plot and its margins, in pixels.
const (
	plotWidth, plotHeight   = 720, 420
	plotLeft, plotRight     = 70, 130
	plotTop, plotBottom     = 44, 52
	plotLabelHeight         = 15
	plotInnerWidth          = plotWidth - plotLeft - plotRight
	plotInnerHeight         = plotHeight - plotTop - plotBottom
	plotForeground, plotDim = "#24292f", "#d8dee4"
)

// colours are told apart by readers who see no red or no green.
var colours = []string{"#0072b2", "#56b4e9", "#6e7781", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#7a00b2", "#000000", "#a3b18a"}

// plot draws an SVG with both axes logarithmic; series with fewer than two points are
// left out, but keep their colours. The first is drawn above the others, and bold.
func plot(title, x, y string, all []series) string {
	low, high := [2]float64{math.Inf(1), math.Inf(1)}, [2]float64{math.Inf(-1), math.Inf(-1)}
	for _, s := range all {
		if len(s.points) < 2 {
			continue
		}
		for _, p := range s.points {
			for axis, v := range p {
				low[axis], high[axis] = min(low[axis], v), max(high[axis], v)
			}
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12" fill="%s">`+"\n", plotWidth, plotHeight, plotForeground)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="white"/>`+"\n", plotWidth, plotHeight)
	fmt.Fprintf(&b, `<text x="%d" y="24" font-size="15" font-weight="bold">%s</text>`+"\n", plotLeft, escape(title))
	if math.IsInf(low[0], 1) {
		b.WriteString("</svg>\n")
		return b.String()
	}
	low[1], high[1] = roundDown(low[1]*0.95), 1/roundDown(1/(high[1]*1.05))
	at := func(p [2]float64) (float64, float64) {
		fraction := func(axis int) float64 { return math.Log(p[axis]/low[axis]) / math.Log(high[axis]/low[axis]) }
		return plotLeft + plotInnerWidth*fraction(0), plotTop + plotInnerHeight*(1-fraction(1))
	}
	drawAxes(&b, low, high, at)
	fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="middle">%s</text>`+"\n", plotLeft+plotInnerWidth/2, plotHeight-12, escape(x))
	fmt.Fprintf(&b, `<text x="16" y="%d" text-anchor="middle" transform="rotate(-90 16 %d)">%s</text>`+"\n", plotTop+plotInnerHeight/2, plotTop+plotInnerHeight/2, escape(y))
	drawSeries(&b, all, at)
	b.WriteString("</svg>\n")
	return b.String()
}

// roundDown returns the next of 1, 2, 5, 10, ... and their tenths that is not above v.
func roundDown(v float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(v)))
	for _, n := range []float64{5, 2} {
		if v >= n*power*0.999 {
			return n * power
		}
	}
	return power
}

// drawAxes marks 1, 2, 5, 10, ... of what is measured and the powers of ten of what it
// is measured against.
func drawAxes(b *strings.Builder, low, high [2]float64, at func([2]float64) (float64, float64)) {
	for v := low[1]; v <= high[1]*1.001; v = roundDown(v * 2.5) {
		_, y := at([2]float64{low[0], v})
		fmt.Fprintf(b, `<line x1="%d" x2="%d" y1="%.1f" y2="%.1f" stroke="%s"/><text x="%d" y="%.1f" text-anchor="end">%s</text>`+"\n",
			plotLeft, plotLeft+plotInnerWidth, y, y, plotDim, plotLeft-8, y+4, tick(v))
	}
	for v := math.Pow(10, math.Ceil(math.Log10(low[0])-1e-9)); v <= high[0]*1.001; v *= 10 {
		x, _ := at([2]float64{v, low[1]})
		fmt.Fprintf(b, `<line x1="%.1f" x2="%.1f" y1="%d" y2="%d" stroke="%s"/><text x="%.1f" y="%d" text-anchor="middle">%s</text>`+"\n",
			x, x, plotTop, plotTop+plotInnerHeight, plotDim, x, plotTop+plotInnerHeight+18, tick(v))
	}
}

// tick writes the number at a line of the grid, with a thin space between thousands.
func tick(v float64) string {
	s := fmt.Sprintf("%.6g", v)
	if v >= 1000 {
		s = fmt.Sprintf("%.0f", v)
		s = s[:len(s)-3] + "\u2009" + s[len(s)-3:]
	}
	return s
}

// label is the name of a series beside its last point.
type label struct {
	name, style string
	x, y        float64
}

// drawSeries draws the lines and their names.
func drawSeries(b *strings.Builder, all []series, at func([2]float64) (float64, float64)) {
	var labels []label
	for i, s := range slices.Backward(all) {
		if len(s.points) < 2 {
			continue
		}
		colour, width, dashes, weight := colours[i%len(colours)], 1.8, "", ""
		if i == 0 {
			width, weight = 3, ` font-weight="bold"`
		}
		if s.reference {
			dashes = ` stroke-dasharray="6 4"`
		}
		var points []string
		var x, y float64
		for _, p := range s.points {
			x, y = at(p)
			points = append(points, fmt.Sprintf("%.1f,%.1f", x, y))
			fmt.Fprintf(b, `<circle cx="%.1f" cy="%.1f" r="%.1f" fill="%s"/>`+"\n", x, y, width+1, colour)
		}
		fmt.Fprintf(b, `<polyline points="%s" fill="none" stroke="%s" stroke-width="%.1f"%s/>`+"\n", strings.Join(points, " "), colour, width, dashes)
		labels = append(labels, label{s.name, fmt.Sprintf(`fill="%s"%s`, colour, weight), x + 10, y + 4})
	}
	spread(labels)
	for _, l := range labels {
		fmt.Fprintf(b, `<text x="%.1f" y="%.1f" stroke="white" stroke-width="4" paint-order="stroke" %s>%s</text>`+"\n", l.x, l.y, l.style, escape(l.name))
	}
}

// spread moves labels of the same column apart: down from the top, each below the one
// before; then up again where the bottom has been passed.
func spread(labels []label) {
	slices.SortStableFunc(labels, func(a, b label) int {
		return cmp.Or(cmp.Compare(a.x, b.x), cmp.Compare(a.y, b.y))
	})
	for i := 1; i < len(labels); i++ {
		if labels[i].x == labels[i-1].x {
			labels[i].y = max(labels[i].y, labels[i-1].y+plotLabelHeight)
		}
	}
	for i := len(labels) - 1; i >= 0; i-- {
		limit := float64(plotTop + plotInnerHeight + 4)
		if i < len(labels)-1 && labels[i].x == labels[i+1].x {
			limit = labels[i+1].y - plotLabelHeight
		}
		labels[i].y = min(labels[i].y, limit)
	}
}

func escape(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;").Replace(s)
}
