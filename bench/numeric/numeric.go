// Package numeric is the suite of measurements of the primitives: what they reach on one core, on random
// data, beside what the machine can do at best. Programs that print its tables are in bench/primitives
// and, with other libraries beside, in bench/peers/numeric. The list of cases is the same everywhere: a
// level that this machine cannot run is listed as absent.
package numeric

import (
	"math/rand/v2"

	"github.com/maida-ai/gomai/bench"
	"github.com/maida-ai/gomai/internal/cpu"
)

// Gomai is the case of a group that runs at the level which is chosen by itself.
const Gomai = "gomai"

// Groups returns the suite.
func Groups() []bench.Group {
	groups := []bench.Group{streams()}
	for _, v := range Vectors {
		groups = append(groups, v.group())
	}
	for _, s := range Searches {
		groups = append(groups, s.group())
	}
	for _, p := range IntegerProducts {
		groups = append(groups, p.group())
	}
	for _, p := range floatLevels {
		groups = append(groups, p.group())
	}
	return groups
}

// floats are n normally distributed numbers, always the same ones.
func floats(seed uint64, n int) []float32 {
	r := rand.New(rand.NewPCG(seed, 1))
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(r.NormFloat64())
	}
	return v
}

// integers are n numbers from -127 to 127, always the same ones.
func integers(seed uint64, n int) []int8 {
	r := rand.New(rand.NewPCG(seed, 2))
	v := make([]int8, n)
	for i := range v {
		v[i] = int8(r.IntN(255) - 127)
	}
	return v
}

// atLevel makes the case run at a level, or absent where the machine lacks it. primitive is the name of
// what runs, by which the case tells what code it is.
func atLevel(level cpu.Level, primitive string, c bench.Case) bench.Case {
	c = bench.AtLevel(level, c)
	if c.Absent == "" {
		restore := cpu.Use(level, 0)
		c.Code = code(primitive)
		restore()
	}
	return c
}

// code returns the level of the code of a primitive that runs.
func code(primitive string) string {
	for _, p := range cpu.Primitives() {
		if p.Name == primitive {
			return p.Level().String()
		}
	}
	return cpu.Generic.String()
}

// opened is the Open of a case that needs no preparation beyond its first calls.
func opened(calls int, call func()) func() (bench.Round, func(), error) {
	return inARow(calls, func(n int) {
		for range n {
			call()
		}
	})
}

// inARow is opened for calls so short that a closure round each would count: calls makes n of them.
func inARow(n int, calls func(n int)) func() (bench.Round, func(), error) {
	run := func(n int) error {
		calls(n)
		return nil
	}
	return func() (bench.Round, func(), error) { return bench.Timed(n, run), nil, run(n) }
}
