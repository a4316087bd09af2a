package bench

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/maida-ai/gomai/layers"
	"github.com/maida-ai/gomai/sched"
)

// wait is how long the step of a crowd sleeps.
const wait = 100 * time.Millisecond

// crowd is callers of a step that blocks, and the scheduler that they share with others.
type crowd struct {
	sched  *sched.Sched
	engine *layers.Engine[int64, int64]
	people int
	size   int // of the lane
}

func newCrowd(people, size int) (*crowd, error) {
	c := &crowd{sched: sched.New(sched.MaxBlocking(size)), people: people, size: size}
	e, err := layers.Compile(layers.Into("remote", func(_ context.Context, in int64, out *int64) error {
		time.Sleep(wait) // without an eye on its ctx, as many a client library
		*out = in + 1
		return nil
	}).With(layers.Blocking, limit), layers.On(c.sched), layers.MaxBlocking(size))
	c.engine = e
	return c, err
}

func (c *crowd) close() {
	c.engine.Close()
	c.sched.Close()
}

// calls makes all calls at once. Callers beyond the size of the lane wait for those before them, as a
// server's would that limits its requests.
func (c *crowd) calls() error {
	ctx, cancel := request()
	defer cancel()
	seats := make(chan struct{}, c.size)
	errs := make(chan error, c.people)
	var wg sync.WaitGroup
	for i := range int64(c.people) {
		wg.Go(func() {
			seats <- struct{}{}
			defer func() { <-seats }()
			var out int64
			if err := c.engine.CallInto(ctx, i, &out); err != nil {
				errs <- err
			} else if out != i+1 {
				errs <- fmt.Errorf("%d is not %d + 1", out, i)
			}
		})
	}
	wg.Wait()
	close(errs)
	var all []error
	for err := range errs {
		all = append(all, err)
	}
	if len(all) > 0 {
		return fmt.Errorf("%d of %d calls failed, the first: %w", len(all), c.people, all[0])
	}
	return nil
}

// waves measures how long a crowd takes, with a lane of its size and one of a tenth of that.
func waves(people int) Group {
	whole := func(size int) func() (Round, func(), error) {
		return func() (Round, func(), error) {
			c, err := newCrowd(people, size)
			if err != nil {
				return nil, nil, err
			}
			return func(sample func(float64)) error {
				start := time.Now()
				err := c.calls()
				sample(float64(time.Since(start).Nanoseconds()))
				return err
			}, c.close, nil
		}
	}
	one, ten := fmt.Sprintf("lane of %d", people), fmt.Sprintf("lane of %d", people/10)
	return Group{
		Name: "blocking lane",
		About: fmt.Sprintf("%d concurrent calls of a step that sleeps %v, under a deadline and a context that can be cancelled: ", people, wait) +
			"how long all of them take. A lane as large as that allows one sleep, a lane of a tenth ten sleeps one after the other. " +
			"In the first round there are no goroutines on the lane yet, nor memory for so many calls.",
		Rounds: 5,
		Single: true,
		Cases:  []Case{{Name: one, Open: whole(people)}, {Name: ten, Open: whole(people / 10)}},
		Limits: []Limit{
			{Case: one, Stat: Median, Bound: 1.5 * float64(wait)},
			{Case: ten, Stat: Median, Bound: 1.5 * 10 * float64(wait)},
		},
	}
}

// beside measures computing calls while a crowd waits, and while none does.
func beside(people int) Group {
	const idle, busy = "idle", "beside the crowd"
	return Group{
		Name: "beside the lane",
		About: fmt.Sprintf("Single calls of ten steps of 1 µs by one goroutine: with nothing else going on, and on the same scheduler "+
			"from the first of %d calls of the step that sleeps to the end of the last. One call follows the other: one that waits behind "+
			"thousands of goroutines for its turn on a core is a single sample, the max.", people),
		Rounds: 5,
		Single: true,
		Cases: []Case{
			{Name: idle, Open: func() (Round, func(), error) { return single(5000) }},
			{Name: busy, Open: func() (Round, func(), error) {
				c, err := newCrowd(people, people)
				if err != nil {
					return nil, nil, err
				}
				call, done, err := single(1, layers.On(c.sched))
				if err != nil {
					return nil, nil, err
				}
				return func(sample func(float64)) error {
					var over atomic.Bool
					end := make(chan error, 1)
					go func() {
						err := c.calls()
						over.Store(true)
						end <- err
					}()
					for !over.Load() {
						if err := call(sample); err != nil {
							return errors.Join(err, <-end)
						}
					}
					return <-end
				}, func() { done(); c.close() }, nil
			}},
		},
		Limits: []Limit{{Case: busy, Of: idle, Stat: P99, Bound: 3}},
	}
}
