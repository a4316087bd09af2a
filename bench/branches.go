package bench

import (
	"context"
	"fmt"
	"sync"

	"github.com/maida-ai/gomai/layers"
)

// Cases of the groups with branches.
const (
	serial     = "serial"
	Gomai      = "gomai"
	Goroutines = "goroutines + WaitGroup"
)

// branches compares a Parallel of eight steps that compute for some microseconds each with the same
// work done without an engine.
func branches(microseconds int) Group {
	n := 1000 / microseconds
	g := Group{
		Name: fmt.Sprintf("8 branches of %d µs", microseconds),
		About: fmt.Sprintf("Eight independent steps of %d µs, each a loop over integers whose result is used. ", microseconds) +
			"Serial is a plain loop over the eight; the rest use what cores are free, which goroutines beside serial show. " +
			fmt.Sprintf("A turn is %d calls one after the other.", n),
		Rounds: 100,
		Single: true,
		Cases: []Case{
			{Name: serial, Open: plainly(n, func(in int64, out []int64) {
				for i := range out {
					out[i] = Spin(microseconds, in+int64(i))
				}
			})},
			{Name: Gomai, Open: spread(n, microseconds)},
			{Name: Goroutines, Open: plainly(n, func(in int64, out []int64) {
				var wg sync.WaitGroup
				for i := range out {
					wg.Go(func() { out[i] = Spin(microseconds, in+int64(i)) })
				}
				wg.Wait()
			})},
		},
	}
	if microseconds == 1 {
		g.About += " The crew learns within some of them whether to help; short turns of 20 calls after the others' 20 ms show what that costs."
		g.Cases = append(g.Cases, Case{Name: "gomai, short turns", Open: spread(20, 1)})
		g.Limits = []Limit{
			{Case: Gomai, Of: serial, Stat: Median, Bound: 1.1},
			{Case: Goroutines, Of: Gomai, Stat: Median, Bound: 1.5, AtLeast: true},
		}
	} else {
		g.Limits = []Limit{{Case: serial, Of: Gomai, Stat: Median, Bound: 1.8, AtLeast: true}}
	}
	return g
}

// Branches are eight that compute for some microseconds each, on in, in+1, ... in+7.
func Branches(microseconds int) layers.Module[int64, []int64] {
	branches := make([]layers.Module[int64, int64], 8)
	for i := range branches {
		branches[i] = layers.Into(fmt.Sprint("spin", i), func(_ context.Context, in int64, out *int64) error {
			*out = Spin(microseconds, in+int64(i))
			return nil
		}).With(layers.Computing)
	}
	return layers.Parallel(branches...)
}

// plainly opens a case of n single calls of f, which fills eight cells.
func plainly(n int, f func(in int64, out []int64)) func() (Round, func(), error) {
	return func() (Round, func(), error) {
		in, out := Inputs[0], make([]int64, 8)
		return Each(n, func(n int) error {
			for range n {
				f(in, out)
				in = out[0]
			}
			return nil
		}), nil, nil
	}
}

// spread opens a case of n single calls of Branches.
func spread(n, microseconds int) func() (Round, func(), error) {
	return func() (Round, func(), error) {
		run, done, err := caller(context.Background(), Branches(microseconds).With(limit))
		return Each(n, run), done, err
	}
}
