package layers

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/maida-ai/gomai/internal/invariants"
	"github.com/maida-ai/gomai/kernel"
	"github.com/maida-ai/gomai/sched"
)

var ctxLevel = NewKey("context_test level", 0.25)

// look is a step that shows its context to f.
func look(name string, f func(context.Context)) Module[int, int] {
	return Func(name, func(ctx context.Context, in int) (int, error) { f(ctx); return in, nil })
}

// call runs e and fails the test on an error.
func call[I, O any](t *testing.T, e *Engine[I, O], ctx context.Context, in I, opts ...Option) O {
	t.Helper()
	out, err := e.Call(ctx, in, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// ctxUses is what one can do with a step's context, and whether that pins it.
var ctxUses = []struct {
	name string
	pins bool
	use  func(context.Context)
}{
	{"Err", false, func(ctx context.Context) { _ = ctx.Err() }},
	{"Deadline", false, func(ctx context.Context) { _, _ = ctx.Deadline() }},
	{"Metadata", false, func(ctx context.Context) { _ = kernel.Metadata(ctx, "k") + kernel.Metadata(ctx, "absent") }},
	{"Get", false, func(ctx context.Context) { _ = ctxLevel.Get(ctx) }},
	{"Auth", false, func(ctx context.Context) { _ = kernel.Auth(ctx) }},
	{"StepID", false, func(ctx context.Context) { _ = kernel.StepID(ctx) }},
	{"String", false, func(ctx context.Context) { _ = fmt.Sprint(ctx) }},
	{"WithValue", false, func(ctx context.Context) {
		_ = kernel.Metadata(context.WithValue(ctx, ctxKey{}, 2), "k")
	}},
	{"WithMetadata", false, func(ctx context.Context) {
		_ = kernel.Metadata(kernel.WithMetadata(ctx, "other", "v"), "k")
	}},
	{"Done", true, func(ctx context.Context) { _ = ctx.Done() }},
	{"Value", true, func(ctx context.Context) { _ = ctx.Value(ctxKey{}) }},
	{"AfterFunc", true, func(ctx context.Context) { context.AfterFunc(ctx, func() {})() }},
	{"WithCancel", true, func(ctx context.Context) { _, cancel := context.WithCancel(ctx); cancel() }},
	{"WithTimeout", true, func(ctx context.Context) {
		_, cancel := context.WithTimeout(ctx, time.Hour)
		cancel()
	}},
	{"Detach", true, func(ctx context.Context) { _ = kernel.Detach(ctx) }},
}

// An unpinned context serves the next step, a pinned one is left alone and cancelled.
func TestWhatPins(t *testing.T) {
	if invariants.On {
		t.Skip("no context is used twice under invariants")
	}
	for _, c := range ctxUses {
		t.Run(c.name, func(t *testing.T) {
			var first context.Context
			var err error
			same := false
			e := must(t, Sequential(
				look("first", func(ctx context.Context) { c.use(ctx); first = ctx }).With(Metadata("k", "v"), Reads(ctxLevel)),
				look("next", func(ctx context.Context) {
					if same = ctx == first; !same {
						err = first.Err()
					}
				})).With(Computing, Timeout(time.Hour)))
			for i := range 3 {
				call(t, e, httpContext(t), 1, Auth("secret"), ctxLevel.Set(1), Metadata("c", "d"))
				if same == c.pins {
					t.Fatalf("call %d: the next step has the same context: %v", i, same)
				}
				if c.pins && err != context.Canceled {
					t.Fatalf("call %d: in the next step the pinned context has error %v", i, err)
				}
			}
		})
	}
}

func TestAccessorsDoNotAllocate(t *testing.T) {
	if invariants.On {
		t.Skip("invariants allocate")
	}
	var out int
	for _, c := range ctxUses[:6] {
		e := must(t, Sequential3(look("a", c.use), look("b", c.use), look("c", c.use)).
			With(Computing, Reads(ctxLevel), Metadata("k", "v"), Timeout(time.Hour)))
		for name, ctx := range map[string]context.Context{"background": context.Background(), "http": httpContext(t)} {
			auth := Auth("secret")
			if n := testing.AllocsPerRun(200, func() {
				_ = e.CallInto(ctx, 1, &out, auth, ctxLevel.Set(2), Metadata("c", "d"), Timeout(time.Minute))
			}); n != 0 {
				t.Errorf("%s under %s: %v allocations", c.name, name, n)
			}
		}
	}
}

// waiters counts goroutines that package context started to watch a parent that it does not know.
func waiters() int {
	buf := make([]byte, 1<<20)
	return strings.Count(string(buf[:runtime.Stack(buf, true)]), "context.(*cancelCtx).propagateCancel.func")
}

type foreign struct{ context.Context }

func (foreign) Value(any) any { return nil }

func TestDerivedContextsNeedNoGoroutine(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	_, cancel2 := context.WithCancel(foreign{ctx})
	if waiters() != 1 {
		t.Fatal("waiters does not see the goroutine that a foreign context needs")
	}
	cancel2()
	cancel()
	for waiters() > 0 {
		runtime.Gosched()
	}
	s := sched.New()
	defer s.Close()
	var kids []context.Context
	var cancels []context.CancelFunc
	ran := make(chan bool, 1)
	for _, mark := range []Option{Computing, Blocking} {
		for name, opts := range map[string][]Option{"limited": {Timeout(time.Hour)}, "unlimited": nil} {
			e := must(t, Sequential(look("derive", func(ctx context.Context) {
				a, c1 := context.WithCancel(ctx)
				b, c2 := context.WithTimeout(kernel.WithMetadata(ctx, "k", "v"), time.Hour)
				c, c3 := context.WithCancelCause(context.WithValue(ctx, ctxKey{}, 1))
				kids = []context.Context{a, b, c}
				cancels = append(cancels, c1, c2, func() { c3(nil) })
				context.AfterFunc(ctx, func() { ran <- true })
				if n := waiters(); n != 0 {
					t.Errorf("%s, %s: %d goroutines watch a step's context", mark, name, n)
				}
				if ctx.Err() != nil || context.Cause(ctx) != nil {
					t.Errorf("%s, %s: cancelled inside the step: %v", mark, name, ctx.Err())
				}
			}).With(mark), look("next", func(context.Context) {
				<-ran
				for i, kid := range kids {
					<-kid.Done()
					if kid.Err() != context.Canceled || context.Cause(kid) != context.Canceled {
						t.Errorf("%s, %s: derived context %d: %v, cause %v", mark, name, i, kid.Err(), context.Cause(kid))
					}
				}
			}).With(Computing)), On(s))
			for range 3 {
				call(t, e, context.Background(), 1, opts...)
			}
		}
	}
	for _, c := range cancels {
		c()
	}
}

// The deadline and the caller's cancelling reach a step that waits for its context, with their cause.
func TestDoneInsideStep(t *testing.T) {
	stop := errors.New("stopped by the caller")
	for _, mark := range []Option{Computing, Blocking} {
		synctest.Test(t, func(t *testing.T) {
			s := sched.New()
			defer s.Close()
			var cause error
			var waited time.Duration
			e := must(t, look("wait", func(ctx context.Context) {
				start := time.Now()
				<-ctx.Done()
				cause, waited = context.Cause(ctx), time.Since(start)
			}).With(mark), On(s))
			_, err := e.Call(t.Context(), 1, Timeout(50*time.Millisecond))
			synctest.Wait()
			if !errors.Is(err, context.DeadlineExceeded) || cause != context.DeadlineExceeded {
				t.Errorf("%s: the call returned %v, the step saw %v", mark, err, cause)
			}
			if waited < 50*time.Millisecond || waited > 52*time.Millisecond {
				t.Errorf("%s: a timeout of 50 ms came after %v", mark, waited)
			}
			ctx, cancel := context.WithCancelCause(t.Context())
			time.AfterFunc(30*time.Millisecond, func() { cancel(stop) })
			_, err = e.Call(ctx, 1, Timeout(time.Hour))
			synctest.Wait()
			if mark == Blocking && !errors.Is(err, context.Canceled) || cause != stop || waited != 30*time.Millisecond {
				t.Errorf("%s: the call returned %v, the step saw %v after %v", mark, err, cause, waited)
			}
		})
	}
}

// Err knows of the deadline and of the caller's cancelling without pinning, and of what a context's own
// deadline has ended it says so, whenever somebody asks.
func TestErrInsideStep(t *testing.T) {
	for _, mark := range []Option{Computing, Blocking} {
		synctest.Test(t, func(t *testing.T) {
			s := sched.New()
			defer s.Close()
			stop, wait := context.CancelFunc(func() {}), time.Duration(0)
			var before, after, cause error
			e := must(t, look("ask", func(ctx context.Context) {
				before = ctx.Err()
				stop()
				time.Sleep(wait)
				after = ctx.Err()
				cause = context.Cause(ctx)
			}).With(mark), On(s))
			ask := func(what string, want error, ctx context.Context, opts ...Option) {
				_, err := e.Call(ctx, 1, opts...)
				time.Sleep(time.Minute) // for the abandoned run
				synctest.Wait()
				if !errors.Is(err, want) || before != nil || after != want || cause != want {
					t.Errorf("%s, %s: the call returned %v, the step saw %v, then %v, cause %v", mark, what, err, before, after, cause)
				}
			}
			ask("nothing", nil, t.Context())
			wait = 60 * time.Millisecond
			ask("a timeout", context.DeadlineExceeded, t.Context(), Timeout(50*time.Millisecond))
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			ask("the caller's timeout", context.DeadlineExceeded, ctx)
			ctx, cancel2 := context.WithCancel(t.Context())
			defer cancel2()
			stop = cancel2
			ask("cancelling, later", context.Canceled, ctx)
			ctx, cancel3 := context.WithCancel(t.Context())
			defer cancel3()
			wait, stop = 0, cancel3
			if mark == Computing { // it ends before the next beat, so the call does not see it
				_, _ = e.Call(ctx, 1)
				if after != context.Canceled {
					t.Errorf("right after its caller has cancelled it, a context has the error %v", after)
				}
			}
		})
	}
}
