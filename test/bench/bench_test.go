package main

import (
	"bytes"
	"regexp"
	"strings"
	"testing"
)

// TestCheapRow runs one experiment, so that the program does not rot.
func TestCheapRow(t *testing.T) {
	if testing.Short() {
		t.Skip("measures a deployment")
	}
	var table, notice bytes.Buffer
	b := &bench{only: regexp.MustCompile("^create-node$"), fixed: 2, quick: true, notice: &notice}
	if err := b.run(t.Context(), &table); err != nil {
		t.Fatal(err)
	}
	row := regexp.MustCompile(`(?m)^\| create a node: .* \| [\d.]+ \([\d.]+-[\d.]+\) ms \| [\d.]+ \([\d.]+-[\d.]+\) ms \| .* \| ratio <= 4: .*(met|NOT MET) \|$`)
	if !row.Match(table.Bytes()) {
		t.Errorf("the table is\n%s", table.String())
	}
	if !strings.HasPrefix(notice.String(), "create-node: ") {
		t.Errorf("progress is %q", notice.String())
	}
}

// TestDataRow does so for what needs data, of which a little is enough.
func TestDataRow(t *testing.T) {
	if testing.Short() {
		t.Skip("measures a deployment")
	}
	var table bytes.Buffer
	b := &bench{only: regexp.MustCompile("^replica$"), fixed: 1, quick: true, megabytes: 4, notice: &bytes.Buffer{}}
	if err := b.run(t.Context(), &table); err != nil {
		t.Fatal(err)
	}
	if row := regexp.MustCompile(`(?m)^\| a replica of 4 MB: .* \| [\d.]+ s \| [\d.]+ s \| [\d.]+ \| reported \|$`); !row.Match(table.Bytes()) {
		t.Errorf("the table is\n%s", table.String())
	}
}

func TestFigures(t *testing.T) {
	t.Parallel()
	s := series{5, 1, 3, 2, 4}
	for _, tt := range []struct{ q, want float64 }{{0, 1}, {0.5, 3}, {0.95, 5}, {1, 5}} {
		if got := s.quantile(tt.q); got != tt.want {
			t.Errorf("quantile %v is %v, want %v", tt.q, got, tt.want)
		}
	}
	l := line{what: "x", unit: "ms", larder: series{10, 30, 20}, bare: series{10, 10, 10}, bars: []bar{ratioAtMost(2), ratioAtLeast(2.5), quantileAtMost(95, 25)}}
	var table bytes.Buffer
	printTable(&table, []line{l, {what: "y", larder: series{0.123}, note: "reported"}, {what: "z", bars: []bar{ratioAtMost(1)}}})
	want := `| what | Larder | bare | ratio | bar |
|---|---|---|---|---|
| x | 20 (10-30) ms | 10 (10-10) ms | 2 (1-3) | ratio <= 2: 2, met; ratio >= 2.5: 2, NOT MET; p95 <= 25: 30, NOT MET |
| y | 0.12 |  |  | reported |
| z |  |  |  | not measured |
`
	if table.String() != want {
		t.Errorf("the table is\n%s", table.String())
	}
}

func TestWrongExperimentIsAnError(t *testing.T) {
	t.Parallel()
	b := &bench{only: regexp.MustCompile("no such"), notice: &bytes.Buffer{}}
	if err := b.run(t.Context(), &bytes.Buffer{}); err == nil {
		t.Error("nothing was measured, and nothing said")
	}
}
