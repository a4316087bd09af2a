package bench

import (
	"context"
	"fmt"

	"github.com/maida-ai/gomai/layers"
)

// The case that others are multiples of, in the groups that have it.
const plain = "K"

func noops() Group {
	const n = 500
	http, _ := request() // never cancelled
	bg := context.Background()
	chain, diamond := Chain().With(limit), Diamond().With(limit)
	atMost := func(name string, k float64) Limit { return Limit{Case: name, Of: plain, Stat: Min, Bound: k} }
	return Group{
		Name: "no-ops",
		About: "What an engine costs when its steps do next to nothing: each reads an int64, adds to it and writes another. " +
			"K is the time of ten such functions called one after the other through a slice of closures, each reading the cell that the one before it wrote. " +
			"Ten steps are a chain, or a diamond of one, eight branches and a sum; fork-join is a Parallel of no-ops alone. All have a Timeout.",
		Rounds: 400,
		Cases: []Case{
			{Name: plain, Open: tenCalls},
			{Name: "chain of 10", Open: calls(n, bg, chain)},
			{Name: "chain of 10, net/http", Open: calls(n, http, chain)},
			{Name: "diamond of 10", Open: calls(n, bg, diamond)},
			{Name: "diamond of 10, net/http", Open: calls(n, http, diamond)},
			{Name: "fork-join of 8", Open: calls(n, bg, ForkJoin(8).With(limit))},
			{Name: "fork-join of 64", Open: calls(n/5, bg, ForkJoin(64).With(limit))},
		},
		Limits: []Limit{
			atMost("chain of 10", 3.2),
			atMost("chain of 10, net/http", 3.2),
			atMost("diamond of 10", 4),
			atMost("diamond of 10, net/http", 4),
			atMost("fork-join of 8", 8),
			atMost("fork-join of 64", 40),
		},
	}
}

// adder returns a function that adds i. It captures i, so that nothing can be inlined.
func adder(i int64) func(context.Context, int64, *int64) error {
	return func(_ context.Context, in int64, out *int64) error {
		*out = in + i
		return nil
	}
}

func tenCalls() (Round, func(), error) {
	fs := make([]func(context.Context, int64, *int64) error, 10)
	for i := range fs {
		fs[i] = adder(int64(i))
	}
	ctx := context.Background()
	cells := make([]int64, len(fs)+1)
	return Timed(500, func(n int) error {
		for k := range n {
			cells[0] = Inputs[k%len(Inputs)]
			for i, f := range fs {
				if err := f(ctx, cells[i], &cells[i+1]); err != nil {
					return err
				}
			}
		}
		return nil
	}), nil, nil
}

func add(i int) layers.Module[int64, int64] {
	return layers.Into(fmt.Sprint("add", i), adder(int64(i)))
}

// Chain adds 0, 1, ... 9 to its input, one after the other.
func Chain() layers.Module[int64, int64] {
	return layers.Sequential(
		layers.Sequential5(add(0), add(1), add(2), add(3), add(4)),
		layers.Sequential5(add(5), add(6), add(7), add(8), add(9)))
}

// Diamond adds 9 to its input, then 0, 1, ... 7 to copies of that, and returns the sum of these.
func Diamond() layers.Module[int64, int64] {
	return layers.Sequential3(add(9), ForkJoin(8), layers.Into("sum", func(_ context.Context, in []int64, out *int64) error {
		*out = 0
		for _, v := range in {
			*out += v
		}
		return nil
	}))
}

// ForkJoin adds 0, 1, ... n-1 to copies of its input.
func ForkJoin(n int) layers.Module[int64, []int64] {
	branches := make([]layers.Module[int64, int64], n)
	for i := range branches {
		branches[i] = add(i)
	}
	return layers.Parallel(branches...)
}
