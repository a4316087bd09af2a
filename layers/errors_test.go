package layers

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/maida-ai/gomai/kernel"
	"github.com/maida-ai/gomai/sched"
)

var errBoom = errors.New("boom")

// fails is a step that returns an error after d.
func fails(name string, d time.Duration) Module[int, int] {
	return Plain(name, func(in int) (int, error) {
		time.Sleep(d)
		return in, &fs.PathError{Op: "open", Path: name, Err: errBoom}
	})
}

func sum(branches ...Module[int, int]) Module[int, int] {
	return Sequential(Parallel(branches...), Aggregate(Sum[int]))
}

func TestErrorPaths(t *testing.T) {
	ok, bad := plus(1), fails("bad", 0)
	yes := func(_ context.Context, in int) (bool, error) { return in > 0, nil }
	no := func(context.Context, int) (bool, error) { return false, nil }
	cannot := func(context.Context, int) (bool, error) { return true, errBoom }
	first := Plain("first", func(p Pair[int, int]) (int, error) { return p.First, nil })
	for _, c := range []struct {
		path string
		m    Module[int, int]
	}{
		{"bad", bad},
		{"bad", Sequential(ok, bad)},
		{"bad", Sequential(Sequential(ok, ok), Sequential(bad, ok))},
		{"renamed", bad.With(Name("renamed"))},
		{"outer", bad.With(Name("inner")).With(Name("outer"))},
		{"pipeline/bad", Sequential(ok, bad).With(Name("pipeline"))},
		{"a/b/bad", Sequential(ok, Sequential(bad, ok).With(Name("b"))).With(Name("a"))},
		{"bad#2", Sequential3(ok.With(Name("bad")), bad, ok)},
		{"parallel[1]/bad", sum(ok, bad, ok)},
		{"parallel[2]/bad", sum(ok, ok, Sequential(ok, bad))},
		{"quickstart/parallel[1]/agent2", sum(ok, bad.With(Name("agent2"))).With(Name("quickstart"))},
		{"vote[1]/bad", Sequential(Parallel(ok, bad).With(Name("vote")), Aggregate(Sum[int]))},
		{"parallel[1]/parallel[0]/bad", sum(ok, sum(bad, ok))},
		{"parallel#2[0]/bad", Sequential(sum(ok), sum(bad))},
		{"sum", Sequential(Plain("none", func(int) ([]int, error) { return nil, nil }), Aggregate(Sum[int]))},
		{"both[0]/bad", Sequential(Both(bad, ok), first)},
		{"both[1]/bad", Sequential(Both(ok, bad), first)},
		{"conditional[then]/bad", Conditional(yes, bad, ok)},
		{"conditional[else]/bad", Conditional(no, ok, bad)},
		{"conditional/predicate", Conditional(cannot, ok, ok)},
		{"choose[then]/parallel[0]/bad", Conditional(yes, sum(bad), ok).With(Name("choose"))},
	} {
		is := errBoom
		if c.path == "sum" {
			is = ErrEmpty
		}
		for _, mark := range []Option{{}, Computing, Blocking} {
			failsAt(t, c.path, c.m.With(mark), 1, is, c.path)
		}
	}
}

func TestErrorsUnwrap(t *testing.T) {
	_, err := must(t, sum(plus(1), fails("bad", 0))).Call(t.Context(), 1)
	var step *kernel.StepError
	var file *fs.PathError
	if !errors.Is(err, errBoom) || !errors.As(err, &step) || !errors.As(err, &file) || file.Path != "bad" {
		t.Errorf("the cause is lost: %#v", err)
	}
	if want := "parallel[1]/bad: open bad: boom"; err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
	// A call inside a step: both paths.
	inner := must(t, sum(plus(1), fails("bad", 0)).With(Name("inner")))
	outer := must(t, Func("outer", inner.callOn))
	_, err = outer.Call(t.Context(), 1)
	wantError(t, err, errBoom, "outer")
	if want := "outer: inner/parallel[1]/bad: open bad: boom"; err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
}

// callOn is Call without options.
func (e *Engine[I, O]) callOn(ctx context.Context, in I) (O, error) { return e.Call(ctx, in) }

// A step that fails ends the call: nothing after it runs, *out keeps its value, the engine goes on.
func TestErrorEndsTheCall(t *testing.T) {
	ran, fail := 0, true
	e := must(t, Sequential(Plain("maybe", func(in int) (int, error) {
		if fail {
			return 5, errBoom
		}
		return in, nil
	}), Plain("after", func(in int) (int, error) { ran++; return in, nil })).With(Computing))
	for i := range 20 {
		fail = i%2 == 0
		out := 7
		err := e.CallInto(t.Context(), i, &out)
		switch {
		case fail && (!errors.Is(err, errBoom) || out != 7 || ran != i/2):
			t.Fatalf("call %d: %v, out %d, what follows ran %d times", i, err, out, ran)
		case !fail && (err != nil || out != i):
			t.Fatalf("call %d: %v, %d", i, err, out)
		}
	}
}

//go:noinline
func crashes(v any) { panic(v) }

func TestPanics(t *testing.T) {
	inBubble(t, func(t *testing.T, s *sched.Sched) {
		for _, mark := range []Option{{}, Computing, Blocking} {
			for _, v := range []any{"oops", errBoom, 42} {
				bad := Plain("bad", func(in int) (int, error) { crashes(v); return in, nil }).With(mark)
				for path, m := range map[string]Module[int, int]{"bad": bad, "parallel[1]/bad": sum(plus(1), bad, plus(1))} {
					e := must(t, m, On(s))
					for _, ctx := range []context.Context{context.Background(), httpContext(t)} {
						_, err := e.Call(ctx, 1)
						var p *kernel.PanicError
						if !errors.As(err, &p) {
							t.Fatalf("got %v", err)
						}
						wantError(t, err, p, path)
						if p.Value != v || !strings.Contains(string(p.Stack), "layers.crashes(") || err.Error() != path+": panic: "+fmt.Sprint(v) {
							t.Errorf("got %v with the value %v and the stack\n%s", err, p.Value, p.Stack)
						}
						if errors.Is(err, errBoom) != (v == errBoom) {
							t.Errorf("errors.Is sees the wrong value in %v", err)
						}
					}
					synctest.Wait() // siblings that were still under way
					if st := e.Stats(); st.Inside != 0 || st.Abandoned != 0 {
						t.Errorf("%+v", st)
					}
				}
			}
		}
		var nothing []int
		_, err := must(t, Plain("bad", func(in int) (int, error) { return nothing[in], nil }), On(s)).Call(t.Context(), 3)
		var bug runtime.Error
		if !errors.As(err, &bug) {
			t.Errorf("a runtime error is lost: %v", err)
		}
	})
}

// Goexit in a step on the lane is an error; on the caller it takes the caller along, as it must, and
// leaves the engine whole.
func TestGoexit(t *testing.T) {
	inBubble(t, func(t *testing.T, s *sched.Sched) {
		leave := func(in int) (int, error) {
			if in > 0 {
				runtime.Goexit()
			}
			return in, nil
		}
		for _, m := range []Module[int, int]{
			Sequential(plus(0).With(Computing), Plain("leave", leave).With(Blocking)),
			Sequential(plus(0), sum(Plain("leave", leave).With(Blocking), plus(0))),
		} {
			e := must(t, m, On(s))
			for range 20 {
				if _, err := e.Call(t.Context(), 1); !errors.Is(err, kernel.ErrGoexit) || !strings.Contains(err.Error(), "leave: ") {
					t.Errorf("got %v", err)
				}
			}
		}
		for name, m := range map[string]Module[int, int]{
			"computing":            Plain("leave", leave).With(Computing),
			"blocking, inline":     Plain("leave", leave).With(Blocking),
			"in a Parallel":        sum(Plain("leave", leave), plus(0)).With(Computing),
			"WaitAll":              Sequential(Parallel(Plain("leave", leave), plus(0)).With(WaitAll), Aggregate(Sum[int])).With(Computing),
			"beside blocking ones": sum(blocks("b", time.Second), Plain("leave", leave).With(Computing), BlockingDelay[int](time.Second)),
		} {
			e := must(t, m, On(s))
			for range 40 { // more than there are Frames
				left, after := make(chan bool), false
				go func() {
					defer close(left)
					_, _ = e.Call(context.Background(), 1)
					after = true
				}()
				if <-left; after {
					t.Fatalf("%s: the caller went on after runtime.Goexit", name)
				}
			}
			if st := e.Stats(); st.Inside != 0 || st.Calls != 40 {
				t.Errorf("%s: %+v", name, st)
			}
			if _, err := e.Call(context.Background(), 0); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			time.Sleep(2 * time.Second)
			if err := e.Close(); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

// Without WaitAll the first error ends the others: those on the lane are abandoned, delays are over.
func TestParallelFailsFast(t *testing.T) {
	inBubble(t, func(t *testing.T, s *sched.Sched) {
		for name, c := range map[string]struct {
			m    Module[int, int]
			path string
			took time.Duration
		}{
			"lane":           {sum(blocks("b", time.Hour), fails("bad", ms).With(Blocking), BlockingDelay[int](time.Hour)), "parallel[1]/bad", ms},
			"caller":         {sum(blocks("b", time.Hour), BlockingDelay[int](time.Hour), fails("bad", ms).With(Computing)), "parallel[2]/bad", ms},
			"first to fail":  {sum(fails("bad0", 3*ms).With(Blocking), fails("bad1", 2*ms).With(Blocking)), "parallel[1]/bad1", 2 * ms},
			"after a delay":  {sum(Sequential(BlockingDelay[int](2*ms), fails("bad", 0)), blocks("b", time.Hour)), "parallel[0]/bad", 2 * ms},
			"deep":           {sum(sum(blocks("b", time.Hour), fails("bad", ms).With(Blocking)), blocks("b", time.Hour)), "parallel[0]/parallel[1]/bad", ms},
			"round WaitAll":  {sum(waitAll(blocks("b", 5*ms), fails("bad", 0)), blocks("b", time.Hour)), "parallel[0]/parallel[1]/bad", 5 * ms},
			"beside WaitAll": {sum(waitAll(blocks("b", time.Hour), fails("bad1", 0)), fails("bad2", ms).With(Blocking)), "parallel[1]/bad2", ms},
		} {
			e := must(t, c.m, On(s))
			for range 3 {
				start := time.Now()
				_, err := e.Call(t.Context(), 1)
				wantError(t, err, errBoom, c.path)
				within(t, name, time.Since(start), c.took, c.took)
			}
		}
		time.Sleep(time.Hour)
	})
}

func waitAll(branches ...Module[int, int]) Module[int, int] {
	return Sequential(Parallel(branches...).With(WaitAll), Aggregate(Sum[int]))
}

// With WaitAll all branches end first, whatever happens in them; the error is the first by index.
func TestWaitAll(t *testing.T) {
	for _, mark := range []Option{{}, Computing, Blocking} {
		inBubble(t, func(t *testing.T, s *sched.Sched) {
			var ended int
			end := func(m Module[int, int]) Module[int, int] {
				return Sequential(m, Plain("end", func(in int) (int, error) { ended++; return in, nil }).With(Computing))
			}
			crash := Plain("crash", func(in int) (int, error) { crashes(errBoom); return in, nil })
			for name, c := range map[string]struct {
				m     Module[int, int]
				path  string
				ended int
			}{
				"all end":         {waitAll(end(plus(1)), end(plus(2)), end(plus(3))), "", 3},
				"first":           {waitAll(fails("bad", 0), end(plus(1)), end(plus(1))), "parallel[0]/bad", 2},
				"last":            {waitAll(end(plus(1)), end(plus(1)), fails("bad", 0)), "parallel[2]/bad", 2},
				"by index":        {waitAll(end(plus(1)), fails("bad1", 9*ms), end(plus(1)), fails("bad3", 0)), "parallel[1]/bad1", 2},
				"a panic":         {waitAll(crash, end(plus(1)), crash.With(Name("late")), end(plus(1))), "parallel[0]/crash", 2},
				"the last panics": {waitAll(end(plus(1)), crash), "parallel[1]/crash", 1},
				"of one":          {waitAll(fails("bad", 0)), "parallel[0]/bad", 0},
				"delays go on":    {waitAll(end(BlockingDelay[int](time.Second)), fails("bad", 0), end(blocks("b", 2*time.Second))), "parallel[1]/bad", 2},
				"what follows an error in a branch does not run": {
					waitAll(end(fails("bad", 0)), end(plus(1))), "parallel[0]/bad", 1},
				"inside itself": {
					waitAll(waitAll(fails("bad", 0), end(plus(1))), end(plus(1))), "parallel[0]/parallel[0]/bad", 2},
				"inside itself, by index": {
					waitAll(end(waitAll(end(plus(1)), fails("bad", 5*ms))), fails("bad", 0)), "parallel[0]/parallel[1]/bad", 1},
				"around fail-fast": {
					waitAll(sum(blocks("b", time.Minute), fails("bad", 0).With(Blocking)), end(plus(1))), "parallel[0]/parallel[1]/bad", 1},
				"around fail-fast delays": {
					waitAll(sum(end(BlockingDelay[int](time.Minute)), fails("bad", 0)), end(BlockingDelay[int](time.Second))), "parallel[0]/parallel[1]/bad", 1},
				"around fail-fast branches that have not begun": {
					waitAll(sum(Sequential(fails("bad", 0), BlockingDelay[int](1)), end(BlockingDelay[int](ms))), end(plus(1))), "parallel[0]/parallel[0]/bad", 1},
				"both":              {Sequential(Both(fails("bad", 0), end(plus(1))).With(WaitAll), Plain("first", func(p Pair[int, int]) (int, error) { return p.First, nil })), "both[0]/bad", 1},
				"an inner deadline": {waitAll(takes("slow", 20*ms).With(Timeout(10*ms)), end(plus(1))), "parallel[0]/slow", 1},
				"an inner deadline of a wait": {
					waitAll(end(plus(1)), BlockingDelay[int](time.Hour).With(Timeout(10*ms)), end(BlockingDelay[int](time.Second))), "parallel[1]/delay", 2},
			} {
				e := must(t, c.m.With(mark), On(s))
				for range 40 { // through the trial on the lane, and back
					ended = 0
					_, err := e.Call(t.Context(), 1)
					if c.path != "" {
						var step *kernel.StepError
						if !errors.As(err, &step) || step.Path != c.path {
							t.Fatalf("%s: got %v, want an error at %s\n%s", name, err, c.path, e.Explain())
						}
					} else if err != nil {
						t.Fatalf("%s: %v", name, err)
					}
					if ended != c.ended {
						t.Fatalf("%s: %d branches ended, want %d\n%s", name, ended, c.ended, e.Explain())
					}
				}
			}
			time.Sleep(time.Hour)
		})
	}
}

// The limit of a WaitAll ends it as a whole: no step of any branch begins after it.
func TestWaitAllLimit(t *testing.T) {
	inBubble(t, func(t *testing.T, s *sched.Sched) {
		for _, limit := range []string{"own", "outer", "call"} {
			var last time.Time
			begin := func(d time.Duration) Module[int, int] {
				return Plain("step", func(in int) (int, error) { last = time.Now(); time.Sleep(d); return in, nil }).With(Computing)
			}
			branch := func() Module[int, int] { return Sequential4(begin(4*ms), begin(4*ms), begin(4*ms), begin(4*ms)) }
			p := Parallel(branch(), Sequential(BlockingDelay[int](ms), branch()), branch(), BlockingDelay[int](time.Hour)).With(WaitAll)
			var opts []Option
			switch limit {
			case "own":
				p = p.With(Timeout(10 * ms))
			case "call":
				opts = []Option{Timeout(10 * ms)}
			}
			m := Sequential(p, Aggregate(Sum[int]))
			if limit == "outer" {
				m = Sequential(m.With(Timeout(10*ms)), begin(0))
			}
			e := must(t, m, On(s))
			start := time.Now()
			_, err := e.Call(t.Context(), 1, opts...)
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s limit: %v", limit, err)
			}
			within(t, limit+" limit", time.Since(start), 10*ms, 16*ms)
			if since := last.Sub(start); since > 10*ms {
				t.Errorf("%s limit of 10ms: a step began after %v", limit, since)
			}
		}
	})
}

// Cancelling the caller's context ends a WaitAll at once.
func TestWaitAllCancelled(t *testing.T) {
	inBubble(t, func(t *testing.T, s *sched.Sched) {
		e := must(t, waitAll(blocks("b", time.Hour), BlockingDelay[int](time.Hour), waitAll(BlockingDelay[int](time.Hour), fails("bad", 0))), On(s))
		for range 20 {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(ms, cancel)
			start := time.Now()
			if _, err := e.Call(ctx, 1); !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
			within(t, "the call", time.Since(start), ms, ms)
		}
		synctest.Wait()
		time.Sleep(time.Hour)
	})
}

// Marks that mean nothing where they are put are errors that name the Module.
func TestMisplacedMarks(t *testing.T) {
	for want, m := range map[string]Module[int, int]{
		"plus1: WaitAll":     plus(1).With(WaitAll),
		"delay: WaitAll":     BlockingDelay[int](ms).With(WaitAll),
		"delay: Fresh":       BlockingDelay[int](ms).With(Fresh),
		"sequential: Fresh":  Sequential(plus(1), plus(1)).With(Fresh),
		"plus1: Trace":       plus(1).With(Trace(&TraceHandle{})),
		"plus1: On":          plus(1).With(On(nil)),
		"plus1: MaxBlocking": plus(1).With(MaxBlocking(1)),
	} {
		var bad *kernel.SettingError
		if _, err := Compile(m); !errors.As(err, &bad) || !strings.HasPrefix(err.Error(), want+": ") {
			t.Errorf("got %v, want %s: ...", err, want)
		}
	}
	for _, o := range []Option{Blocking, Timeout(time.Second), Metadata("a", "b"), Name("a")} {
		if _, err := Compile(plus(1), o); err == nil || !strings.Contains(err.Error(), o.Kind.String()) {
			t.Errorf("Compile took %v: %v", o, err)
		}
	}
	for _, o := range []Option{Blocking, Computing, Pure, Effect, Fresh, WaitAll, Name("a"), Version("1"), MaxBlocking(1), On(nil), Reads()} {
		if _, err := must(t, plus(1)).Call(t.Context(), 1, o); err == nil || !strings.Contains(err.Error(), o.Kind.String()) {
			t.Errorf("Call took %v: %v", o, err)
		}
	}
}
