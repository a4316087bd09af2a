package layers

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/maida-ai/gomai/internal/invariants"
	"github.com/maida-ai/gomai/internal/settings"
	"github.com/maida-ai/gomai/internal/testmodel"
	"github.com/maida-ai/gomai/kernel"
	"github.com/maida-ai/gomai/sched"
)

// spreading is the option of Compile by which every Parallel goes to the crew.
var spreading = Option{Kind: settings.OptSpread}

// withCrew returns a scheduler with a crew of cores-1 loops. At the end it is closed, and its goroutines
// are waited for: one that is left hangs the test.
func withCrew(t *testing.T, cores int) *sched.Sched {
	t.Helper()
	old, before := runtime.GOMAXPROCS(cores), ourGoroutines()
	s := sched.New()
	t.Cleanup(func() {
		s.Close()
		for ourGoroutines() > before {
			runtime.Gosched()
		}
		runtime.GOMAXPROCS(old)
	})
	e := must(t, Parallel(plus(1), plus(2)).With(Computing), On(s), spreading)
	for range 10 {
		call(t, e, context.Background(), 1)
	}
	if n := e.Stats().Spread; n != 10 { // branches that meet would wait for each other forever
		t.Fatalf("%d of 10 Parallels were handed to the crew", n)
	}
	return s
}

// ourGoroutines counts those of schedulers and their pools.
func ourGoroutines() (n int) {
	buf := make([]byte, 1<<20)
	for g := range strings.SplitSeq(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		if strings.Contains(g, "/ants/") || strings.Contains(g, "gomai/sched.") {
			n++
		}
	}
	return n
}

// meeting returns a function that returns once n goroutines are in it.
func meeting(n int) func() {
	var mu sync.Mutex
	in, all := 0, make(chan bool)
	return func() {
		mu.Lock()
		met := all
		if in++; in == n {
			close(all)
			in, all = 0, make(chan bool)
		}
		mu.Unlock()
		<-met
	}
}

// pair returns branches that meet, unless the deadline comes before one of them has begun. With a crew of one loop the first of them runs on the caller, who
// takes from the low end, and the last on the loop; those between are left to whoever is done. Inside
// another spread Parallel it takes a crew of more: a loop may be the owner there, whom its own owner,
// who waits for it, does not help.
func pair(onCaller, onHelper Module[int, int], between ...Module[int, int]) []Module[int, int] {
	var arrived atomic.Int32
	meets := look("meet", func(ctx context.Context) {
		n := arrived.Add(1)
		for n%2 == 1 && arrived.Load() == n {
			if ctx.Err() != nil && arrived.CompareAndSwap(n, n-1) {
				return
			}
			runtime.Gosched()
		}
	})
	return slices.Concat([]Module[int, int]{Sequential(meets, onCaller)}, between, []Module[int, int]{Sequential(meets, onHelper)})
}

// does is a step that returns its input and the error of f.
func does(name string, f func(context.Context) error) Module[int, int] {
	return Func(name, func(ctx context.Context, in int) (int, error) { return in, f(ctx) })
}

// nextBeat returns when the clock has made one: the next step boundary asks for the time.
func nextBeat(s *sched.Sched) {
	for beat := s.Begin(); s.Beat().Load() == beat; {
		runtime.Gosched()
	}
}

func TestSpreadResults(t *testing.T) {
	s := withCrew(t, 4)
	meet2, meet3, meet4 := meeting(2), meeting(3), meeting(4)
	meets := func(meet func()) Module[int, int] { return look("meet", func(context.Context) { meet() }) }
	many, want := make([]Module[int, int], 64), make([]int, 64)
	for i := range many {
		many[i], want[i] = Sequential(plus(i), plus(1)), i+8
	}
	odd := func(_ context.Context, n int) (bool, error) { return n%2 == 1, nil }
	inner := func(n int) Module[int, []int] {
		return Parallel(Sequential(meets(meet2), plus(n)), Sequential(meets(meet2), plus(n+1)))
	}
	blocking := Sequential(meets(meet3).With(Blocking), plus(3))
	spreads(t, s, "64 branches", Parallel(many...), want, 1)
	spreads(t, s, "all goroutines", Parallel(Sequential(meets(meet4), plus(1)), meets(meet4), Sequential(plus(2), meets(meet4)), meets(meet4)), []int{8, 7, 9, 7}, 1)
	spreads(t, s, "a Parallel in a Parallel", Parallel(inner(0), inner(10), inner(20)), [][]int{{7, 8}, {17, 18}, {27, 28}}, 4)
	spreads(t, s, "Both", Both(Sequential(meets(meet2), text("<%v>")), Sequential(meets(meet2), plus(1))), Pair[string, int]{"<7>", 8}, 1)
	spreads(t, s, "Conditional", Parallel(
		Conditional(odd, Sequential(meets(meet2), plus(1)), plus(2)),
		Sequential(plus(1), Conditional(odd, plus(2), Sequential(meets(meet2), plus(3)))),
	), []int{8, 11}, 1)
	spreads(t, s, "a Parallel in one that waits", Parallel(Sequential3(inner(0), Plain("first", func(v []int) (int, error) { return v[0], nil }), NonBlockingDelay[int](1)),
		NonBlockingDelay[int](1)), []int{7, 7}, 1)
	// The blocking step is on the lane before the others begin, wherever it stands among them.
	spreads(t, s, "blocking last", Parallel(Sequential(meets(meet3), plus(1)), Sequential(meets(meet3), plus(2)), blocking), []int{8, 9, 10}, 1)
	spreads(t, s, "blocking between", Parallel(NonBlockingDelay[int](1), Sequential(meets(meet3), plus(1)), blocking,
		Sequential(NonBlockingDelay[int](1), plus(5)), Sequential(meets(meet3), plus(2))), []int{7, 8, 10, 12, 9}, 1)
}

// spreads calls m on 7, with each Parallel of which so many are handed to the crew in each call.
func spreads[O any](t *testing.T, s *sched.Sched, name string, m Module[int, O], want O, each int64) {
	t.Helper()
	e := must(t, m.With(Computing), On(s), spreading)
	var into O
	for i := range 20 {
		opts := [][]Option{nil, {Timeout(time.Hour)}, {Trace(new(TraceHandle))}}[i%3]
		ctx := []context.Context{context.Background(), t.Context()}[i%2]
		if got, err := e.Call(ctx, 7, opts...); err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("%s: got %v, %v, want %v", name, got, err, want)
		}
		if err := e.CallInto(ctx, 7, &into, opts...); err != nil || !reflect.DeepEqual(into, want) {
			t.Fatalf("%s: got %v, %v, want %v", name, into, err, want)
		}
	}
	if n := e.Stats().Spread; n != 40*each {
		t.Errorf("%s: %d Parallels were handed to the crew, want %d", name, n, 40*each)
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
}

var errSpread = errors.New("a branch fails")

// spreadFails calls m, a Parallel that fails, and another one on the same engine that does not.
func spreadFails(t *testing.T, s *sched.Sched, name string, is error, path string, branches []Module[int, int], opts ...Option) error {
	t.Helper()
	ok := pair(plus(1), plus(2))
	e := must(t, Conditional(func(_ context.Context, in int) (bool, error) { return in > 0, nil },
		Parallel(branches...).With(Name("fails")).With(opts...), Parallel(ok...)).With(Computing), On(s), spreading)
	var last error
	for range 20 {
		_, last = e.Call(t.Context(), 1)
		wantError(t, last, is, "conditional[then]/fails"+path)
		if got, err := e.Call(t.Context(), 0); err != nil || !slices.Equal(got, []int{1, 2}) {
			t.Fatalf("%s: afterwards the engine returns %v, %v", name, got, err)
		}
	}
	if st := e.Stats(); st.Spread != 40 || st.Inside != 0 || st.Calls != 40 {
		t.Errorf("%s: %+v", name, st)
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
	return last
}

func TestSpreadErrors(t *testing.T) {
	s := withCrew(t, 2)
	fail := does("fail", func(context.Context) error { return errSpread })
	crash := does("crash", func(context.Context) error { panic(errSpread) })
	text := does("crash", func(context.Context) error { panic("text") })
	leave := does("leave", func(context.Context) error { runtime.Goexit(); return nil })

	spreadFails(t, s, "on the caller", errSpread, "[0]/fail", pair(fail, plus(1)))
	spreadFails(t, s, "on the loop", errSpread, "[1]/fail", pair(plus(1), fail))
	spreadFails(t, s, "Goexit on the loop", kernel.ErrGoexit, "[1]/leave", pair(plus(1), leave))
	spreadFails(t, s, "Goexit of one that all wait for", kernel.ErrGoexit, "[1]/leave", pair(plus(1), leave), WaitAll)
	for name, branches := range map[string][]Module[int, int]{"[0]/crash": pair(crash, plus(1)), "[1]/crash": pair(plus(1), crash)} {
		var p *kernel.PanicError
		err := spreadFails(t, s, "a panic", errSpread, name, branches)
		if !errors.As(err, &p) || p.Value != errSpread || !strings.Contains(string(p.Stack), "TestSpreadErrors") {
			t.Errorf("%s: got %v, want the panic and its stack", name, err)
		}
		spreadFails(t, s, "a panic that all wait for", errSpread, name, branches, WaitAll)
	}
	e := must(t, Parallel(pair(plus(1), text)...).With(Computing), On(s), spreading)
	if _, err := e.Call(t.Context(), 1); err == nil || err.Error() != "parallel[1]/crash: panic: text" {
		t.Errorf("got %v", err)
	}
}

// What has not begun when a branch fails does not run; with WaitAll all run.
func TestSpreadFailsFast(t *testing.T) {
	s := withCrew(t, 2)
	var ran, began atomic.Int64
	fail := does("fail", func(context.Context) error { ran.Add(1); return errSpread })
	count := look("count", func(context.Context) { ran.Add(1) })
	never := look("never", func(context.Context) { began.Add(1) })
	fast := must(t, sum(pair(fail, fail, never, never, never, never)...).With(Computing), On(s), spreading)
	for range 100 {
		_, err := fast.Call(t.Context(), 1)
		var step *kernel.StepError
		if !errors.As(err, &step) || step.Path != "parallel[0]/fail" && step.Path != "parallel[5]/fail" || began.Load() != 0 {
			t.Fatalf("%d branches began after both had failed, and the error is %v", began.Load(), err)
		}
	}
	// both goroutines are at work, and the first error by index is that of branch 2
	waiting := must(t, Parallel(pair(count, fail, count, fail, fail, count)...).With(WaitAll, Computing), On(s), spreading)
	for range 100 {
		ran.Store(0)
		_, err := waiting.Call(t.Context(), 1)
		if wantError(t, err, errSpread, "parallel[2]/fail"); ran.Load() != 6 {
			t.Fatalf("%d branches ran, want 6", ran.Load())
		}
	}
	if a, b := fast.Stats(), waiting.Stats(); a.Spread != 100 || b.Spread != 100 {
		t.Errorf("%+v and %+v", a, b)
	}
}

// A branch that is under way when another one fails stops at the next beat.
func TestSpreadStops(t *testing.T) {
	s := withCrew(t, 2)
	var ran atomic.Bool
	e := must(t, Parallel(pair(
		Sequential(look("compute", func(context.Context) { nextBeat(s); nextBeat(s) }), look("next", func(context.Context) { ran.Store(true) })),
		does("fail", func(context.Context) error { return errSpread }))...).With(Computing, Timeout(time.Hour)), On(s), spreading)
	for range 1000 { // the loop may be slow to say that it has failed
		ran.Store(false)
		_, err := e.Call(t.Context(), 1)
		if wantError(t, err, errSpread, "parallel[1]/fail"); !ran.Load() {
			return
		}
	}
	t.Error("a branch went on after another one had failed")
}

// A branch on the caller that calls Goexit ends the caller's goroutine; those under way end first.
func TestSpreadGoexitOnTheCaller(t *testing.T) {
	s := withCrew(t, 2)
	var running atomic.Int64
	var leaves atomic.Bool
	works := look("works", func(context.Context) { running.Add(1); nextBeat(s); running.Add(-1) })
	e := must(t, Parallel(pair(does("leave", func(context.Context) error {
		if leaves.Load() {
			runtime.Goexit()
		}
		return nil
	}), works, works, works)...).With(Computing), On(s), spreading)
	for range 20 {
		leaves.Store(true)
		if !goexits(func() { _, _ = e.Call(t.Context(), 1) }) {
			t.Fatal("the call came back")
		}
		if n := running.Load(); n != 0 {
			t.Errorf("%d branches still run", n)
		}
		leaves.Store(false)
		call(t, e, t.Context(), 1)
	}
	if st := e.Stats(); st.Inside != 0 || st.Calls != 40 || st.Spread < 20 {
		t.Errorf("%+v", st)
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
}

// An error leaves a spread Parallel for what is round it.
func TestSpreadInsideOthers(t *testing.T) {
	s := withCrew(t, 4)
	fail := does("fail", func(context.Context) error { return errSpread })
	second := Plain("second", func(v []int) (int, error) { return v[1], nil })
	var ran atomic.Int64
	count := look("count", func(context.Context) { ran.Add(1) })
	outer := must(t, Parallel(
		Sequential(Parallel(pair(plus(1), fail)...), second),
		Sequential(NonBlockingDelay[int](1), Sequential(Parallel(pair(fail, plus(1))...), second)),
		count,
	).With(WaitAll, Computing), On(s), spreading)
	for range 20 {
		_, err := outer.Call(t.Context(), 1)
		wantError(t, err, errSpread, "parallel[0]/parallel[1]/fail")
	}
	if ran.Load() != 20 {
		t.Errorf("the third branch ran %d times, want 20", ran.Load())
	}

	var ids sync.Map
	flaky := does("flaky", func(ctx context.Context) error {
		if _, again := ids.LoadOrStore(kernel.StepID(ctx), true); again {
			t.Errorf("attempt %d has the id of another one", kernel.RetryCount(ctx))
		}
		if kernel.RetryCount(ctx) < 2 {
			return errSpread
		}
		return nil
	})
	policy := RetryPolicy{Base: 1, When: func(err error) bool { return errors.Is(err, errSpread) }}
	retry := must(t, Retry(Parallel(pair(plus(1), Sequential(flaky, plus(2)))...), policy).With(Computing), On(s), spreading)
	for range 20 {
		if got := call(t, retry, t.Context(), 1); !slices.Equal(got, []int{2, 3}) {
			t.Errorf("got %v", got)
		}
	}
	if st := retry.Stats(); st.Spread != 60 {
		t.Errorf("%d attempts were spread, want 60", st.Spread)
	}
}

// Contexts in branches on different goroutines: each with its own, whatever is done with it.
func TestSpreadContexts(t *testing.T) {
	s := withCrew(t, 4)
	for name, use := range map[string]func(context.Context){
		"unpinned":  func(context.Context) {},
		"Value":     func(ctx context.Context) { ctx.Value(nil) },
		"Done":      func(ctx context.Context) { ctx.Done() },
		"AfterFunc": func(ctx context.Context) { context.AfterFunc(ctx, func() {}) },
	} {
		var mu sync.Mutex
		var all []kept
		n, ids := 0, map[uint64]bool{}
		meet := meeting(4)
		keep := look("keep", func(ctx context.Context) {
			meet()
			use(ctx)
			d, ok := ctx.Deadline()
			k := kept{ctx, kernel.StepID(ctx), d, n}
			if with := kernel.Metadata(ctx, "with"); !ok || ctx.Err() != nil || with != "w" || ctxLevel.Get(ctx) != float64(n) || kernel.Auth(ctx) != n {
				t.Errorf("%s: in the step: %v, %v, %q, %v, %v", name, ok, ctx.Err(), with, ctxLevel.Get(ctx), kernel.Auth(ctx))
			}
			mu.Lock()
			defer mu.Unlock()
			if all = append(all, k); ids[k.id] {
				t.Errorf("%s: two steps have the id %d", name, k.id)
			}
			ids[k.id] = true
		}).With(Reads(ctxLevel), Metadata("with", "w"))
		short := keep.With(Timeout(time.Minute))
		e := must(t, Parallel(keep, short, Sequential(keep, plus(1)), Sequential(plus(1), short)).With(Computing), On(s), spreading)
		for n = range 20 {
			ctx := context.WithValue(context.Background(), ctxKey{}, n)
			call(t, e, ctx, 1, ctxLevel.Set(float64(n)), Metadata("call", fmt.Sprint(n)), Auth(n), Timeout(time.Hour))
			deadlines := map[time.Time]int{}
			for _, k := range all[4*n:] {
				deadlines[k.deadline]++
			}
			if len(deadlines) < 2 || len(deadlines) > 3 {
				t.Errorf("%s: %d deadlines of branches, two of which have a Timeout of their own", name, len(deadlines))
			}
		}
		for _, k := range all {
			if name != "unpinned" {
				k.check(t, name)
			}
		}
		if len(ids) != 80 || e.Stats().Spread != 20 {
			t.Errorf("%s: %d steps and %d Parallels on the crew, want 80 and 20", name, len(ids), e.Stats().Spread)
		}
	}
}

// A limit that is reached while branches compute: the call ends with the path of one that overran it.
func TestSpreadDeadlines(t *testing.T) {
	s := withCrew(t, 2)
	late := look("late", func(ctx context.Context) {
		for ctx.Err() == nil {
			runtime.Gosched()
		}
		nextBeat(s)
	})
	after := does("after", func(context.Context) error { t.Error("a step ran after the deadline"); return nil })
	ends := func(name string, paths []string, is error, m Module[int, []int], cancel bool, opts ...Option) {
		t.Helper()
		e := must(t, m.With(Computing), On(s), spreading)
		for range 5 {
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			if cancel {
				ctx = context.WithValue(ctx, ctxKey{}, stop)
			}
			_, err := e.Call(ctx, 1, opts...)
			var step *kernel.StepError
			if !errors.Is(err, is) || !errors.As(err, &step) || !slices.Contains(paths, step.Path) {
				t.Errorf("%s: got %v, want %v at one of %v", name, err, is, paths)
			}
		}
		if n := e.Stats().Spread; n != 5 {
			t.Errorf("%s: %d Parallels went to the crew, want 5", name, n)
		}
	}
	stops := look("stops", func(ctx context.Context) { ctx.Value(ctxKey{}).(context.CancelFunc)() })
	both := []string{"parallel[0]/late", "parallel[1]/late"}
	anywhere := append([]string{"parallel", "parallel[0]/meet", "parallel[1]/meet"}, both...) // where it is reached depends on the machine
	short := Timeout(3 * ms)
	ends("the call's", anywhere, context.DeadlineExceeded, Parallel(pair(Sequential(late, after), Sequential(late, after))...), false, short)
	ends("on the caller", both[:1], context.DeadlineExceeded, Parallel(pair(Sequential(late.With(short), after), plus(1))...), false)
	ends("on the loop", both[1:], context.DeadlineExceeded, Parallel(pair(plus(1), Sequential(late.With(short), after))...), false, Timeout(time.Hour))
	ends("round the Parallel", anywhere, context.DeadlineExceeded,
		Sequential(Parallel(pair(late, Sequential(late, after))...).With(short), Plain("same", same[[]int])), false, Timeout(time.Hour))
	ends("of a branch, all wait", both[1:], context.DeadlineExceeded, Parallel(pair(plus(1), late.With(short))...).With(WaitAll), false, Timeout(time.Hour))
	cancelled := append([]string{"parallel[0]/after", "parallel[1]/after", "parallel[1]/stops"}, both...)
	ends("cancelled", cancelled, context.Canceled, Parallel(pair(Sequential(late, after), Sequential(Sequential(stops, late), after))...), true, Timeout(time.Hour))
	ends("cancelled, all wait", cancelled, context.Canceled, Parallel(pair(Sequential(late, after), Sequential(Sequential(stops, late), after))...).With(WaitAll), true)
}

// Branches that begin late are not taken for slow steps of others.
func TestSpreadBlamesNobody(t *testing.T) {
	s := withCrew(t, 2)
	waits := look("waits", func(context.Context) { nextBeat(s); nextBeat(s); nextBeat(s) }).With(Computing)
	e := must(t, Sequential(plus(1).With(Name("first")), Parallel(waits, waits, waits, waits, waits, waits, waits, waits)), On(s), spreading)
	for range 18 { // of which 16 are the trial of the first step
		call(t, e, t.Context(), 1, Timeout(time.Hour))
	}
	if plan := e.Explain(); !strings.Contains(plan, "first  int -> int  (undeclared, on the caller)") {
		t.Errorf("the first step is quick, and the plan says\n%s", plan)
	}
}

// Calls of other engines that branches make, which spread, too.
func TestSpreadNestedCalls(t *testing.T) {
	s := withCrew(t, 4)
	var parents sync.Map
	see := look("see", func(ctx context.Context) {
		d, ok := ctx.Deadline()
		if got := fmt.Sprint(kernel.Metadata(ctx, "call"), kernel.Metadata(ctx, "with"), kernel.Auth(ctx), ctx.Value(ctxKey{}), ok && time.Until(d) < time.Hour); got != "cw7 5 true" {
			t.Errorf("the inner step inherits %q", got)
		}
	})
	inner := must(t, sum(pair(see, Sequential(see, plus(1)))...).With(Computing), On(s), spreading)
	calls := Func("calls", func(ctx context.Context, in int) (int, error) {
		var tr TraceHandle
		out, err := inner.Call(ctx, in, Trace(&tr))
		if tr.Parent != kernel.StepID(ctx) {
			t.Errorf("the trace's parent is %d, the step %d", tr.Parent, kernel.StepID(ctx))
		}
		parents.Store(tr.Parent, true)
		return out, err
	}).With(Metadata("with", "w"))
	e := must(t, Parallel(pair(calls, calls, calls, calls)...).With(Computing), On(s), spreading)
	ctx := context.WithValue(context.Background(), ctxKey{}, 5)
	for range 50 {
		if got := call(t, e, ctx, 1, Metadata("call", "c"), Auth(7), Timeout(time.Hour)); !slices.Equal(got, []int{3, 3, 3, 3}) {
			t.Fatalf("got %v", got)
		}
	}
	n := 0
	parents.Range(func(any, any) bool { n++; return true })
	if n != 200 || inner.Stats().Spread != 200 || e.Stats().Spread != 50 {
		t.Errorf("%d parents, %+v inside, %+v outside", n, inner.Stats(), e.Stats())
	}
}

// The spans of branches that end at the same time on different goroutines are all there.
func TestSpreadTrace(t *testing.T) {
	s := withCrew(t, 4)
	const branches = 64
	meet := meeting(4)
	var list []Module[int, int]
	for range branches {
		list = append(list, Sequential(look("a", func(context.Context) { meet() }), plus(1).With(Name("b"))))
	}
	e := must(t, sum(list...).With(Computing), On(s), spreading)
	var tr TraceHandle
	for range 50 {
		if got := call(t, e, t.Context(), 1, Trace(&tr)); got != 2*branches {
			t.Fatalf("got %d", got)
		}
		spans, ids := map[string]kernel.Span{}, map[uint64]bool{}
		for _, sp := range tr.Spans {
			spans[sp.Path], ids[sp.StepID] = sp, true
			if sp.Start < 0 || sp.Duration < 0 || sp.Start+sp.Duration > tr.Duration || sp.Bytes != 8 || sp.Err != nil {
				t.Fatalf("in %v: %+v", tr.Duration, sp)
			}
		}
		if len(tr.Spans) != 2*branches+1 || len(spans) != len(tr.Spans) || len(ids) != len(tr.Spans) {
			t.Fatalf("%d spans, %d paths and %d ids, want %d", len(tr.Spans), len(spans), len(ids), 2*branches+1)
		}
		last := tr.Spans[len(tr.Spans)-1]
		for i := range branches {
			a, b := spans[fmt.Sprintf("parallel[%d]/a", i)], spans[fmt.Sprintf("parallel[%d]/b", i)]
			if b.Start < a.Start+a.Duration || last.Start < b.Start+b.Duration {
				t.Fatalf("%+v, %+v and %+v do not follow one another", a, b, last)
			}
		}
	}
	if n := e.Stats().Spread; n != 50 {
		t.Errorf("%d Parallels went to the crew, want 50", n)
	}
}

func TestSpreadManyCallers(t *testing.T) {
	s := withCrew(t, 4)
	e := must(t, Parallel(Parallel(plus(1), plus(2), plus(3)), Parallel(pair(plus(4), plus(5), plus(6))...)).With(Computing), On(s), spreading)
	var wg sync.WaitGroup
	for g := range 12 {
		wg.Go(func() {
			var out [][]int
			for i := range 200 {
				n := g*1000 + i
				if err := e.CallInto(t.Context(), n, &out); err != nil || !reflect.DeepEqual(out, [][]int{{n + 1, n + 2, n + 3}, {n + 4, n + 6, n + 5}}) {
					t.Errorf("call %d: got %v, %v", n, out, err)
				}
			}
		})
	}
	wg.Wait()
	if st := e.Stats(); st.Calls != 2400 || st.Inside != 0 || st.Spread < 2400 {
		t.Errorf("%+v", st)
	}
}

// Close waits for a call whose branches are on the loops.
func TestSpreadClose(t *testing.T) {
	s := withCrew(t, 2)
	inside, hold := meeting(3), make(chan bool)
	holds := look("holds", func(context.Context) { inside(); <-hold })
	e := must(t, Parallel(holds, holds).With(Computing), On(s), spreading)
	var wg sync.WaitGroup
	wg.Go(func() { call(t, e, context.Background(), 1) })
	inside()
	over, stop := context.WithCancel(t.Context())
	stop()
	wantShutdownError(t, "held", e.Shutdown(over), context.Canceled, 1, 0)
	wg.Go(func() {
		if err := e.Close(); err != nil || e.Stats().Inside != 0 {
			t.Errorf("Close returns %v with %+v", err, e.Stats())
		}
	})
	close(hold)
	wg.Wait()
	if _, err := e.Call(t.Context(), 1); err != kernel.ErrClosed {
		t.Errorf("a call after Close returns %v", err)
	}
}

// An engine finds out by itself whether its branches are worth a helper.
func TestSpreadIsLearned(t *testing.T) {
	s := withCrew(t, 2)
	works := look("works", func(context.Context) {
		for start := time.Now(); time.Since(start) < 300*µs; {
			runtime.Gosched()
		}
	})
	long, short := must(t, Parallel(works, works).With(Computing), On(s)), must(t, Parallel(plus(1), plus(2)).With(Computing), On(s))
	for long.Stats().Spread == 0 {
		call(t, long, t.Context(), 1)
	}
	if testmodel.Race || invariants.On { // nothing is short there
		return
	}
	for until := s.Begin() + 100; s.Begin() < until; { // a call is timed in each beat
		call(t, short, t.Context(), 1)
	}
	if n := short.Stats().Spread; n != 0 {
		t.Errorf("%d Parallels of steps that do nothing were handed to the crew", n)
	}
}
