// Package search finds the rows of a Matrix that are most alike to a vector: exactly, by comparing it
// with every row. The rows are float32, float16, int8 or single bits, in the caller's memory or in a
// mapped file.
//
// One order holds everywhere: the best score first, of equal scores the lower row first, NaN after
// everything else. A row that holds a NaN has a NaN score, whatever it was quantised to, and so has
// every row for a query that holds one. Scores have the same bits on every level of package simd and
// with any number of goroutines, so the order has too.
//
// How vectors are made is the business of models/, what two vectors have in common that of package
// metrics. There is no index here that would trade exactness for speed.
package search

import (
	"fmt"

	"github.com/maida-ai/gomai/types"
)

// Metric says what makes a row alike to a query.
type Metric uint8

// The metrics. Cosine, Dot and Euclidean are those of package metrics, for rows of F32, F16 and I8:
// of floats, Dot and Euclidean are the same numbers, rounded to float32, and Cosine differs by at most
// (dim/64+10) * 2^-23. Of I8 they are those of the vectors that the quanta stand for. Hamming, the
// number of bits that differ, is for Binary rows, which know no other.
const (
	Cosine    Metric = iota // the highest score is the best
	Dot                     // the highest score is the best
	Euclidean               // the lowest score is the best
	Hamming                 // the lowest score is the best
)

var metricNames = [...]string{"cosine", "dot", "euclidean", "hamming"}

func (m Metric) String() string {
	if int(m) < len(metricNames) {
		return metricNames[m]
	}
	return fmt.Sprintf("metric %d", uint8(m))
}

// MetricByName returns the metric with that name, as String gives it; false if there is none.
func MetricByName(name string) (Metric, bool) {
	for m, n := range metricNames {
		if n == name {
			return Metric(m), true
		}
	}
	return 0, false
}

// fits says whether the metric is one for rows of that kind.
func (m Metric) fits(k Kind) bool {
	return m <= Hamming && (m == Hamming) == (k == Binary)
}

// Range is the rows From, From+1, ..., To-1 of a matrix.
type Range struct {
	From, To int
}

// Hit is a row and its score.
type Hit struct {
	Row   int
	Score float32
}

// ranksAfter says whether h comes after o in the order of a search in which high scores are good.
func (h Hit) ranksAfter(o Hit) bool {
	switch {
	case h.Score < o.Score:
		return true
	case h.Score > o.Score:
		return false
	case h.Score == o.Score:
		return h.Row > o.Row
	}
	if hNaN, oNaN := h.Score != h.Score, o.Score != o.Score; hNaN != oNaN {
		return hNaN
	}
	return h.Row > o.Row
}

// An ArgumentError says what is wrong with the arguments of a call or the settings of a Searcher.
type ArgumentError struct {
	Name   string // the argument or setting
	Reason string // what is wrong with it, for people
}

func (e *ArgumentError) Error() string { return "search: " + e.Name + ": " + e.Reason }

func badArgument(name, format string, args ...any) error {
	return &ArgumentError{name, fmt.Sprintf(format, args...)}
}

// checkSpace returns a *types.SpaceError if a and b differ.
func checkSpace(a, b types.SpaceID) error {
	if a != b {
		return &types.SpaceError{A: a, B: b}
	}
	return nil
}
