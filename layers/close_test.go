package layers

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/maida-ai/gomai/kernel"
	"github.com/maida-ai/gomai/sched"
)

// wantShutdownError checks how many calls and abandoned runs err counts.
func wantShutdownError(t *testing.T, name string, err, is error, inside, abandoned int64) {
	t.Helper()
	var e *kernel.ShutdownError
	if !errors.As(err, &e) || e.Inside != inside || e.Abandoned != abandoned || is != nil && !errors.Is(err, is) {
		t.Errorf("%s: got %v, want %d calls inside, %d abandoned runs and %v", name, err, inside, abandoned, is)
	}
}

// wantClosed checks that e refuses calls in every way of calling.
func wantClosed(t *testing.T, e *Engine[int, int]) {
	t.Helper()
	out := 7
	if err := e.CallInto(t.Context(), 1, &out, Timeout(time.Hour)); !errors.Is(err, kernel.ErrClosed) || out != 7 {
		t.Errorf("CallInto of a closed engine: %v, out %d", err, out)
	}
	if _, err := e.Call(context.Background(), 1); !errors.Is(err, kernel.ErrClosed) {
		t.Errorf("Call of a closed engine: %v", err)
	}
}

// Close waits for the calls inside, which end as if there was no Close, and may be called again, also by
// many at once.
func TestCloseWaits(t *testing.T) {
	inBubble(t, func(t *testing.T, s *sched.Sched) {
		for name, m := range map[string]Module[int, int]{
			"computing":  takes("c", time.Second),
			"blocking":   blocks("b", time.Second),
			"delay":      Sequential(BlockingDelay[int](time.Second), plus(1)),
			"Parallel":   Sequential(Parallel(blocks("b", time.Second), takes("c", time.Second/2), BlockingDelay[int](time.Second)), Aggregate(Max[int])),
			"undeclared": Plain("u", func(in int) (int, error) { time.Sleep(time.Second); return in + 1, nil }),
		} {
			e := must(t, m, On(s))
			var calls, closers sync.WaitGroup
			for i := range 100 { // more than there are Frames to use again
				calls.Go(func() {
					if v, err := e.Call(t.Context(), i); v != i+1 || err != nil {
						t.Errorf("%s: a call that was inside returned %v, %v, want %v", name, v, err, i+1)
					}
				})
			}
			time.Sleep(time.Second / 10)
			if st := e.Stats(); st.Inside != 100 {
				t.Errorf("%s: %+v, want 100 calls inside", name, st)
			}
			start := time.Now()
			for range 5 {
				closers.Go(func() {
					if err := e.Close(); err != nil {
						t.Errorf("%s: Close: %v", name, err)
					}
					within(t, name+": Close", time.Since(start), 900*ms, 900*ms)
				})
			}
			synctest.Wait()
			wantClosed(t, e)
			closers.Wait()
			calls.Wait()
			for range 2 {
				if err := e.Close(); err != nil {
					t.Errorf("%s: Close again: %v", name, err)
				}
			}
			wantClosed(t, e)
			if st := e.Stats(); st != (Stats{Calls: 100}) {
				t.Errorf("%s: %+v when all is over", name, st)
			}
		}
	})
}

// Close does not wait for abandoned runs, and counts them.
func TestCloseCountsAbandonedRuns(t *testing.T) {
	inBubble(t, func(t *testing.T, s *sched.Sched) {
		e := must(t, sum(blocks("a", time.Hour), blocks("b", 2*time.Hour)), On(s))
		for range 3 {
			if _, err := e.Call(t.Context(), 1, Timeout(ms)); !errors.Is(err, context.DeadlineExceeded) {
				t.Error(err)
			}
		}
		start := time.Now()
		wantShutdownError(t, "Close", e.Close(), nil, 0, 6)
		wantShutdownError(t, "Shutdown", e.Shutdown(t.Context()), nil, 0, 6)
		within(t, "Close over abandoned runs", time.Since(start), 0, 0)
		time.Sleep(90 * time.Minute)
		wantShutdownError(t, "Close when the first have ended", e.Close(), nil, 0, 3)
		time.Sleep(90 * time.Minute)
		if err := e.Close(); err != nil {
			t.Errorf("Close when all have ended: %v", err)
		}
		if st := e.Stats(); st != (Stats{Calls: 3}) {
			t.Errorf("%+v when all is over", st)
		}
		wantClosed(t, e)
	})
}

// Shutdown waits until its context is done, and then tells what still runs; the engine is closed anyhow.
func TestShutdownIsBounded(t *testing.T) {
	inBubble(t, func(t *testing.T, s *sched.Sched) {
		e := must(t, blocks("b", time.Second), On(s))
		_, err := e.Call(t.Context(), 1, Timeout(ms))
		wantError(t, err, context.DeadlineExceeded, "b")
		var calls sync.WaitGroup
		for range 2 {
			calls.Go(func() {
				if _, err := e.Call(t.Context(), 1); err != nil {
					t.Errorf("a call that was inside: %v", err)
				}
			})
		}
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 10*ms)
		defer cancel()
		start := time.Now()
		wantShutdownError(t, "Shutdown", e.Shutdown(ctx), context.DeadlineExceeded, 2, 1)
		within(t, "Shutdown", time.Since(start), 10*ms, 10*ms)
		wantShutdownError(t, "Shutdown with a context that is over", e.Shutdown(ctx), context.DeadlineExceeded, 2, 1)
		within(t, "Shutdown again", time.Since(start), 10*ms, 10*ms)
		ctx, cancel = context.WithCancel(t.Context())
		time.AfterFunc(5*ms, cancel)
		wantShutdownError(t, "Shutdown that is cancelled", e.Shutdown(ctx), context.Canceled, 2, 1)
		within(t, "Shutdown that is cancelled", time.Since(start), 15*ms, 15*ms)
		wantClosed(t, e)
		if err := e.Close(); err != nil {
			t.Errorf("Close after Shutdown: %v", err)
		}
		within(t, "Close after Shutdown", time.Since(start), time.Second, time.Second)
		if err := e.Shutdown(ctx); err != nil {
			t.Errorf("Shutdown of an empty engine with a context that is over: %v", err)
		}
		calls.Wait()
	})
}

// Bad options and refused calls leave nothing behind for Close to wait for.
func TestCloseAfterRefusals(t *testing.T) {
	e := must(t, plus(1))
	for range 100 {
		if _, err := e.Call(t.Context(), 1, Timeout(-1)); err == nil {
			t.Error("a negative Timeout was taken")
		}
	}
	for range 100 {
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
		wantClosed(t, e)
	}
	if st := e.Stats(); st.Inside != 0 {
		t.Errorf("%+v", st)
	}
}

// TestCloseUnderLoad is for the race detector. After Close has returned no step begins, and none runs.
func TestCloseUnderLoad(t *testing.T) {
	for range 20 {
		s := sched.New()
		var running, refused, begun atomic.Int64
		var closed atomic.Bool
		step := func(name string, mark Option) Module[int, int] {
			return Plain(name, func(in int) (int, error) {
				running.Add(1)
				defer running.Add(-1)
				if closed.Load() {
					t.Error("a step begins after Close has returned")
				}
				switch in % 10 {
				case 1:
					return in, errBoom
				case 2:
					panic("oops")
				case 3:
					runtime.Gosched()
				}
				return in, nil
			}).With(mark)
		}
		e := must(t, Sequential4(step("c", Computing), step("u", Option{}), step("b", Blocking),
			sum(step("b", Blocking), step("c", Computing))), On(s))
		var callers sync.WaitGroup
		stop, started := make(chan bool), make(chan bool, 8)
		for g := range 8 {
			callers.Go(func() {
				for i := g; ; i++ {
					_, err := e.Call(t.Context(), i, Timeout(time.Minute))
					if errors.Is(err, kernel.ErrClosed) {
						refused.Add(1)
						select {
						case <-stop:
							return
						default:
							runtime.Gosched()
							continue
						}
					}
					begun.Add(1)
					if i == g+20 {
						started <- true
					}
					if (err != nil) != (i%10 == 1 || i%10 == 2) {
						t.Errorf("call %d: %v", i, err)
					}
				}
			})
		}
		<-started
		if err := e.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		closed.Store(true)
		if n := running.Load(); n != 0 {
			t.Errorf("%d steps run after Close", n)
		}
		close(stop)
		callers.Wait()
		if st := e.Stats(); st.Calls != begun.Load() || st.Inside != 0 || refused.Load() < 8 {
			t.Errorf("%+v after %d calls, %d were refused", st, begun.Load(), refused.Load())
		}
		s.Close()
	}
}

// Whatever way a call ends, it leaves no goroutine: a bubble that still has one when its function returns
// fails. The lane's are idle then, and the scheduler's Close, which inBubble defers, sends them home.
func TestNoGoroutineIsLeft(t *testing.T) {
	ends := map[string]func(in int) (int, error){
		"a result": func(in int) (int, error) { return in, nil },
		"an error": func(in int) (int, error) { return in, errBoom },
		"a panic":  func(int) (int, error) { panic("oops") },
		"Goexit":   func(int) (int, error) { runtime.Goexit(); return 0, nil },
	}
	for end, f := range ends {
		for _, mark := range []Option{{}, Computing, Blocking} {
			for _, how := range []string{"returns", "deadline", "cancel", "cancelled before", "expired before", "no limit"} {
				step := Func("step", func(ctx context.Context, in int) (int, error) {
					stop := context.AfterFunc(ctx, func() {}) // pins
					defer stop()
					ctx, cancel := context.WithCancel(ctx)
					defer cancel()
					time.Sleep(5 * ms)
					if how == "deadline" {
						<-ctx.Done()
					}
					return f(in)
				}).With(mark)
				others := Sequential(Parallel(BlockingDelay[int](time.Second), blocks("b", time.Second)).With(WaitAll), Aggregate(Sum[int]))
				for _, m := range []Module[int, int]{step, sum(step, others), waitAll(others, step)} {
					inBubble(t, func(t *testing.T, s *sched.Sched) {
						e := must(t, m, On(s))
						var trace TraceHandle
						for i := range 20 {
							ctx, cancel := context.WithCancel(t.Context())
							opts := []Option{Timeout(time.Minute)}
							switch how {
							case "deadline":
								opts[0] = Timeout(3 * ms)
							case "cancel":
								time.AfterFunc(3*ms, cancel)
							case "cancelled before":
								cancel()
							case "expired before":
								opts[0] = Deadline(time.Now())
							case "no limit":
								ctx, opts = context.Background(), nil
							}
							if i%2 == 0 {
								opts = append(opts, Trace(&trace))
							}
							goexits(func() { _, _ = e.Call(ctx, 1, opts...) })
							cancel()
						}
						time.Sleep(2 * time.Second) // for the abandoned runs
						if err := e.Close(); err != nil {
							t.Errorf("%s by %s, %v: Close: %v", how, end, mark, err)
						}
						if st := e.Stats(); st != (Stats{Calls: 20}) {
							t.Errorf("%s by %s, %v: %+v when all is over", how, end, mark, st)
						}
						if st := s.Stats(); st.Blocking != st.Idle {
							t.Errorf("%s by %s, %v: the lane is %+v when all is over", how, end, mark, st)
						}
					})
				}
			}
		}
	}
}

// goexits runs f on a goroutine and reports whether f left it by runtime.Goexit.
func goexits(f func()) bool {
	left := make(chan bool)
	go func() {
		returned := false
		defer func() { left <- !returned }()
		f()
		returned = true
	}()
	return <-left
}
