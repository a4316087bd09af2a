package layers

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/maida-ai/gomai/internal/invariants"
	"github.com/maida-ai/gomai/kernel"
	"github.com/maida-ai/gomai/sched"
)

func TestStartOverlaps(t *testing.T) {
	inBubble(t, func(t *testing.T, s *sched.Sched) {
		e := must(t, blocks("b", time.Second), On(s))
		start := time.Now()
		var pending []Pending[int]
		for i := range 10 {
			pending = append(pending, e.Start(t.Context(), i))
		}
		if d := time.Since(start); d != 0 {
			t.Errorf("10 calls were started in %v", d)
		}
		for i, p := range pending {
			want, err := must(t, blocks("b", 0), On(s)).Call(t.Context(), i)
			if got, err2 := p.Wait(t.Context()); got != want || err != nil || err2 != nil {
				t.Errorf("call %d: %d, %v, want %d", i, got, err2, want)
			}
		}
		if d := time.Since(start); d != time.Second {
			t.Errorf("10 calls of a second took %v", d)
		}
	})
}

func TestStartWaitOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, s *sched.Sched) {
		e := must(t, blocks("b", time.Second), On(s))
		p := e.Start(t.Context(), 1)
		short, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _, err := p.Wait(short); err != context.DeadlineExceeded {
			t.Fatalf("a wait of a millisecond for a call of a second: %v", err)
		}
		var got, done atomic.Int32
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() {
				switch _, err := p.Wait(t.Context()); err {
				case nil:
					got.Add(1)
				case ErrDone:
					done.Add(1)
				default:
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if got.Load() != 1 || done.Load() != 4 {
			t.Errorf("of 5 waits %d got the result and %d ErrDone", got.Load(), done.Load())
		}
		next := e.Start(t.Context(), 2) // in the memory of the first
		if _, err := p.Wait(t.Context()); err != ErrDone {
			t.Errorf("a Pending of before: %v", err)
		}
		if _, err := next.Wait(context.Background()); err != nil {
			t.Error(err)
		}
		if _, err := (Pending[int]{}).Wait(t.Context()); err != ErrDone {
			t.Errorf("the zero Pending: %v", err)
		}
	})
}

func TestStartErrors(t *testing.T) {
	inBubble(t, func(t *testing.T, s *sched.Sched) {
		e := must(t, Func("f", func(ctx context.Context, what string) (int, error) {
			switch what {
			case "panic":
				panic("p")
			case "goexit":
				runtime.Goexit()
			case "wait":
				<-ctx.Done()
				return 0, ctx.Err()
			}
			return 1, errors.New(what)
		}).With(Computing), On(s))
		var step *kernel.StepError
		var panicked *kernel.PanicError
		for what, ok := range map[string]func(error) bool{
			"e":      func(err error) bool { return errors.As(err, &step) && step.Path == "f" },
			"panic":  func(err error) bool { return errors.As(err, &panicked) },
			"goexit": func(err error) bool { return errors.Is(err, kernel.ErrGoexit) },
		} {
			for range 3 {
				p := e.Start(t.Context(), what)
				if out, err := p.Wait(t.Context()); out != 0 || !ok(err) {
					t.Errorf("%s: %d, %v", what, out, err)
				}
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		p := e.Start(ctx, "wait")
		cancel()
		if _, err := p.Wait(t.Context()); !errors.Is(err, context.Canceled) {
			t.Errorf("a call that was cancelled: %v", err)
		}
		p = e.Start(t.Context(), "wait", Timeout(time.Second))
		if _, err := p.Wait(t.Context()); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a call with a timeout: %v", err)
		}
		var setting *kernel.SettingError
		if _, err := e.Start(t.Context(), "e", Set("x", 1)).Wait(t.Context()); !errors.As(err, &setting) {
			t.Errorf("a setting that nobody reads: %v", err)
		}
		if err := e.Close(); err != nil {
			t.Error(err)
		}
		closed := e.Start(t.Context(), "e")
		for range 2 {
			if _, err := closed.Wait(t.Context()); err != kernel.ErrClosed {
				t.Errorf("after Close: %v", err)
			}
		}
	})
}

// Nobody waits: nothing leaks (the bubble would notice), and Close waits for the calls.
func TestStartUnwaited(t *testing.T) {
	inBubble(t, func(t *testing.T, s *sched.Sched) {
		var over atomic.Int32
		e := must(t, Func("f", func(context.Context, int) (int, error) {
			time.Sleep(time.Second)
			over.Add(1)
			return 0, nil
		}).With(Computing), On(s))
		for i := range 100 {
			e.Start(t.Context(), i)
		}
		if err := e.Close(); err != nil || over.Load() != 100 {
			t.Errorf("Close: %v, with %d of 100 calls over", err, over.Load())
		}
	})
}

// A call started in a step does not outlive it, and its context is its own.
func TestStartInStep(t *testing.T) {
	inBubble(t, func(t *testing.T, s *sched.Sched) {
		inner := must(t, Func("inner", func(ctx context.Context, _ int) (string, error) {
			<-ctx.Done()
			return kernel.Metadata(ctx, "k"), ctx.Err()
		}).With(Computing), On(s))
		started := make(chan Pending[string], 1)
		outer := must(t, Sequential(Func("outer", func(ctx context.Context, i int) (int, error) {
			started <- inner.Start(ctx, i)
			return i, nil
		}).With(Computing), plus(1)), On(s))
		for range 3 {
			if _, err := outer.Call(t.Context(), 1, Metadata("k", "v")); err != nil {
				t.Fatal(err)
			}
			if _, err := (<-started).Wait(t.Context()); !errors.Is(err, context.Canceled) {
				t.Errorf("after its step: %v", err)
			}
		}
	})
}

func TestStartAllocatesNothing(t *testing.T) {
	if invariants.On {
		t.Skip("contexts are not used again under the tag invariants")
	}
	e := must(t, inc(1).With(Computing))
	h := httpContext(t)
	call := func() {
		if out, err := e.Start(h, 1, Timeout(time.Minute)).Wait(context.Background()); out != 2 || err != nil {
			t.Fatal(out, err)
		}
	}
	for range 50 {
		call()
	}
	if n := testing.AllocsPerRun(500, call); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
