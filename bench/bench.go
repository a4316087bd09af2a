// Package bench is the suite of measurements: named cases, what they are compared with, and the limits
// that the project sets itself. A figure counts as a ratio to something measured beside it, because
// machines and their clocks differ; so the cases of a group take turns in short rounds, and what drifts
// hits all alike. The suite measures through the public API of the packages it imports; programs that
// print its tables are in bench/exec and, with the dependencies of other libraries, in bench/peers.
package bench

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// Group is a set of cases that are compared with each other.
type Group struct {
	Name  string
	About string // what is measured, in sentences for readers of the table
	// Rounds is how many each case has. They take turns: one of each case, then again.
	Rounds int
	// Single says that a sample is one call, so that the far quantiles of the samples mean something.
	Single bool
	// Stats are the columns of its table; nil: those that suit most groups.
	Stats []Stat
	// Beside, if any, starts what runs while the group is measured, and returns what ends it.
	Beside func() (stop func())
	// Rate is the unit of what cases do in a nanosecond, their Work divided by their time: "GB/s". A group
	// that has one compares speeds, others times.
	Rate   string
	Cases  []Case
	Limits []Limit
}

// Cosine is a Unit of which four digits count.
const Cosine = "cosine"

// Case is one thing to measure.
type Case struct {
	Name string
	Unit string // of its samples, "ns" of a call if empty; Cosine
	// Code says which of several codes runs, such as the level of a primitive.
	Code string
	// Work is what a call does, counted in what the group's Rate counts.
	Work float64
	// Absent, if not empty, says why the case cannot be measured here. It is listed, and nothing else.
	Absent string
	// Open prepares the case and warms it up; close, if any, ends it.
	Open func() (round Round, close func(), err error)
}

// Round measures a case once and hands on one sample or several.
type Round func(sample func(float64)) error

// Timed is a Round of n calls, which run makes; its sample is the mean time of a call, in nanoseconds.
// A tenth as many go before it untimed, to wake up what slept while other cases had their turns.
func Timed(n int, run func(n int) error) Round {
	return func(sample func(float64)) error {
		if err := run(n/10 + 1); err != nil {
			return err
		}
		start := time.Now()
		err := run(n)
		sample(float64(time.Since(start).Nanoseconds()) / float64(n))
		return err
	}
}

// Each is a Round of n calls, which run makes one at a time; its samples are their times in nanoseconds.
func Each(n int, run func(n int) error) Round {
	return func(sample func(float64)) error {
		for range n {
			start := time.Now()
			err := run(1)
			sample(float64(time.Since(start).Nanoseconds()))
			if err != nil {
				return err
			}
		}
		return nil
	}
}

// Result is what a case gave.
type Result struct {
	Group, Name, Unit, Code string
	Work                    float64
	Absent                  string
	Samples                 []float64 // in ascending order
}

func (r *Result) add(v float64) { r.Samples = append(r.Samples, v) }

// Stat is how the samples of a case become one number.
type Stat string

// The numbers that are compared.
const (
	Min    Stat = "min"
	Median Stat = "median"
	Mean   Stat = "mean"
	P99    Stat = "p99"
	P999   Stat = "p99.9"
	Max    Stat = "max"
	Tail   Stat = "p99.9 / p50"
)

// Stat returns a number of r, NaN if it has no samples.
func (r Result) Stat(s Stat) float64 {
	switch s {
	case Min:
		return r.quantile(0)
	case Median:
		return r.quantile(0.5)
	case Mean:
		sum := 0.0
		for _, v := range r.Samples {
			sum += v
		}
		return sum / float64(len(r.Samples))
	case P99:
		return r.quantile(0.99)
	case P999:
		return r.quantile(0.999)
	case Max:
		return r.quantile(1)
	case Tail:
		return r.quantile(0.999) / r.quantile(0.5)
	}
	return math.NaN()
}

// quantile returns the smallest sample that a share q of all do not exceed.
func (r Result) quantile(q float64) float64 {
	n := len(r.Samples)
	if n == 0 {
		return math.NaN()
	}
	return r.Samples[max(int(math.Ceil(q*float64(n)))-1, 0)]
}

// Rate is how much of its work r does in a nanosecond, by a number of its time.
func (r Result) Rate(s Stat) float64 { return r.Work / r.Stat(s) }

// Limit is what a number of a case, divided by the same number of another, may be. In a group with a
// Rate the numbers are rates, otherwise times.
type Limit struct {
	Case, Of string // of a group; without Of the number itself is limited
	Stat     Stat
	Bound    float64
	AtLeast  bool // Bound is the least that holds, otherwise the most
}

// Figure is a Limit with what was measured.
type Figure struct {
	Group string
	Limit
	Value  float64
	Absent string // why nothing was measured
}

// Holds reports whether the figure keeps its limit. One that was not measured does not.
func (f Figure) Holds() bool {
	if f.Absent != "" {
		return false
	}
	if f.AtLeast {
		return f.Value >= f.Bound
	}
	return f.Value <= f.Bound
}

// Run measures groups one after the other. rounds, if positive, replaces the rounds of every group.
func Run(groups []Group, rounds int) ([]Result, []Figure, error) {
	var results []Result
	var figures []Figure
	for _, g := range groups {
		if rounds > 0 {
			g.Rounds = rounds
		}
		r, err := g.run()
		if err != nil {
			return nil, nil, err
		}
		f, err := g.figures(r)
		if err != nil {
			return nil, nil, err
		}
		results, figures = append(results, r...), append(figures, f...)
	}
	return results, figures, nil
}

func (g Group) run() ([]Result, error) {
	results := make([]Result, len(g.Cases))
	rounds := make([]Round, len(g.Cases))
	for i, c := range g.Cases {
		results[i] = Result{Group: g.Name, Name: c.Name, Unit: c.Unit, Code: c.Code, Work: c.Work, Absent: c.Absent}
		if c.Absent != "" {
			continue
		}
		round, done, err := c.Open()
		if err != nil {
			return nil, fmt.Errorf("%s: %s: %w", g.Name, c.Name, err)
		}
		if done != nil {
			defer done()
		}
		rounds[i] = round
	}
	if g.Beside != nil {
		defer g.Beside()()
	}
	for range g.Rounds {
		for i, round := range rounds {
			if round == nil {
				continue // absent
			}
			if err := round(results[i].add); err != nil {
				return nil, fmt.Errorf("%s: %s: %w", g.Name, results[i].Name, err)
			}
		}
	}
	for _, r := range results {
		slices.Sort(r.Samples)
	}
	return results, nil
}

// figures holds results against the limits of g.
func (g Group) figures(results []Result) ([]Figure, error) {
	var figures []Figure
	for _, l := range g.Limits {
		f := Figure{Group: g.Name, Limit: l}
		for i, name := range []string{l.Case, l.Of} {
			if i == 1 && name == "" {
				continue
			}
			at := slices.IndexFunc(results, func(r Result) bool { return r.Name == name })
			if at < 0 {
				return nil, fmt.Errorf("%s: a limit is about the case %q, which is not there", g.Name, name)
			}
			r := results[at]
			if f.Absent = r.Absent; f.Absent != "" {
				break
			}
			v := r.Stat(l.Stat)
			if g.Rate != "" {
				v = r.Rate(l.Stat)
			}
			if i == 0 {
				f.Value = v
			} else {
				f.Value /= v
			}
		}
		figures = append(figures, f)
	}
	return figures, nil
}
