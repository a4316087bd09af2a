package layers

import (
	"bytes"
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/maida-ai/gomai/sched"
)

// goroutine returns the number of the goroutine it is called on.
func goroutine() string {
	buf := make([]byte, 64)
	return string(bytes.Fields(buf[:runtime.Stack(buf, false)])[1])
}

// where is a step that notes the goroutine it runs on.
type where struct {
	on    atomic.Value
	takes atomic.Int64
	runs  atomic.Int64
}

func (w *where) Forward(_ context.Context, in int) (int, error) {
	w.runs.Add(1)
	w.on.Store(goroutine())
	time.Sleep(time.Duration(w.takes.Load()))
	return in, nil
}

// onLane calls e and reports whether the step ran on another goroutine than the caller's.
func (w *where) onLane(t *testing.T, call func() error) bool {
	t.Helper()
	runs := w.runs.Load()
	if err := call(); err != nil {
		t.Error(err)
	}
	if w.runs.Load() != runs+1 {
		t.Errorf("the step ran %d times", w.runs.Load()-runs)
	}
	return w.on.Load() != goroutine()
}

func TestBlockingIsFoundOut(t *testing.T) {
	inBubble(t, func(t *testing.T, s *sched.Sched) {
		var w where
		e := must(t, Of[int, int]("w", &w), On(s))
		run := 0
		call := func(wantLane bool) {
			t.Helper()
			run++
			says := "(undeclared, on the caller)"
			if wantLane {
				says = "(undeclared, on the lane)"
			}
			if got := e.Explain(); !strings.Contains(got, says) {
				t.Errorf("before run %d Explain says\n%swant %s", run, got, says)
			}
			lane := w.onLane(t, func() error { _, err := e.Call(t.Context(), 1, Timeout(time.Minute)); return err })
			if lane != wantLane {
				t.Errorf("run %d on the lane: %v, want %v", run, lane, wantLane)
			}
		}
		calls := func(n int, takes time.Duration, wantLane bool) {
			t.Helper()
			w.takes.Store(int64(takes))
			for range n {
				call(wantLane)
			}
		}
		calls(14, 0, true)
		calls(2, 5*ms, true) // two of 16 took over a millisecond: not enough
		calls(20, ms/2, false)
		calls(2, 5*ms, false) // two slow runs on the caller: not enough
		calls(50, 0, false)
		calls(1, 5*ms, false) // the third sends it back
		calls(13, ms, true)   // what takes just a millisecond is fast
		calls(3, ms+1, true)  // three of 16: it stays
		calls(13, 0, true)    // as long as they are among the last 16
		calls(1, 0, true)
		calls(1, 0, false)
	})
}

// Runs whose caller has left count, too: as slow ones, when they end.
func TestAbandonedRunsKeepStepOnLane(t *testing.T) {
	inBubble(t, func(t *testing.T, s *sched.Sched) {
		var w where
		e := must(t, Of[int, int]("w", &w), On(s))
		w.takes.Store(int64(time.Second))
		for range 8 {
			_, err := e.Call(t.Context(), 1, Timeout(ms))
			wantError(t, err, context.DeadlineExceeded, "w")
		}
		time.Sleep(time.Minute)
		w.takes.Store(0)
		for i := range 9 + 4 { // until all but two of the last 16 are fast
			want := i < 8+6-1
			if lane := w.onLane(t, func() error { _, err := e.Call(t.Context(), 1, Timeout(ms)); return err }); lane != want {
				t.Errorf("fast run %d on the lane: %v, want %v\n%s", i, lane, want, e.Explain())
			}
		}
	})
}

// Runs that were still on the lane when their step moved to the caller change nothing.
func TestStragglersOfTheTrial(t *testing.T) {
	inBubble(t, func(t *testing.T, s *sched.Sched) {
		var w where
		e := must(t, Of[int, int]("w", &w), On(s))
		w.takes.Store(int64(ms))
		call := func() error { _, err := e.Call(t.Context(), 1, Timeout(time.Minute)); return err }
		var wg sync.WaitGroup
		for range 60 {
			wg.Go(func() { _ = call() })
		}
		synctest.Wait()
		w.takes.Store(int64(time.Second)) // as these all take
		for range 20 {
			wg.Go(func() { _ = call() })
		}
		wg.Wait()
		for i := range 3 {
			if w.takes.Store(int64(5 * ms)); w.onLane(t, call) {
				t.Fatalf("run %d after the trial is on the lane\n%s", i, e.Explain())
			}
		}
		if !w.onLane(t, call) {
			t.Errorf("three slow runs on the caller did not send it back\n%s", e.Explain())
		}
	})
}

func TestWhereStepsRun(t *testing.T) {
	type placed struct {
		name string
		ctx  func(testing.TB) context.Context
		opts []Option
		lane bool
	}
	background := func(testing.TB) context.Context { return context.Background() }
	calls := []placed{
		{"no deadline, nothing to cancel", background, nil, false},
		{"a Timeout", background, []Option{Timeout(time.Hour)}, true},
		{"a Deadline", background, []Option{Deadline(time.Now().Add(time.Hour))}, true},
		{"a ctx that can be cancelled", httpContext, nil, true},
	}
	for _, c := range []struct {
		name string
		m    func(Module[int, int]) Module[int, int]
		mark Option
		lane string // y: always, n: never, c: as the call says
	}{
		{"alone", func(m Module[int, int]) Module[int, int] { return m }, Blocking, "c"},
		{"alone", func(m Module[int, int]) Module[int, int] { return m }, Option{}, "c"},
		{"alone", func(m Module[int, int]) Module[int, int] { return m }, Computing, "n"},
		{"inner mark", func(m Module[int, int]) Module[int, int] { return m.With(Computing) }, Blocking, "c"},
		{"inner mark", func(m Module[int, int]) Module[int, int] { return Sequential(m, plus(0)).With(Blocking) }, Computing, "n"},
		{"outer mark", func(m Module[int, int]) Module[int, int] { return Sequential(m, plus(0)).With(Blocking) }, Option{}, "c"},
		{"outer mark", func(m Module[int, int]) Module[int, int] { return Sequential(m, plus(0)).With(Computing) }, Option{}, "n"},
		{"own limit", func(m Module[int, int]) Module[int, int] {
			return Sequential(m.With(Timeout(time.Hour)), plus(0).With(Computing))
		}, Blocking, "y"},
		{"in a Parallel", func(m Module[int, int]) Module[int, int] {
			return Sequential(Parallel(m, plus(0)), Aggregate(Max[int]))
		}, Blocking, "y"},
		{"deep in a Parallel", func(m Module[int, int]) Module[int, int] {
			return Sequential(Parallel(plus(0), Sequential(plus(0), m)), Aggregate(Max[int]))
		}, Blocking, "y"},
		{"in a Parallel of one", func(m Module[int, int]) Module[int, int] {
			return Sequential(Parallel(m), Aggregate(Max[int]))
		}, Blocking, "c"},
		{"after a Parallel", func(m Module[int, int]) Module[int, int] {
			return Sequential3(Parallel(plus(0), plus(0)), Aggregate(Max[int]), m)
		}, Blocking, "c"},
		{"in a Both", func(m Module[int, int]) Module[int, int] {
			return Sequential(Both(m, plus(0)), Plain("first", func(p Pair[int, int]) (int, error) { return p.First, nil }))
		}, Blocking, "y"},
		{"in a Parallel", func(m Module[int, int]) Module[int, int] {
			return Sequential(Parallel(m, plus(0)), Aggregate(Max[int]))
		}, Computing, "n"},
	} {
		inBubble(t, func(t *testing.T, s *sched.Sched) {
			var w where
			e := must(t, c.m(Of[int, int]("w", &w).With(c.mark)), On(s))
			for _, p := range calls {
				want := c.lane == "y" || c.lane == "c" && p.lane
				if got := w.onLane(t, func() error { _, err := e.Call(p.ctx(t), 1, p.opts...); return err }); got != want {
					t.Errorf("%s, %v, %s: on the lane %v, want %v\n%s", c.name, c.mark, p.name, got, want, e.Explain())
				}
			}
		})
	}
}

// Without a deadline an undeclared step is timed on its caller.
func TestTrialOnTheCaller(t *testing.T) {
	inBubble(t, func(t *testing.T, s *sched.Sched) {
		for _, takes := range []time.Duration{0, 2 * ms} {
			var w where
			w.takes.Store(int64(takes))
			e := must(t, Of[int, int]("w", &w), On(s))
			for range 40 {
				if w.onLane(t, func() error { _, err := e.Call(context.Background(), 1); return err }) {
					t.Fatal("it ran on the lane")
				}
			}
			lane := w.onLane(t, func() error { _, err := e.Call(t.Context(), 1, Timeout(time.Minute)); return err })
			if want := takes > 0; lane != want {
				t.Errorf("after 40 runs of %v on the lane: %v", takes, lane)
			}
		}
	})
}

// Blocking branches block at the same time, and computing ones compute meanwhile, wherever they stand.
func TestParallelOverlaps(t *testing.T) {
	inBubble(t, func(t *testing.T, s *sched.Sched) {
		b, c, d := blocks("b", time.Second), takes("c", time.Second), BlockingDelay[int](time.Second)
		for name, m := range map[string]Module[int, []int]{
			"blocking":         Parallel(b, b, b, b),
			"delays":           Parallel(d, d, d, d),
			"blocking, delays": Parallel(b, d, b, d),
			"computing first":  Parallel(c, b, d, b),
			"computing last":   Parallel(b, d, b, c),
			"nested":           Parallel(Sequential(Parallel(d, b), Aggregate(Max[int])), Sequential(Parallel(b, c), Aggregate(Max[int]))),
		} {
			e := must(t, m, On(s))
			start := time.Now()
			if _, err := e.Call(context.Background(), 1); err != nil {
				t.Error(name, err)
			}
			within(t, name, time.Since(start), time.Second, time.Second)
		}
	})
}

func TestMaxBlocking(t *testing.T) {
	type bound struct {
		name string
		s    []sched.Option
		e    []Option
	}
	for _, b := range []bound{
		{"the scheduler's", []sched.Option{sched.MaxBlocking(3)}, nil},
		{"the engine's share", nil, []Option{MaxBlocking(3)}},
		{"the smaller one", []sched.Option{sched.MaxBlocking(3)}, []Option{MaxBlocking(30)}},
	} {
		inBubble(t, func(t *testing.T, s *sched.Sched) {
			e := must(t, blocks("b", time.Second), append(b.e, On(s))...)
			five := must(t, Parallel(blocks("b", time.Second), blocks("b", 2*time.Second), blocks("b", 1), blocks("b", 1)), append(b.e, On(s))...)
			call := func(want error) {
				t.Helper()
				start := time.Now()
				_, err := e.Call(t.Context(), 1, Timeout(ms))
				wantError(t, err, want, "b")
				if want == sched.ErrOverloaded && time.Since(start) != 0 {
					t.Errorf("%s: overloaded after %v", b.name, time.Since(start))
				}
			}
			for range 3 { // abandoned runs count
				for range 3 {
					call(context.DeadlineExceeded)
				}
				call(sched.ErrOverloaded)
				call(sched.ErrOverloaded)
				if st := e.Stats(); st.Abandoned != 3 || st.Blocking != 3 {
					t.Errorf("%s: %+v", b.name, st)
				}
				time.Sleep(time.Second)
				if st := e.Stats(); st.Abandoned != 0 || st.Blocking != 0 || st.Inside != 0 {
					t.Errorf("%s: %+v after they have ended", b.name, st)
				}
			}
			_, err := five.Call(t.Context(), 1)
			wantError(t, err, sched.ErrOverloaded, "parallel[3]/b")
			time.Sleep(2 * time.Second)
		}, b.s...)
	}
	for _, n := range []int{0, -1} {
		if _, err := Compile(inc(0), MaxBlocking(n)); err == nil || !strings.Contains(err.Error(), "MaxBlocking") {
			t.Errorf("MaxBlocking(%d): %v", n, err)
		}
	}
}

// One goroutine is enough for calls that come one after the other.
func TestMaxBlockingOfOne(t *testing.T) {
	s := sched.New(sched.MaxBlocking(1))
	defer s.Close()
	e := must(t, plus(1).With(Blocking), On(s), MaxBlocking(1))
	for i := range 2000 {
		if v, err := e.Call(t.Context(), i); v != i+1 || err != nil {
			t.Fatalf("call %d: %v, %v", i, v, err)
		}
	}
}

// The lane's goroutines leave when they have been idle for 10 s; what ends by Goexit or a panic takes
// nothing with it.
func TestLaneGoesHome(t *testing.T) {
	inBubble(t, func(t *testing.T, s *sched.Sched) {
		e := must(t, Plain("step", func(in int) (int, error) {
			switch in {
			case 1:
				runtime.Goexit()
			case 2:
				panic("oops")
			}
			time.Sleep(time.Second)
			return in, nil
		}).With(Blocking), On(s))
		var wg sync.WaitGroup
		for i := range 30 {
			wg.Go(func() { _, _ = e.Call(t.Context(), i%3) })
		}
		synctest.Wait()
		if st := s.Stats(); st.Blocking-st.Idle != 10 { // those of the panics wait for work, or got some
			t.Errorf("%+v", st)
		}
		wg.Wait()
		if st := e.Stats(); st.Calls != 30 || st.Inside != 0 || st.Blocking != 0 || st.Abandoned != 0 {
			t.Errorf("%+v", st)
		}
		time.Sleep(11 * time.Second)
		if st := s.Stats(); st.Blocking != 0 {
			t.Errorf("%+v after 11 idle seconds", st)
		}
		if _, err := e.Call(t.Context(), 0); err != nil {
			t.Error(err)
		}
	})
}

func TestSchedulerIsClosed(t *testing.T) {
	s := sched.New()
	e := must(t, Sequential(plus(1).With(Computing), blocks("b", 0)), On(s))
	s.Close()
	_, err := e.Call(t.Context(), 1)
	wantError(t, err, sched.ErrClosed, "b")
	if v, err := e.Call(context.Background(), 1); v != 3 || err != nil { // on the caller
		t.Error(v, err)
	}
}

// TestManyCallers is for the race detector: undeclared steps move between lane and caller under calls
// with short and long deadlines.
func TestManyCallers(t *testing.T) {
	s := sched.New()
	defer s.Close()
	look := Func("look", func(ctx context.Context, in int64) (int64, error) {
		ctx.Value(ctxKey{})
		return in, ctx.Err()
	})
	e := must(t, Sequential(Parallel(chain10(), diamond10(), look), Into("sum", sumInto)), On(s))
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 300 {
				limit := time.Minute
				if (g+i)%7 == 0 {
					limit = time.Duration(1 + i*i)
				}
				v, err := e.Call(t.Context(), 1, Timeout(limit))
				if err == nil && v != 11+24+1 || err != nil && (limit == time.Minute || !errors.Is(err, context.DeadlineExceeded)) {
					t.Error(v, err)
				}
			}
		})
	}
	wg.Wait()
	if err := e.Close(); err != nil && !strings.Contains(err.Error(), "abandoned") {
		t.Error(err)
	}
	if st := e.Stats(); st.Calls != 8*300 || st.Inside != 0 {
		t.Errorf("%+v", st)
	}
}
