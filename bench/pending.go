package bench

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync/atomic"
	"time"

	"github.com/maida-ai/gomai/layers"
)

// pending measures what it costs to wait: memory and goroutines.
func pending(callers, branches int) Group {
	delay := layers.NonBlockingDelay[int64](time.Hour)
	n := callers * branches
	delays, deadlines, goroutines := fmt.Sprint(n, " delays"), fmt.Sprint(n/2, " delays, each with a deadline"), fmt.Sprint("goroutines of ", n, " delays")
	each := func() float64 { return float64(runtime.NumGoroutine()) / float64(n) }
	return Group{
		Name: "pending timers",
		About: fmt.Sprintf("%d calls of a Parallel of %d delays, when the last delay has begun: heap and stacks in use beyond what was in use before, ", callers, branches) +
			"after a collection, and goroutines, the callers' own included. Counted is all that a branch needs, not only its timer, and the callers' stacks. " +
			"Later rounds use memory of the first again, so the max counts.",
		Rounds: 3,
		Single: true,
		Cases: []Case{
			{Name: delays, Unit: "MB", Open: waiting(callers, branches, delay, memoryInUse)},
			{Name: deadlines, Unit: "MB", Open: waiting(callers, branches/2, delay.With(layers.Timeout(time.Minute)), memoryInUse)},
			{Name: goroutines, Unit: "each", Open: waiting(callers, branches, delay, each)},
		},
		Limits: []Limit{
			{Case: delays, Stat: Max, Bound: 16},
			{Case: deadlines, Stat: Max, Bound: 16},
			{Case: goroutines, Stat: Max, Bound: 0.01},
		},
	}
}

// memoryInUse is what the heap and the stacks hold after a collection, in MB.
func memoryInUse() float64 {
	runtime.GC()
	runtime.GC() // what pools kept over the first one
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc+m.StackInuse) / 1e6
}

// waiting opens a case of what is in use while calls wait in all branches, beyond what was before.
func waiting(callers, branches int, delay layers.Module[int64, int64], inUse func() float64) func() (Round, func(), error) {
	return func() (Round, func(), error) {
		var begun atomic.Int64
		all := make(chan struct{}, 1)
		begin := layers.Into("begin", func(_ context.Context, in int64, out *int64) error {
			if *out = in; begun.Add(1) == int64(callers) {
				all <- struct{}{}
			}
			return nil
		}).With(layers.Computing)
		modules := slices.Repeat([]layers.Module[int64, int64]{delay}, branches)
		modules[branches-1] = layers.Sequential(begin, delay) // the last to begin
		e, err := layers.Compile(layers.Parallel(modules...))
		if err != nil {
			return nil, nil, err
		}
		return func(sample func(float64)) error {
			begun.Store(0)
			before := inUse()
			ctx, cancel := context.WithCancel(context.Background())
			errs := make(chan error, callers)
			for i := range int64(callers) {
				go func() {
					_, err := e.Call(ctx, i)
					errs <- err
				}()
			}
			var err error
			select {
			case <-all:
				time.Sleep(10 * time.Millisecond) // the last delay begins a little later
				sample(inUse() - before)
			case err = <-errs:
				err = fmt.Errorf("a call that should wait returned %v", err)
				errs <- nil
			}
			cancel()
			for range callers {
				if e := <-errs; e != nil && !errors.Is(e, context.Canceled) && err == nil {
					err = e
				}
			}
			return err
		}, func() { e.Close() }, nil
	}
}
