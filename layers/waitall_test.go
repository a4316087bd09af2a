package layers

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/maida-ai/gomai/sched"
)

// A branch that fails ends what waits in it, and nothing else.
func TestErrorEndsOneBranch(t *testing.T) {
	inBubble(t, func(t *testing.T, s *sched.Sched) {
		var ended sync.Map
		var start time.Time
		watch := func(name string) Module[int, int] {
			return Func(name, func(ctx context.Context, in int) (int, error) {
				select {
				case <-ctx.Done():
				case <-time.After(20 * ms):
				}
				ended.Store(name, time.Since(start))
				return in, ctx.Err()
			}).With(Blocking)
		}
		inner := sum(watch("inner"), Sequential(BlockingDelay[int](3*ms), watch("then")), fails("bad", 5*ms).With(Blocking))
		e := must(t, waitAll(watch("left"), inner, watch("right")), On(s))
		start = time.Now()
		_, err := e.Call(context.Background(), 1)
		wantError(t, err, errBoom, "parallel[1]/parallel[2]/bad")
		within(t, "the call", time.Since(start), 20*ms, 20*ms)
		synctest.Wait()
		for name, want := range map[string]time.Duration{"left": 20 * ms, "right": 20 * ms, "inner": 5 * ms, "then": 5 * ms} {
			if got, _ := ended.Load(name); got != want {
				t.Errorf("%s ended after %v, want %v", name, got, want)
			}
		}
	})
}

// Of the branches round an error none begins that had not yet, and an error of a branch does not hide that
// the call is late.
func TestErrorAndWhatIsStillToCome(t *testing.T) {
	inBubble(t, func(t *testing.T, s *sched.Sched) {
		never := Plain("never", func(in int) (int, error) {
			t.Error("a step begins in a branch that has failed")
			return in, nil
		}).With(Computing)
		bad := fails("bad", 0).With(Computing)
		e := must(t, waitAll(sum(BlockingDelay[int](ms), bad, never, never), sum(BlockingDelay[int](ms), plus(1))), On(s))
		for range 3 {
			_, err := e.Call(context.Background(), 1)
			wantError(t, err, errBoom, "parallel[0]/parallel[1]/bad")
		}
		e = must(t, waitAll(bad, Sequential(takes("slow", 20*ms), plus(1)), BlockingDelay[int](time.Second)), On(s))
		for range 3 {
			_, err := e.Call(context.Background(), 1, Timeout(10*ms))
			wantError(t, err, context.DeadlineExceeded, "parallel[1]/slow")
		}
		e = must(t, waitAll(bad, BlockingDelay[int](time.Second)), On(s))
		_, err := e.Call(context.Background(), 1, Timeout(10*ms))
		wantError(t, err, context.DeadlineExceeded, "parallel[1]/delay")
	})
}

// plan is a random pipeline together with a model of what it does: when it ends, and with what.
type plan struct {
	m     Module[job, job]
	model func(in job, start time.Duration) outcome
}

// job says which steps are to fail, by number, and counts what ran on the way of the value.
type job struct {
	fail uint64
	sum  int
}

type outcome struct {
	at   time.Duration
	sum  int
	fail int // number of the step that failed, 0: none
}

type stepFailed int

func (f stepFailed) Error() string { return fmt.Sprint("step ", int(f), " fails") }

// planner makes random plans. Each wait is of another random length, so that no two things happen at once.
type planner struct {
	rnd   *rand.Rand
	steps int
}

func (p *planner) wait() time.Duration {
	return time.Duration(1+p.rnd.Int64N(int64(time.Hour/µs))) * µs
}

func (p *planner) plan(depth int) plan {
	if depth == 0 || p.steps > 50 {
		return p.leaf()
	}
	switch p.rnd.IntN(5) {
	case 0:
		return p.leaf()
	case 1:
		a, b := p.plan(depth-1), p.plan(depth-1)
		return plan{Sequential(a.m, b.m), func(in job, start time.Duration) outcome {
			o := a.model(in, start)
			if o.fail == 0 {
				o = b.model(job{in.fail, o.sum}, o.at)
			}
			return o
		}}
	}
	return p.parallel(depth)
}

// leaf is a step that waits in some way and then succeeds, fails or panics in some place.
func (p *planner) leaf() plan {
	p.steps++
	n, d, how := p.steps, p.wait(), p.rnd.IntN(2)
	end := func(in job) (job, error) {
		switch {
		case in.fail>>n&1 == 0:
			return job{in.fail, in.sum + n}, nil
		case how == 0:
			return job{}, stepFailed(n)
		}
		panic(stepFailed(n))
	}
	var m Module[job, job]
	if p.rnd.IntN(2) == 0 {
		m = Sequential(BlockingDelay[job](d), Plain("computing", end).With(Computing))
	} else {
		m = Plain("blocking", func(in job) (job, error) { time.Sleep(d); return end(in) }).With(Blocking)
	}
	return plan{m, func(in job, start time.Duration) outcome {
		if in.fail>>n&1 != 0 {
			return outcome{start + d, 0, n}
		}
		return outcome{start + d, in.sum + n, 0}
	}}
}

func (p *planner) parallel(depth int) plan {
	kids := make([]plan, 1+p.rnd.IntN(4))
	ms := make([]Module[job, job], len(kids))
	for i := range kids {
		kids[i] = p.plan(depth - 1)
		ms[i] = kids[i].m
	}
	all := p.rnd.IntN(2) == 0
	par := Parallel(ms...)
	if all {
		par = par.With(WaitAll)
	}
	gather := Plain("gather", func(in []job) (job, error) {
		out := job{fail: in[0].fail}
		for _, j := range in {
			out.sum += j.sum
		}
		return out, nil
	}).With(Computing)
	return plan{Sequential(par, gather), func(in job, start time.Duration) outcome {
		var o, early outcome // the result if all are waited for, and the first failure
		for _, k := range kids {
			r := k.model(in, start)
			o.at = max(o.at, r.at)
			o.sum += r.sum
			if r.fail != 0 && o.fail == 0 {
				o.fail = r.fail
			}
			if r.fail != 0 && (early.fail == 0 || r.at < early.at) {
				early = r
			}
		}
		if !all && early.fail != 0 {
			return early
		}
		return o
	}}
}

// Random nested pipelines, WaitAll in fail-fast and the reverse, do what the model says; and after an
// error the same engine works again.
func TestParallelsNestedAtRandom(t *testing.T) {
	for seed := range uint64(60) {
		inBubble(t, func(t *testing.T, s *sched.Sched) {
			p := &planner{rnd: rand.New(rand.NewPCG(seed, 1))}
			plan := p.parallel(4)
			e := must(t, plan.m, On(s))
			for i := range 12 {
				in := job{}
				if i%4 > 0 { // one step in eight, one in four, one in two
					in.fail = p.rnd.Uint64()
					for range 3 - i%4 {
						in.fail &= p.rnd.Uint64()
					}
				}
				want := plan.model(in, 0)
				start := time.Now()
				got, err := e.Call(context.Background(), in)
				took := time.Since(start)
				var failed stepFailed
				errors.As(err, &failed)
				if took != want.at || int(failed) != want.fail || (err == nil) != (want.fail == 0) || err == nil && got.sum != want.sum {
					t.Fatalf("seed %d, call %d: got %d, %v after %v, want %+v\n%s", seed, i, got.sum, err, took, want, e.Explain())
				}
				if i%3 == 0 { // sometimes with abandoned runs from calls before
					time.Sleep(time.Minute)
				}
			}
			time.Sleep(100 * time.Hour)
			if st := e.Stats(); st != (Stats{Calls: 12}) {
				t.Errorf("seed %d: %+v when all is over", seed, st)
			}
		})
	}
}
