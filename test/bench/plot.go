package main

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// series is one line of a plot.
type series struct {
	name   string
	points [][2]float64
}

// The size of a plot and its margins, in pixels.
const (
	plotWidth, plotHeight   = 720, 420
	plotLeft, plotRight     = 70, 130
	plotTop, plotBottom     = 40, 50
	plotLabelHeight         = 15
	plotInnerWidth          = plotWidth - plotLeft - plotRight
	plotInnerHeight         = plotHeight - plotTop - plotBottom
	plotForeground, plotDim = "#24292f", "#d0d7de"
)

// colours are told apart by readers who see no red or no green.
var colours = []string{"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#8c8c8c", "#000000", "#b2df00", "#7a00b2"}

// plot draws an SVG with both axes logarithmic; series with fewer than two points are
// left out.
func plot(title, x, y string, all []series) string {
	all = slices.DeleteFunc(slices.Clone(all), func(s series) bool { return len(s.points) < 2 })
	low, high := [2]float64{math.Inf(1), math.Inf(1)}, [2]float64{math.Inf(-1), math.Inf(-1)}
	for _, s := range all {
		for _, p := range s.points {
			for axis, v := range p {
				low[axis], high[axis] = min(low[axis], v), max(high[axis], v)
			}
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12" fill="%s">`+"\n", plotWidth, plotHeight, plotForeground)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="white"/>`+"\n", plotWidth, plotHeight)
	fmt.Fprintf(&b, `<text x="%d" y="22" font-size="15">%s</text>`+"\n", plotLeft, escape(title))
	if len(all) == 0 {
		b.WriteString("</svg>\n")
		return b.String()
	}
	low[1], high[1] = math.Pow(10, math.Floor(math.Log10(low[1]))), math.Pow(10, math.Ceil(math.Log10(high[1])))
	if high[1] == low[1] {
		high[1] *= 10
	}
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

// drawAxes marks the powers of ten.
func drawAxes(b *strings.Builder, low, high [2]float64, at func([2]float64) (float64, float64)) {
	for v := low[1]; v <= high[1]*1.001; v *= 10 {
		_, y := at([2]float64{low[0], v})
		fmt.Fprintf(b, `<line x1="%d" x2="%d" y1="%.1f" y2="%.1f" stroke="%s"/><text x="%d" y="%.1f" text-anchor="end">%g</text>`+"\n",
			plotLeft, plotLeft+plotInnerWidth, y, y, plotDim, plotLeft-8, y+4, v)
	}
	for v := math.Pow(10, math.Ceil(math.Log10(low[0])-1e-9)); v <= high[0]*1.001; v *= 10 {
		x, _ := at([2]float64{v, low[1]})
		fmt.Fprintf(b, `<line x1="%.1f" x2="%.1f" y1="%d" y2="%d" stroke="%s"/><text x="%.1f" y="%d" text-anchor="middle">%g</text>`+"\n",
			x, x, plotTop, plotTop+plotInnerHeight, plotDim, x, plotTop+plotInnerHeight+18, v)
	}
}

// drawSeries draws the lines and their names at the right end, where these do not
// cover each other.
func drawSeries(b *strings.Builder, all []series, at func([2]float64) (float64, float64)) {
	type label struct {
		name, colour string
		y            float64
	}
	var labels []label
	for i, s := range all {
		colour := colours[i%len(colours)]
		var points []string
		var y float64
		for _, p := range s.points {
			var x float64
			x, y = at(p)
			points = append(points, fmt.Sprintf("%.1f,%.1f", x, y))
			fmt.Fprintf(b, `<circle cx="%.1f" cy="%.1f" r="3" fill="%s"/>`+"\n", x, y, colour)
		}
		fmt.Fprintf(b, `<polyline points="%s" fill="none" stroke="%s" stroke-width="2"/>`+"\n", strings.Join(points, " "), colour)
		labels = append(labels, label{s.name, colour, y})
	}
	slices.SortStableFunc(labels, func(a, b label) int { return int(a.y - b.y) })
	bottom := 0.0
	for _, l := range labels {
		y := max(l.y+4, bottom)
		bottom = y + plotLabelHeight
		fmt.Fprintf(b, `<text x="%d" y="%.1f" fill="%s">%s</text>`+"\n", plotLeft+plotInnerWidth+8, y, l.colour, escape(l.name))
	}
}

func escape(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;").Replace(s)
}
