package bench

import (
	"context"
	"runtime"

	"github.com/maida-ai/gomai/layers"
)

// allocations counts them with all cores in use, as testing.AllocsPerRun does with one.
func allocations() Group {
	http, _ := request() // never cancelled
	const n = 1000
	g := Group{
		Name:   "allocations",
		About:  "Allocations a call in the steady state, on all cores, counted over 1,000 calls; the worst round counts.",
		Rounds: 5,
		Cases: []Case{
			{Name: "chain of 10, net/http", Open: allocs(n, http, Chain().With(limit))},
			{Name: "diamond of 10, net/http", Open: allocs(n, http, Diamond().With(limit))},
			{Name: "fork-join of 64", Open: allocs(n, context.Background(), ForkJoin(64).With(limit))},
			{Name: "8 branches of 1 µs", Open: allocs(n, http, Branches(1).With(limit))},
			{Name: "8 branches of 100 µs", Open: allocs(n, http, Branches(100).With(limit))},
		},
	}
	for i := range g.Cases {
		g.Cases[i].Unit = "allocs"
		g.Limits = append(g.Limits, Limit{Case: g.Cases[i].Name, Stat: Max})
	}
	return g
}

// allocs opens a case that counts the allocations of n calls.
func allocs[O any](n int, ctx context.Context, m layers.Module[int64, O]) func() (Round, func(), error) {
	return func() (Round, func(), error) {
		run, done, err := caller(ctx, m)
		return func(sample func(float64)) error {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			err := run(n)
			runtime.ReadMemStats(&after)
			sample(float64((after.Mallocs - before.Mallocs) / uint64(n))) // whole ones: others allocate too
			return err
		}, done, err
	}
}
