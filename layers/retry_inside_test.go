package layers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/maida-ai/gomai/graph"
	"github.com/maida-ai/gomai/internal/invariants"
	"github.com/maida-ai/gomai/kernel"
	"github.com/maida-ai/gomai/sched"
)

// twice fails once.
func twice(name string, opts ...Option) Module[int, int] {
	return (&attempts{}).failing(name, 1, temporary(true)).With(opts...)
}

// Cancelling ends the wait for the next attempt at once, and so does the error of a sibling.
func TestRetryIsCancelled(t *testing.T) {
	inBubble(t, func(t *testing.T, s *sched.Sched) {
		var a attempts
		for _, mark := range []Option{Computing, Blocking} {
			again := Retry(a.failing("step", 4, temporary(true))).With(mark)
			for path, m := range map[string]Module[int, int]{
				"retry":             again,
				"parallel[1]/retry": waitAll(takes("a", ms), again),
				"parallel[0]/retry": sum(again, takes("a", ms)),
			} {
				e := must(t, m, On(s))
				for _, opts := range [][]Option{nil, {Timeout(time.Hour)}, {Trace(new(TraceHandle))}} {
					ctx, cancel := context.WithCancel(t.Context())
					time.AfterFunc(1700*ms, cancel)
					wantAttempts(t, path, a.of(func() {
						_, err := e.Call(ctx, 1, opts...)
						wantError(t, err, context.Canceled, path)
						within(t, "the call", time.Since(a.start), 1700*ms, 1700*ms)
					}), 0, sec)
				}
			}
			e := must(t, sum(again, fails("bad", 1700*ms).With(Blocking)), On(s))
			wantAttempts(t, "beside an error", a.of(func() {
				_, err := e.Call(t.Context(), 1)
				wantError(t, err, errBoom, "parallel[1]/bad")
				within(t, "the call", time.Since(a.start), 1700*ms, 1700*ms)
			}), 0, sec)
		}
		time.Sleep(time.Minute) // no attempt begins when nobody waits for it
		if n := len(a.at); n != 2 {
			t.Errorf("%d attempts, want 2", n)
		}
	})
}

// A step reads the count of the innermost Retry round it, wherever it is: in the call of another engine, in
// a Retry in a Retry, in a context that was kept. Siblings and steps after the Retry read none of it.
func TestRetryCount(t *testing.T) {
	inBubble(t, func(t *testing.T, s *sched.Sched) {
		for _, mark := range []Option{Computing, Blocking} {
			var seen []string
			note := func(name string, fails ...int) Module[int, int] {
				return Func(name, func(ctx context.Context, in int) (int, error) {
					n := kernel.RetryCount(ctx)
					seen = append(seen, fmt.Sprint(name, n))
					if slices.Contains(fails, len(seen)) {
						return 0, temporary(true)
					}
					return in + 1, nil
				}).With(mark)
			}
			run := func(m Module[int, int], want string) {
				t.Helper()
				e := must(t, m, On(s))
				for range 2 { // the second in the same Frame
					seen = nil
					if _, err := e.Call(context.Background(), 1); err != nil {
						t.Error(err)
					}
					if got := strings.Join(seen, " "); got != want {
						t.Errorf("steps see %s, want %s", got, want)
					}
				}
			}
			run(note("a"), "a0")
			run(Sequential3(note("a"), Retry(note("b", 2, 3)), note("c")), "a0 b0 b1 b2 c0")
			run(Retry(Sequential(note("a"), note("b", 2, 4))), "a0 b0 a1 b1 a2 b2")
			run(Sequential(Retry(note("a", 1)), Retry(note("b", 3, 4))), "a0 a1 b0 b1 b2")
			// The inner count begins anew with each outer attempt, and hides the outer one.
			run(Retry(Sequential3(note("a"), Retry(note("b", 2), RetryPolicy{Max: 1}), note("c", 4))), "a0 b0 b1 c0 a1 b0 c1")
			run(Retry(Sequential(note("a"), Retry(note("b", 2, 3), RetryPolicy{Max: 1}))), "a0 b0 b1 a1 b0")

			inner := must(t, Sequential(note("i"), Retry(note("r", 2))), On(s))
			run(Retry(Sequential(nest("calls", inner, nil).With(mark), note("o", 4, 7))), "i0 r0 r1 o0 i1 r0 o1 i2 r0 o2")
			derived := must(t, note("d"), On(s))
			run(Retry(Sequential(note("a", 1, 2), nest("calls", derived, func(ctx context.Context) context.Context {
				ctx, cancel := context.WithCancel(context.WithValue(kernel.WithMetadata(ctx, "k", "v"), ctxKey{}, 1))
				t.Cleanup(cancel)
				return kernel.Detach(ctx)
			}).With(mark))), "a0 a1 a2 d2")
		}
		if n := kernel.RetryCount(context.Background()); n != 0 {
			t.Errorf("outside a step the count is %d", n)
		}
	})
}

// Siblings of a Retry count for themselves.
func TestRetryCountOfSiblings(t *testing.T) {
	inBubble(t, func(t *testing.T, s *sched.Sched) {
		count := func(fails int) Module[int, int] {
			return Func("step", func(ctx context.Context, in int) (int, error) {
				n := kernel.RetryCount(ctx)
				if n < fails {
					return 0, temporary(true)
				}
				return in + n, nil
			})
		}
		for _, mark := range []Option{Computing, Blocking} {
			e := must(t, Parallel(count(0), Retry(count(1)), Retry(count(2)), Retry(count(3)), Retry(count(0)), count(0)).With(mark), On(s))
			got, err := e.Call(t.Context(), 0)
			if err != nil || !slices.Equal(got, []int{0, 1, 2, 3, 0, 0}) {
				t.Errorf("counts are %v, %v", got, err)
			}
		}
	})
}

// Each attempt has its own context: one that is kept stays what it was, and is cancelled with its attempt.
// All have the metadata, settings, credentials and values of the call.
func TestContextsOfAttempts(t *testing.T) {
	inBubble(t, func(t *testing.T, s *sched.Sched) {
		for _, mark := range []Option{Computing, Blocking} {
			var kept []context.Context
			var ids []uint64
			step := Func("step", func(ctx context.Context, in int) (int, error) {
				got := fmt.Sprint(kernel.Metadata(ctx, "call"), kernel.Metadata(ctx, "with"), kernel.Metadata(ctx, "outer"), abandonedLevel.Get(ctx), kernel.Auth(ctx), ctx.Value(ctxKey{}))
				if want := fmt.Sprint("call", "with", "outer", 5, "secret", "value"); got != want {
					t.Errorf("attempt %d sees %s, want %s", kernel.RetryCount(ctx), got, want)
				}
				if ctx.Err() != nil {
					t.Errorf("attempt %d begins with %v", kernel.RetryCount(ctx), ctx.Err())
				}
				kept, ids = append(kept, ctx), append(ids, kernel.StepID(ctx))
				if kernel.RetryCount(ctx) < 2 {
					return 0, temporary(true)
				}
				return in, nil
			}).With(Metadata("with", "with"), Reads(abandonedLevel), mark)
			ctx := kernel.WithMetadata(context.WithValue(t.Context(), ctxKey{}, "value"), "outer", "outer")
			e := must(t, Sequential(Retry(step), plus(1).With(Computing)), On(s))
			var tr TraceHandle
			if _, err := e.Call(ctx, 1, Metadata("call", "call"), abandonedLevel.Set(5), Auth("secret"), Trace(&tr)); err != nil {
				t.Fatal(err)
			}
			var spans []string
			for i, sp := range tr.Spans {
				spans = append(spans, fmt.Sprint(sp.Path, " ", sp.Retries, " ", sp.Err != nil))
				if i < len(ids) && sp.StepID != ids[i] {
					t.Errorf("span %d has the id %d, its step saw %d", i, sp.StepID, ids[i])
				}
			}
			if want := []string{"retry/step 0 true", "retry/step 1 true", "retry/step 2 false", "plus1 0 false"}; !slices.Equal(spans, want) {
				t.Errorf("spans are %q, want %q", spans, want)
			}
			if slices.Sort(ids); len(slices.Compact(ids)) != 3 || ids[0] == 0 {
				t.Errorf("ids of three attempts: %v", ids)
			}
			for i, c := range kept {
				if kernel.RetryCount(c) != i || c.Err() != context.Canceled || kernel.Metadata(c, "call") != "call" || c.Value(ctxKey{}) != "value" {
					t.Errorf("kept context %d: count %d, %v, metadata %q", i, kernel.RetryCount(c), c.Err(), kernel.Metadata(c, "call"))
				}
			}
		}
	})
}

// While a Retry in a Parallel waits, its siblings go on.
func TestRetryInParallel(t *testing.T) {
	inBubble(t, func(t *testing.T, s *sched.Sched) {
		start := time.Now()
		var ended []string
		end := func(name string) Module[int, int] {
			return Plain(name, func(in int) (int, error) {
				ended = append(ended, fmt.Sprint(name, " ", time.Since(start)))
				return in, nil
			}).With(Computing)
		}
		pause := NonBlockingDelay[int](700 * ms)
		branches := []Module[int, int]{
			Sequential(Retry(twice("step")), end("retry")),
			Sequential5(pause, end("a"), pause, end("b"), blocks("block", 100*ms)),
			end("c"),
			Sequential(Retry(Sequential(pause, twice("late"))), end("later")),
		}
		for _, m := range []Module[int, int]{sum(branches...), waitAll(branches...)} {
			e := must(t, m, On(s))
			for range 2 {
				start, ended = time.Now(), nil
				if _, err := e.Call(t.Context(), 1, Timeout(time.Minute)); err != nil {
					t.Error(err)
				}
				if want := []string{"c 0s", "a 700ms", "retry 1s", "b 1.4s", "later 2.4s"}; !slices.Equal(ended, want) {
					t.Errorf("got %q, want %q", ended, want)
				}
			}
		}
	})
}

// An attempt that fails abandons what its branches do, cancels it and begins all of them again.
func TestRetryRoundParallel(t *testing.T) {
	inBubble(t, func(t *testing.T, s *sched.Sched) {
		var start time.Time
		var began, cancelled attempts
		watch := Func("watch", func(ctx context.Context, in int) (int, error) {
			began.note()
			select {
			case <-ctx.Done():
				cancelled.note()
			case <-time.After(50 * ms):
			}
			return in, ctx.Err()
		}).With(Blocking)
		bad := Sequential(NonBlockingDelay[int](20*ms), twice("bad"))
		long := Sequential(NonBlockingDelay[int](40*ms), plus(1).With(Computing))
		for name, m := range map[string]Module[int, int]{
			"fail fast": Retry(sum(watch, bad, long)),
			"nested":    Retry(sum(waitAll(watch, long), bad)),
			"inside":    waitAll(Retry(sum(watch, bad)), long),
		} {
			e := must(t, m, On(s))
			start = time.Now()
			began = attempts{start: start}
			cancelled = attempts{start: start}
			if _, err := e.Call(context.Background(), 1); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			within(t, name, time.Since(start), 1070*ms, 1070*ms)
			wantAttempts(t, name, began.at, 0, 1020*ms)
			wantAttempts(t, name+", cancelled", cancelled.at, 20*ms)
			synctest.Wait()
			if st := e.Stats(); st.Abandoned != 0 || st.Blocking != 0 || st.Inside != 0 {
				t.Errorf("%s: %+v when all is over", name, st)
			}
		}
		// A WaitAll waits, and is then tried again as a whole.
		began = attempts{start: time.Now()}
		if _, err := must(t, Retry(waitAll(watch, bad, long)), On(s)).Call(context.Background(), 1); err != nil {
			t.Error(err)
		}
		wantAttempts(t, "WaitAll", began.at, 0, 1050*ms)
		// A panic of one branch of a WaitAll does not keep another from being tried again.
		began = attempts{start: time.Now()}
		_, err := must(t, waitAll(Plain("panics", func(int) (int, error) { panic(errBoom) }).With(Computing), Retry(sum(watch, bad))), On(s)).Call(context.Background(), 1)
		wantError(t, err, errBoom, "parallel[0]/panics")
		wantAttempts(t, "beside a panic", began.at, 0, 1020*ms)
	})
}

// A run that was left at its Timeout may write until it ends, into the memory of its own attempt. For the
// race detector, too.
func TestRetryLeavesMemoryToAbandonedRun(t *testing.T) {
	type rows struct {
		Name string
		Rows [][]int
	}
	inBubble(t, func(t *testing.T, s *sched.Sched) {
		var over atomic.Int64
		fill := func(out *rows, in []int, n int) {
			out.Name = fmt.Sprint("attempt ", n)
			out.Rows = slices.Grow(out.Rows[:0], len(in))[:len(in)]
			for i := range in {
				out.Rows[i] = append(out.Rows[i][:0], in[i], n)
			}
		}
		deaf := func(late time.Duration) Module[[]int, rows] {
			return Into("deaf", func(ctx context.Context, in []int, out *rows) error {
				n := kernel.RetryCount(ctx)
				fill(out, in, n)
				if n < 2 {
					want := slices.Clone(in)
					for range 10 {
						time.Sleep(late / 10)
						if fill(out, in, -1); !slices.Equal(in, want) {
							t.Errorf("the input of attempt %d was %v and is %v", n, want, in)
						}
					}
					over.Add(1)
				}
				return nil
			}).With(Blocking, Timeout(10*ms))
		}
		double := Into("double", func(ctx context.Context, in []int, out *[]int) error {
			*out = (*out)[:0]
			for _, v := range in {
				*out = append(*out, 2*v+100*kernel.RetryCount(ctx))
			}
			return nil
		}).With(Computing)
		flat := func(m Module[[]int, rows]) Module[[]int, []rows] { return Parallel(m) }
		first := Plain("first", func(r []rows) ([]rows, error) { return r[:1], nil }).With(Computing)
		for name, c := range map[string]struct {
			m    func(late time.Duration) Module[[]int, []rows]
			plus int // what is added to each element
			mul  int
		}{
			"alone":         {func(d time.Duration) Module[[]int, []rows] { return flat(Retry(deaf(d))) }, 0, 1},
			"after another": {func(d time.Duration) Module[[]int, []rows] { return flat(Retry(Sequential(double, deaf(d)))) }, 200, 2},
			"in a Parallel": {func(d time.Duration) Module[[]int, []rows] {
				return Sequential(Parallel(Retry(deaf(d)), Retry(deaf(0).With(Timeout(time.Hour)))), first)
			}, 0, 1},
			"round a Parallel": {func(d time.Duration) Module[[]int, []rows] {
				return Sequential(Retry(Parallel(deaf(d), deaf(d))), first)
			}, 0, 1},
			"in another": {func(d time.Duration) Module[[]int, []rows] {
				return flat(Retry(Sequential(Retry(deaf(d), RetryPolicy{Max: 2}), Plain("same", same[rows]).With(Computing))))
			}, 0, 1},
			"in a Conditional": {func(d time.Duration) Module[[]int, []rows] {
				return flat(Retry(Conditional(func(context.Context, []int) (bool, error) { return true, nil }, deaf(d), deaf(0))))
			}, 0, 1},
		} {
			for _, late := range []time.Duration{15 * ms, 1500 * ms, 4 * sec, 20 * sec} {
				e := must(t, c.m(late), On(s))
				for call := range 3 {
					in := []int{call, call + 1, call + 2}
					got, err := e.Call(t.Context(), in)
					if err != nil || len(got) != 1 {
						t.Fatalf("%s, %v: %v, %v", name, late, got, err)
					}
					clear(in) // runs go on with what they were given
					check := func(when string) {
						t.Helper()
						want := rows{Name: "attempt 2"}
						for i := range 3 {
							want.Rows = append(want.Rows, []int{(call+i)*c.mul + c.plus, 2})
						}
						if fmt.Sprint(got[0]) != fmt.Sprint(want) {
							t.Errorf("%s, %v, %s: got %v, want %v", name, late, when, got[0], want)
						}
					}
					check("at once")
					if call > 0 {
						time.Sleep(time.Minute)
						check("when all is over")
					}
				}
				time.Sleep(time.Minute)
				if st := e.Stats(); st != (Stats{Calls: 3}) {
					t.Errorf("%s, %v: %+v when all is over", name, late, st)
				}
			}
		}
		if over.Load() == 0 {
			t.Error("no run was abandoned")
		}
	})
}

// An attempt does not begin late because its caller was busy in a sibling when the wait was over.
func TestRetryBesideSlowSibling(t *testing.T) {
	inBubble(t, func(t *testing.T, s *sched.Sched) {
		var a attempts
		again := Retry(a.failing("step", 1, temporary(true)))
		for name, c := range map[string]struct {
			m    Module[int, int]
			path string
			want []time.Duration
		}{
			"in time":     {sum(again.With(Timeout(4*sec)), takes("slow", 3*sec)), "", []time.Duration{0, 3 * sec}},
			"its limit":   {sum(again.With(Timeout(2*sec)), takes("slow", 3*sec)), "parallel[0]/retry", []time.Duration{0}},
			"both's":      {sum(again, takes("slow", 3*sec)).With(Timeout(2 * sec)), "parallel[1]/slow", []time.Duration{0}},
			"of WaitAll":  {waitAll(again.With(Timeout(2*sec)), takes("slow", 3*sec)), "parallel[0]/retry", []time.Duration{0}},
			"the last ms": {sum(again.With(Timeout(1001*ms)), takes("slow", 1500*ms)), "parallel[0]/retry", []time.Duration{0}},
		} {
			e := must(t, c.m, On(s))
			for range 2 {
				wantAttempts(t, name, a.of(func() {
					_, err := e.Call(context.Background(), 1)
					if c.path == "" && err != nil {
						t.Errorf("%s: %v", name, err)
					}
					if c.path != "" {
						wantError(t, err, context.DeadlineExceeded, c.path)
					}
				}), c.want...)
			}
		}
	})
}

// A step that ends its goroutine is no matter for another attempt, nor for the scheduler.
func TestRetryAndGoexit(t *testing.T) {
	inBubble(t, func(t *testing.T, s *sched.Sched) {
		gone := Plain("gone", func(in int) (int, error) { runtime.Goexit(); return in, nil })
		e := must(t, Retry(gone.With(Blocking)), On(s))
		for range 3 {
			start := time.Now()
			_, err := e.Call(t.Context(), 1)
			wantError(t, err, kernel.ErrGoexit, "retry/gone")
			within(t, "the call", time.Since(start), 0, 0)
		}
		onCaller := must(t, Sequential(Retry(twice("step")), Retry(gone.With(Computing))), On(s))
		when := must(t, Retry(twice("step"), RetryPolicy{When: func(error) bool { runtime.Goexit(); return true }}), On(s))
		for _, e := range []*Engine[int, int]{onCaller, when} {
			for range 3 {
				if !goexits(func() { _, _ = e.Call(t.Context(), 1) }) {
					t.Error("the goroutine of the caller goes on")
				}
			}
			if st := e.Stats(); st.Inside != 0 || st.Calls != 3 {
				t.Errorf("%+v after three calls", st)
			}
		}
	})
}

// A Retry whose Module succeeds at once costs no allocation.
func TestRetryDoesNotAllocate(t *testing.T) {
	if invariants.On {
		t.Skip("invariants allocate")
	}
	pass := Into("pass", func(_ context.Context, in int64, out *int64) error { *out = in; return nil })
	rows := Into("rows", func(_ context.Context, in int64, out *[]int64) error { *out = append((*out)[:0], in, in); return nil })
	for name, m := range map[string]Module[int64, int64]{
		"a step":              Retry(pass),
		"a chain":             Sequential3(pass, Retry(chain10()), pass),
		"a Retry in a Retry":  Retry(Retry(pass)),
		"a Parallel":          Retry(Sequential(Parallel(pass, pass), Into("sum", sumInto))),
		"in a Parallel":       Sequential(Parallel(Retry(pass), Retry(pass), pass), Into("sum", sumInto)),
		"slices in a Retry":   Sequential(Retry(rows), Into("sum", sumInto)),
		"WaitAll and Timeout": Retry(Sequential(Parallel(pass, Retry(pass).With(Timeout(time.Minute))).With(WaitAll), Into("sum", sumInto))),
	} {
		allocates(t, name, m.With(Computing), func(i int) int64 { return int64(i) }, func(int) []Option { return []Option{Timeout(time.Minute)} })
	}
}

func TestRetryInPlan(t *testing.T) {
	step := idStep[float64]("step", "1")
	e := must(t, Sequential(step, Retry(Sequential(step, step), RetryPolicy{Max: 2, Jitter: 0.5, Cap: time.Minute}).With(Timeout(time.Hour))))
	b, err := e.Plan().JSON()
	const reads = `"in":"float64","out":"float64",` + idReads
	want := `{"plan_version":1,"root":{"kind":"sequential","in":"float64","out":"float64","modules":[{"kind":"step","name":"step","version":"1",` + reads + `},` +
		`{"kind":"retry","name":"retry","in":"float64","out":"float64","retry":{"max":2,"base":"1s","cap":"1m0s","jitter":0.5},"timeout":"1h0m0s","modules":[` +
		`{"kind":"sequential","in":"float64","out":"float64","modules":[{"kind":"step","name":"step","version":"1",` + reads + `},` +
		`{"kind":"step","name":"step","version":"1",` + reads + `}]}]}]}}`
	if err != nil || string(b) != want {
		t.Errorf("the plan is\n%s, %v, want\n%s", b, err, want)
	}
	const text = `float64 -> float64
  0  step    step  float64 -> float64  (undeclared, on the lane)
  1  enter   sequential  timeout 1h0m0s
  2  try     retry
  3  step    retry/step  float64 -> float64  (undeclared, on the lane)
  4  step    retry/step#2  float64 -> float64  (undeclared, on the lane)
  5  retry   retry  from 3, up to 2 times
  6  move    retry
  7  exit    retry
  8  end     sequential
`
	if got := e.Explain(); got != text {
		t.Errorf("Explain says\n%swant\n%s", got, text)
	}

	// What changes when a step runs again changes the hash; saying what holds anyway does not.
	when := func(error) bool { return true }
	hashes := map[string]string{}
	for name, m := range map[string]Module[float64, float64]{
		"no Retry":          step,
		"default":           Retry(step),
		"Max":               Retry(step, RetryPolicy{Max: 4}),
		"Base":              Retry(step, RetryPolicy{Base: time.Minute}),
		"Cap":               Retry(step, RetryPolicy{Cap: time.Minute}),
		"Jitter":            Retry(step, RetryPolicy{Jitter: 0.1}),
		"version":           Retry(step).With(Version("1")),
		"version of a When": Retry(step, RetryPolicy{When: when}).With(Version("2")),
		"Timeout round":     Retry(step).With(Timeout(time.Minute)),
		"Timeout inside":    Retry(step.With(Timeout(time.Minute))),
		"twice":             Retry(Retry(step)),
	} {
		h := hashOf(t, name, m)
		if other, ok := hashes[h]; ok {
			t.Errorf("%s and %s have the same hash", name, other)
		}
		hashes[h] = name
	}
	if h := hashOf(t, "written out", Retry(step, RetryPolicy{Max: 3, Base: time.Second})); hashes[h] != "default" {
		t.Error("a policy that sets what holds anyway has another hash")
	}
	_, err = must(t, Sequential(step, Retry(step, RetryPolicy{When: when})).With(Name("top"))).Plan().Hash()
	var failed *graph.CompileError
	if !errors.Is(err, graph.ErrUnversioned) || !errors.As(err, &failed) || failed.Path != "top/retry" || !strings.Contains(err.Error(), "When") {
		t.Errorf("a When without a version: %v", err)
	}
	if _, err = must(t, Retry(plus(1))).Plan().Hash(); !errors.Is(err, graph.ErrUnversioned) {
		t.Errorf("a step without a version: %v", err)
	}
}

// An error that When wants is retried whatever it is, also what comes from a blocking step.
func TestRetryOfOverload(t *testing.T) {
	inBubble(t, func(t *testing.T, s *sched.Sched) {
		policy := RetryPolicy{When: func(err error) bool { return errors.Is(err, sched.ErrOverloaded) || errors.Is(err, io.EOF) }}
		e := must(t, sum(Retry(blocks("a", 1500*ms), policy), Retry(blocks("b", 1500*ms), policy)), On(s), MaxBlocking(1))
		start := time.Now()
		if _, err := e.Call(t.Context(), 1); err != nil {
			t.Error(err)
		}
		within(t, "two in turn", time.Since(start), 4500*ms, 4500*ms) // at 0, 1 and 3 s
	})
}
