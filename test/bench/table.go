package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
)

// series are measurements of one thing, in the order they were made.
type series []float64

// quantile is the smallest measurement that is not below a share q of them.
func (s series) quantile(q float64) float64 {
	if len(s) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(s))
	return sorted[max(int(math.Ceil(q*float64(len(sorted))))-1, 0)]
}

func (s series) median() float64 { return s.quantile(0.5) }

// line is one line of the table.
type line struct {
	what, unit string
	// larder and, if there is something to compare with, bare: measured in turns,
	// so that those of one round belong together.
	larder, bare series
	bars         []bar
	// note is shown in place of a bar where there is none.
	note string
}

// ratios are Larder's measurements over those of the same round.
func (l line) ratios() series {
	var r series
	for i := range min(len(l.larder), len(l.bare)) {
		r = append(r, l.larder[i]/l.bare[i])
	}
	return r
}

// bar is what a line has to reach.
type bar struct {
	name  string // "ratio", "median", "p95"...
	of    func(line) float64
	limit float64
	least bool // limit is the least that will do, not the most
}

// The bars there are.
func ratioAtLeast(limit float64) bar {
	return bar{"ratio", func(l line) float64 { return l.ratios().median() }, limit, true}
}
func ratioAtMost(limit float64) bar {
	return bar{"ratio", func(l line) float64 { return l.ratios().median() }, limit, false}
}
func medianAtMost(limit float64) bar {
	return bar{"median", func(l line) float64 { return l.larder.median() }, limit, false}
}
func quantileAtMost(percent int, limit float64) bar {
	return bar{fmt.Sprintf("p%d", percent), func(l line) float64 { return l.larder.quantile(float64(percent) / 100) }, limit, false}
}

// verdict says how a line stands to the bar.
func (b bar) verdict(l line) string {
	got, sign := b.of(l), "<="
	met := got <= b.limit
	if b.least {
		sign, met = ">=", got >= b.limit
	}
	word := "met"
	if !met {
		word = "NOT MET"
	}
	return fmt.Sprintf("%s %s %g: %s, %s", b.name, sign, b.limit, figure(got), word)
}

// printTable prints the lines as a Markdown table.
func printTable(w io.Writer, lines []line) {
	fmt.Fprintln(w, "| what | Larder | bare | ratio | bar |")
	fmt.Fprintln(w, "|---|---|---|---|---|")
	for _, l := range lines {
		bars := []string{}
		for _, b := range l.bars {
			bars = append(bars, b.verdict(l))
		}
		if len(l.larder) == 0 {
			bars = []string{"not measured"}
		}
		if l.note != "" {
			bars = append(bars, l.note)
		}
		fmt.Fprintf(w, "| %s | %s | %s | %s | %s |\n", l.what, l.larder.show(l.unit), l.bare.show(l.unit), l.ratios().show(""), strings.Join(bars, "; "))
	}
}

// show is the median and, of several, the least and the greatest.
func (s series) show(unit string) string {
	if len(s) == 0 {
		return ""
	}
	out := figure(s.median())
	if len(s) > 1 {
		out += fmt.Sprintf(" (%s-%s)", figure(slices.Min(s)), figure(slices.Max(s)))
	}
	return strings.TrimSpace(out + " " + unit)
}

// figure prints three digits that count.
func figure(v float64) string {
	switch a := math.Abs(v); {
	case a >= 100 || v == math.Trunc(v):
		return fmt.Sprintf("%.0f", v)
	case a >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}
