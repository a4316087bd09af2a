package layers

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/maida-ai/gomai/kernel"
	"github.com/maida-ai/gomai/sched"
)

const (
	µs = time.Microsecond
	ms = time.Millisecond
)

// inBubble runs f in fake time on a scheduler that is made, and closed, there. A goroutine that is left
// at the end fails the test.
func inBubble(t *testing.T, f func(t *testing.T, s *sched.Sched), opts ...sched.Option) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := sched.New(opts...)
		defer s.Close()
		f(t, s)
	})
}

// takes is a step that computes for d.
func takes(name string, d time.Duration) Module[int, int] {
	return Plain(name, func(in int) (int, error) { time.Sleep(d); return in + 1, nil }).With(Computing)
}

// blocks is a step that blocks for d, whatever its context says.
func blocks(name string, d time.Duration) Module[int, int] {
	return Plain(name, func(in int) (int, error) { time.Sleep(d); return in + 1, nil }).With(Blocking)
}

// wantError checks that err wraps is and names path.
func wantError(t *testing.T, err, is error, path string) {
	t.Helper()
	var step *kernel.StepError
	if !errors.Is(err, is) || !errors.As(err, &step) || step.Path != path {
		t.Errorf("got %v, want %v at %s", err, is, path)
	}
}

// within checks that something took from min to max.
func within(t *testing.T, name string, took, min, max time.Duration) {
	t.Helper()
	if took < min || took > max {
		t.Errorf("%s took %v, want %v to %v", name, took, min, max)
	}
}

// limits are Timeouts on all sides of what the clock can and cannot tell apart or remember.
var limits = []time.Duration{1, 500 * µs, ms, ms + 1, 3 * ms, 10 * ms, 999 * ms,
	sched.Remembered, sched.Remembered + 1, 20 * time.Second}

// A Timeout is never early and at most two beats late, wherever between two beats of a running or standing
// clock the call begins.
func TestTimeoutIsOnTime(t *testing.T) {
	poll := Func("poll", func(ctx context.Context, in int) (int, error) {
		due, _ := ctx.Deadline()
		time.Sleep(time.Until(due) - 5*ms)
		for ctx.Err() == nil {
			time.Sleep(100 * µs)
		}
		return in, nil
	}).With(Computing)
	wait := Func("wait", func(ctx context.Context, in int) (int, error) {
		<-ctx.Done()
		return in, ctx.Err()
	}).With(Computing)
	inBubble(t, func(t *testing.T, s *sched.Sched) {
		engines := map[string]*Engine[int, int]{
			"poll":  must(t, poll, On(s)),
			"wait":  must(t, wait, On(s)),
			"block": must(t, blocks("block", time.Hour), On(s)),
			"delay": must(t, BlockingDelay[int](time.Hour), On(s)),
		}
		for _, limit := range limits {
			for _, after := range []time.Duration{0, 1, 300 * µs, 999 * µs, 5 * ms, time.Minute} {
				for name, e := range engines {
					time.Sleep(after)
					start := time.Now()
					_, err := e.Call(t.Context(), 1, Timeout(limit))
					wantError(t, err, context.DeadlineExceeded, name)
					within(t, name+" with a Timeout of "+limit.String(), time.Since(start), limit, limit+2*ms)
				}
			}
		}
		time.Sleep(2 * time.Hour) // for the abandoned runs
	})
}

// What ends just in time is returned.
func TestTimeoutIsNotEarly(t *testing.T) {
	inBubble(t, func(t *testing.T, s *sched.Sched) {
		for _, limit := range limits {
			for _, m := range []Module[int, int]{
				takes("takes", limit-1), blocks("blocks", limit-1), BlockingDelay[int](limit - 1),
				Sequential3(takes("half", limit/2), BlockingDelay[int](limit/4), blocks("quarter", limit/5)),
				takes("inner", limit-1).With(Timeout(time.Hour)).With(Timeout(limit)),
			} {
				e := must(t, Sequential(m, takes("nothing", 0)), On(s))
				for range 3 {
					time.Sleep(777 * µs)
					if _, err := e.Call(t.Context(), 1, Timeout(limit)); err != nil {
						t.Errorf("Timeout(%v): %v", limit, err)
					}
				}
			}
		}
	})
}

// A chain of short steps stops at the first boundary after the beat that follows the deadline.
func TestTimeoutStopsChain(t *testing.T) {
	inBubble(t, func(t *testing.T, s *sched.Sched) {
		ran := 0
		step := Plain("step", func(in int) (int, error) { ran++; time.Sleep(130 * µs); return in, nil }).With(Computing)
		m := step
		for range 6 {
			m = Sequential(m, m)
		}
		e := must(t, m, On(s))
		for i := range 20 {
			time.Sleep(time.Duration(i) * 171 * µs)
			ran = 0
			start := time.Now()
			_, err := e.Call(context.Background(), 1, Timeout(3*ms))
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Fatal(err)
			}
			within(t, "the chain", time.Since(start), 3*ms, 5*ms+130*µs)
			if most := int((5*ms)/(130*µs)) + 1; ran > most {
				t.Errorf("%d steps ran, want at most %d", ran, most)
			}
		}
	})
}

func TestSmallestLimitHolds(t *testing.T) {
	const none = time.Hour
	for _, c := range []struct {
		name                      string
		parent, root, call, inner time.Duration
		want                      time.Duration
	}{
		{"the root's", none, 10 * ms, 0, 0, 10 * ms},
		{"the call's instead of the root's, shorter", none, 30 * ms, 10 * ms, 0, 10 * ms},
		{"the call's instead of the root's, longer", none, 10 * ms, 30 * ms, 0, 30 * ms},
		{"the inner one", none, 30 * ms, 20 * ms, 10 * ms, 10 * ms},
		{"the call's below the inner one", none, 0, 10 * ms, 20 * ms, 10 * ms},
		{"the context's", 10 * ms, 30 * ms, 20 * ms, 40 * ms, 10 * ms},
		{"the call's below the context's", 30 * ms, 0, 10 * ms, 0, 10 * ms},
		{"the context's, although the call has more", 10 * ms, 5 * ms, 30 * ms, 0, 10 * ms},
	} {
		inBubble(t, func(t *testing.T, s *sched.Sched) {
			var due time.Time
			block := Func("block", func(ctx context.Context, in int) (int, error) {
				due, _ = ctx.Deadline()
				time.Sleep(time.Minute)
				return in, nil
			})
			if c.inner > 0 {
				block = block.With(Timeout(c.inner))
			}
			root := Sequential(takes("first", 0), block)
			if c.root > 0 {
				root = root.With(Timeout(c.root))
			}
			var opts []Option
			if c.call > 0 {
				opts = append(opts, Timeout(c.call))
			}
			ctx, cancel := context.WithTimeout(t.Context(), c.parent)
			defer cancel()
			for _, mark := range []Option{Blocking, Computing} {
				e := must(t, root.With(mark), On(s))
				start := time.Now()
				_, err := e.Call(ctx, 1, opts...)
				wantError(t, err, context.DeadlineExceeded, "block")
				synctest.Wait()
				if mark == Blocking {
					within(t, c.name+" limit", time.Since(start), c.want, c.want+2*ms)
					within(t, c.name+": what ctx.Deadline says", due.Sub(start), c.want, c.want+2*ms)
				}
				ctx, cancel = context.WithTimeout(t.Context(), c.parent)
				defer cancel()
			}
			time.Sleep(time.Minute)
		})
	}
}

func TestLimitsOfOneKindAddUpToTheSmallest(t *testing.T) {
	inBubble(t, func(t *testing.T, s *sched.Sched) {
		now := time.Now()
		for name, c := range map[string]struct{ with, call []Option }{
			"two Timeouts of a Module":  {with: []Option{Timeout(20 * ms), Timeout(10 * ms)}},
			"two Timeouts of a call":    {call: []Option{Timeout(10 * ms), Timeout(20 * ms)}},
			"two Deadlines of a Module": {with: []Option{Deadline(now.Add(30 * ms)), Deadline(now.Add(10 * ms))}},
			"a call's Deadline":         {with: []Option{Timeout(ms)}, call: []Option{Deadline(now.Add(10 * ms))}},
		} {
			e := must(t, blocks("block", 50*ms).With(c.with...), On(s))
			start := time.Now()
			_, err := e.Call(t.Context(), 1, c.call...)
			wantError(t, err, context.DeadlineExceeded, "block")
			want := 10 * ms
			if strings.Contains(name, "Deadline") {
				want = max(0, now.Add(10*ms).Sub(start))
			}
			within(t, name, time.Since(start), want, want+2*ms)
		}
		time.Sleep(time.Second)
	})
}

// A result that comes late is dropped; the error names the step that overran, and *out keeps its value.
func TestLateResultIsDropped(t *testing.T) {
	inBubble(t, func(t *testing.T, s *sched.Sched) {
		slow := takes("slow", 20*ms)
		yes := func(context.Context, int) (bool, error) { return true, nil }
		for _, c := range []struct {
			m     Module[int, int]
			path  string
			inner bool // the limit is an inner one
		}{
			{slow, "slow", false},
			{Sequential(takes("a", 0), slow), "slow", false},
			{Sequential3(takes("a", 5*ms), slow, takes("b", 0)), "slow", false},
			{Sequential(takes("a", 0), slow.With(Timeout(10*ms))), "slow", true},
			{Sequential(slow, takes("a", 0)).With(Name("both"), Timeout(10*ms)), "both/slow", false},
			{Sequential3(takes("a", 0), Sequential(slow, takes("b", 0)).With(Timeout(10*ms)), takes("c", 0)), "slow", true},
			{Sequential(Parallel(takes("a", 0), slow), Aggregate(Sum[int])), "parallel[1]/slow", false},
			{Sequential(Parallel(slow, takes("a", 0)), Aggregate(Sum[int])), "parallel[0]/slow", false},
			{Sequential(BlockingDelay[int](9*ms), slow), "slow", false},
			{Sequential(Parallel(BlockingDelay[int](9*ms), slow), Aggregate(Sum[int])), "parallel[1]/slow", false},
			{Conditional(yes, slow, takes("a", 0)).With(Computing), "conditional[then]/slow", false},
		} {
			e := must(t, c.m, On(s))
			for _, ctx := range []context.Context{context.Background(), httpContext(t)} {
				out := 7
				err := e.CallInto(ctx, 1, &out, Timeout(10*ms))
				wantError(t, err, context.DeadlineExceeded, c.path)
				if out != 7 {
					t.Errorf("%s: *out is %d after an error", c.path, out)
				}
				if _, err := e.Call(ctx, 1, Timeout(time.Hour)); (err != nil) != c.inner {
					t.Errorf("%s: with an hour: %v", c.path, err)
				}
			}
		}
	})
}

// What came in time is kept although the next step is late, and the path is that of the late one: also
// when what went before it was a wait.
func TestBlameAfterWaits(t *testing.T) {
	inBubble(t, func(t *testing.T, s *sched.Sched) {
		for path, m := range map[string]Module[int, int]{
			"delay": Sequential3(takes("a", ms), BlockingDelay[int](time.Hour), takes("b", 0)),
			"block": Sequential3(takes("a", ms), blocks("block", time.Minute), takes("b", 0)),
			"b":     Sequential3(takes("a", ms), BlockingDelay[int](4*ms), takes("b", time.Minute)),
			"c":     Sequential3(blocks("a", ms), blocks("b", ms), takes("c", time.Minute)),
		} {
			_, err := must(t, m, On(s)).Call(t.Context(), 1, Timeout(10*ms))
			wantError(t, err, context.DeadlineExceeded, path)
		}
		time.Sleep(time.Hour)
	})
}

// A call whose deadline has passed begins no blocking step.
func TestNoBlockingStepAfterDeadline(t *testing.T) {
	inBubble(t, func(t *testing.T, s *sched.Sched) {
		ran := false
		e := must(t, Plain("effect", func(in int) (int, error) { ran = true; return in, nil }).With(Blocking), On(s))
		for _, at := range []time.Time{time.Now(), time.Now().Add(-time.Second)} { // now: 0 on the scheduler's scale
			_, err := e.Call(context.Background(), 1, Deadline(at))
			wantError(t, err, context.DeadlineExceeded, "effect")
		}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := e.Call(gone, 1)
		wantError(t, err, context.Canceled, "effect")
		synctest.Wait()
		if ran {
			t.Error("a blocking step ran although its call was over")
		}
	})
}

func TestEndlessLimits(t *testing.T) {
	inBubble(t, func(t *testing.T, s *sched.Sched) {
		time.Sleep(time.Second)
		for _, limit := range []Option{Timeout(math.MaxInt64), Deadline(time.Now().AddDate(5000, 0, 0)), Timeout(200 * 365 * 24 * time.Hour)} {
			e := must(t, Sequential3(takes("a", 5*ms), blocks("b", 5*ms), BlockingDelay[int](ms)).With(limit), On(s))
			if _, err := e.Call(t.Context(), 1); err != nil {
				t.Errorf("%v: %v", limit, err)
			}
		}
		start := time.Now()
		_, err := must(t, BlockingDelay[int](math.MaxInt64), On(s)).Call(t.Context(), 1, Timeout(time.Hour))
		wantError(t, err, context.DeadlineExceeded, "delay")
		within(t, "an endless delay", time.Since(start), time.Hour, time.Hour+2*ms)
	})
}

// A step that computes for longer than the clock remembers is late all the same, although the clock
// stops and goes in between.
func TestLateAfterClockForgot(t *testing.T) {
	inBubble(t, func(t *testing.T, s *sched.Sched) {
		other := must(t, takes("other", 0), On(s))
		done := make(chan bool)
		go func() {
			for i := range 4000 {
				if _, err := other.Call(t.Context(), i); err != nil {
					t.Error(err)
				}
				time.Sleep(time.Duration(2+i%2000) * ms)
			}
			close(done)
		}()
		e := must(t, takes("slow", 30*time.Minute), On(s))
		for _, limit := range []time.Duration{sched.Remembered, 29 * time.Minute} {
			_, err := e.Call(t.Context(), 1, Timeout(limit))
			wantError(t, err, context.DeadlineExceeded, "slow")
		}
		if _, err := e.Call(t.Context(), 1, Timeout(31*time.Minute)); err != nil {
			t.Error(err)
		}
		<-done
	})
}

// Cancelling stops a chain at the first boundary after the next beat, and a wait at once.
func TestCancel(t *testing.T) {
	inBubble(t, func(t *testing.T, s *sched.Sched) {
		ran := 0
		step := Plain("step", func(in int) (int, error) { ran++; time.Sleep(100 * µs); return in, nil }).With(Computing)
		m := step
		for range 7 {
			m = Sequential(m, m)
		}
		for i := range 30 {
			ctx, cancel := context.WithCancel(t.Context())
			at := time.Duration(i) * 37 * µs
			time.AfterFunc(at, cancel)
			ran = 0
			start := time.Now()
			_, err := must(t, m, On(s)).Call(ctx, 1)
			if !errors.Is(err, context.Canceled) {
				t.Fatal(err)
			}
			within(t, "the chain after cancelling", time.Since(start)-at, 0, ms+100*µs)
			if most := int((at+ms)/(100*µs)) + 1; ran > most {
				t.Errorf("%d steps ran, want at most %d", ran, most)
			}
		}
		for path, m := range map[string]Module[int, int]{
			"delay":             BlockingDelay[int](time.Hour),
			"block":             blocks("block", time.Minute),
			"parallel[0]/delay": Sequential(Parallel(BlockingDelay[int](time.Hour), takes("a", ms)), Aggregate(Sum[int])),
			"parallel[1]/block": Sequential(Parallel(takes("a", ms), blocks("block", time.Minute)), Aggregate(Sum[int])),
		} {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(10*ms, cancel)
			start := time.Now()
			_, err := must(t, m, On(s)).Call(ctx, 1, Timeout(30*time.Minute))
			wantError(t, err, context.Canceled, path)
			within(t, path, time.Since(start), 10*ms, 10*ms)
		}
		time.Sleep(time.Hour)
	})
}

// The step in which the caller's context is cancelled is the last.
func TestCancelInsideStep(t *testing.T) {
	inBubble(t, func(t *testing.T, s *sched.Sched) {
		for _, mark := range []Option{Blocking, Computing} {
			ctx, cancel := context.WithCancel(t.Context())
			next := false
			_, err := must(t, Sequential3(takes("a", 0),
				Plain("cancels", func(in int) (int, error) { cancel(); time.Sleep(2 * ms); return in, nil }).With(Computing),
				Plain("next", func(in int) (int, error) { next = true; return in, nil }).With(mark)), On(s)).Call(ctx, 1)
			wantError(t, err, context.Canceled, "next")
			if next {
				t.Error("a step ran after its call was cancelled")
			}
			// Also when nothing comes after it.
			ctx, cancel = context.WithCancel(t.Context())
			e := must(t, Sequential(takes("a", 0), Plain("last", func(in int) (int, error) { cancel(); time.Sleep(2 * ms); return in, nil }).With(Computing)).With(Name("root")), On(s))
			_, err = e.Call(ctx, 1)
			wantError(t, err, context.Canceled, "root/last")
			cancel()
		}
	})
}

func TestClockStandsWhenNobodyNeedsIt(t *testing.T) {
	inBubble(t, func(t *testing.T, s *sched.Sched) {
		e := must(t, Sequential(takes("a", 3*ms), BlockingDelay[int](time.Second)), On(s))
		for range 3 {
			if _, err := e.Call(context.Background(), 1); err != nil { // no deadline, no ctx to ask
				t.Fatal(err)
			}
			if s.Stats().Ticking {
				t.Error("the clock runs for a call that needs none")
			}
			if _, err := e.Call(context.Background(), 1, Timeout(time.Minute)); err != nil {
				t.Fatal(err)
			}
			if !s.Stats().Ticking {
				t.Error("the clock stands right after a call with a Timeout")
			}
			time.Sleep(20 * ms)
			synctest.Wait()
			if s.Stats().Ticking {
				t.Error("the clock runs 20 ms after the last call")
			}
		}
	})
}

// While it waits, a step's context says the same Deadline and, once it has one, the same Err.
func TestDeadlineAndErrStay(t *testing.T) {
	inBubble(t, func(t *testing.T, s *sched.Sched) {
		var cancel context.CancelFunc
		see := func(pin bool) Module[int, int] {
			return Func("see", func(c context.Context, in int) (int, error) {
				if pin {
					c.Value(ctxKey{})
				}
				first, ok := c.Deadline()
				for range 50 {
					time.Sleep(300 * µs)
					if d, _ := c.Deadline(); !ok || !d.Equal(first) {
						t.Errorf("Deadline was %v and is %v", first, d)
					}
					if late := !time.Now().Before(first.Add(ms)); c.Err() == nil && late || c.Err() != nil && time.Now().Before(first) {
						t.Errorf("Err is %v at %v, the deadline is %v", c.Err(), time.Now(), first)
					}
				}
				cancel()
				if err := c.Err(); err != context.DeadlineExceeded {
					t.Errorf("Err is %v, it was DeadlineExceeded before", err)
				}
				return in, nil
			})
		}
		for _, mark := range []Option{Blocking, Computing} {
			for _, pin := range []bool{false, true} {
				ctx, stop := context.WithCancel(t.Context())
				cancel = stop
				_, err := must(t, see(pin).With(mark), On(s)).Call(ctx, 1, Timeout(10*ms))
				if err == nil {
					t.Error("no error")
				}
				time.Sleep(time.Second)
				stop()
			}
		}
	})
}

// A call inside a step ends with the step's deadline, or with its own if that is earlier.
func TestNestedCallInheritsDeadline(t *testing.T) {
	inBubble(t, func(t *testing.T, s *sched.Sched) {
		inner := must(t, Sequential(takes("a", 0), blocks("b", time.Minute)), On(s))
		for _, mark := range []Option{Blocking, Computing} {
			for _, own := range []time.Duration{5 * ms, time.Hour} {
				var took time.Duration
				outer := must(t, Func("outer", func(ctx context.Context, in int) (int, error) {
					start := time.Now()
					_, err := inner.Call(ctx, in, Timeout(own))
					took = time.Since(start)
					wantError(t, err, context.DeadlineExceeded, "b")
					return in, err
				}).With(mark), On(s))
				_, err := outer.Call(t.Context(), 1, Timeout(20*ms))
				if !errors.Is(err, context.DeadlineExceeded) {
					t.Error(err)
				}
				synctest.Wait()
				within(t, "the inner call", took, min(own, 20*ms), min(own, 20*ms)+2*ms)
			}
		}
		time.Sleep(time.Minute)
	})
}

// Limits that make no sense are errors that name the Module and the setting.
func TestBadLimits(t *testing.T) {
	now := time.Now()
	for _, opts := range [][]Option{
		{Timeout(0)}, {Timeout(-1)}, {Timeout(math.MinInt64)}, {Timeout(time.Second), Timeout(-time.Second)},
		{Deadline(time.Time{})},
		{Timeout(time.Second), Deadline(now)}, {Deadline(now), Timeout(time.Second)},
	} {
		last := opts[len(opts)-1].Kind.String()
		check := func(err error, path string) {
			t.Helper()
			var bad *kernel.SettingError
			if !errors.As(err, &bad) || bad.Setting != last || bad.Path != path || !strings.Contains(err.Error(), last) {
				t.Errorf("%v of %q: got %v", opts, path, err)
			}
		}
		_, err := Compile(Sequential(inc(0), inc(1).With(opts...)).With(Name("root")))
		check(err, "root/inc1")
		_, err = Compile(Sequential(inc(0), inc(1)).With(opts...))
		check(err, "sequential")
		e := must(t, inc(0))
		for range 3 { // and the Frame is fit for the next call
			_, err = e.Call(t.Context(), 1, opts...)
			check(err, "")
			if v, err := e.Call(t.Context(), 1); v != 2 || err != nil {
				t.Error(v, err)
			}
		}
	}
	_, err := Compile(Sequential(inc(0), BlockingDelay[int64](-time.Second)))
	if err == nil || !strings.Contains(err.Error(), "delay: ") || !strings.Contains(err.Error(), "-1s") {
		t.Errorf("a negative delay: %v", err)
	}
}
