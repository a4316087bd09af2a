package bench

import (
	"context"
	"fmt"
	"sync"

	"github.com/maida-ai/gomai/layers"
	"github.com/maida-ai/gomai/sched"
)

// schedulers compares engines that share one scheduler with engines that have one each.
func schedulers(engines int) Group {
	return Group{
		Name: "schedulers",
		About: fmt.Sprintf("%d engines, each a Parallel of eight steps of 10 µs, called in turn by two goroutines at once. ", engines) +
			"With one scheduler each, every crew has loops of its own that look for work.",
		Rounds: 100,
		Cases: []Case{
			{Name: "one scheduler for all", Open: rotation(engines, true)},
			{Name: "one scheduler each", Open: rotation(engines, false)},
		},
	}
}

// rotation opens a case whose sample is the mean time of a call when two goroutines make calls, each to all
// engines in turn.
func rotation(engines int, shared bool) func() (Round, func(), error) {
	return func() (Round, func(), error) {
		s := sched.New()
		scheds := []*sched.Sched{s}
		var all []*layers.Engine[int64, []int64]
		for len(all) < engines {
			if !shared {
				s = sched.New()
				scheds = append(scheds, s)
			}
			e, err := layers.Compile(Branches(10).With(limit), layers.On(s))
			if err != nil {
				return nil, nil, err
			}
			all = append(all, e)
		}
		call := func(n int) error {
			errs := make([]error, 2)
			var wg sync.WaitGroup
			for g := range errs {
				wg.Go(func() {
					var out []int64
					for i := range n {
						if err := all[(i+g)%engines].CallInto(context.Background(), int64(i), &out); err != nil {
							errs[g] = err
						}
					}
				})
			}
			wg.Wait()
			if errs[0] != nil {
				return errs[0]
			}
			return errs[1]
		}
		done := func() {
			for _, e := range all {
				e.Close()
			}
			for _, s := range scheds {
				s.Close()
			}
		}
		return Timed(4*engines, call), done, call(20 * engines)
	}
}
