package layers

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/maida-ai/gomai/kernel"
	"github.com/maida-ai/gomai/sched"
)

// What an attempt found out in branches of a WaitAll is not held against the next one.
func TestRetryForgetsBranches(t *testing.T) {
	inBubble(t, func(t *testing.T, s *sched.Sched) {
		slow := Func("slow", func(ctx context.Context, in int) (int, error) {
			if kernel.RetryCount(ctx) == 0 {
				time.Sleep(30 * ms)
			}
			return in + 1, nil
		})
		long := NonBlockingDelay[int](time.Hour)
		for _, mark := range []Option{Computing, Blocking} {
			for name, m := range map[string]Module[int, int]{
				"an error outside": Retry(sum(waitAll(twice("first"), long), Sequential(NonBlockingDelay[int](ms), twice("bad")))).With(Timeout(2 * time.Hour)),
				"a limit round":    Retry(waitAll(slow, takes("a", 0)).With(Timeout(20 * ms))),
				"in two":           Retry(waitAll(waitAll(slow, takes("a", 0)), takes("b", 0)).With(Timeout(20 * ms))),
			} {
				e := must(t, m.With(mark), On(s))
				for range 2 {
					start := time.Now()
					if _, err := e.Call(t.Context(), 1); err != nil {
						t.Errorf("%s: %v", name, err)
					}
					most := 1100 * ms
					if name == "an error outside" {
						most += time.Hour
					}
					within(t, name, time.Since(start), sec, most)
				}
			}
		}
		time.Sleep(sec)
	})
}

// The span of an attempt begins with it, not with the wait for it.
func TestSpansOfAttemptsBegin(t *testing.T) {
	inBubble(t, func(t *testing.T, s *sched.Sched) {
		for _, mark := range []Option{Computing, Blocking} {
			step := Func("step", func(ctx context.Context, in int) (int, error) {
				time.Sleep(5 * ms)
				if kernel.RetryCount(ctx) < 2 {
					return 0, temporary(true)
				}
				return in, nil
			}).With(mark)
			var tr TraceHandle
			if _, err := must(t, Retry(step), On(s)).Call(t.Context(), 1, Trace(&tr)); err != nil {
				t.Error(err)
			}
			var got []string
			for _, sp := range tr.Spans {
				got = append(got, fmt.Sprint(sp.Start, " ", sp.Duration))
			}
			if want := []string{"0s 5ms", "1.005s 5ms", "3.01s 5ms"}; !slices.Equal(got, want) {
				t.Errorf("spans are %q, want %q", got, want)
			}
		}
	})
}

// However often a wait is doubled, it does not overflow.
func TestRetryForever(t *testing.T) {
	inBubble(t, func(t *testing.T, s *sched.Sched) {
		var a attempts
		for _, base := range []time.Duration{1, 3, 1 << 20} {
			e := must(t, Retry(a.failing("step", 100, temporary(true)), RetryPolicy{Max: 100, Base: base, Cap: sec}), On(s))
			at := a.of(func() {
				if _, err := e.Call(context.Background(), 1); err != nil {
					t.Error(err)
				}
			})
			for i := 40; i < len(at); i++ {
				if at[i]-at[i-1] != sec {
					t.Errorf("Base %v: the wait for attempt %d is %v", base, i, at[i]-at[i-1])
				}
			}
		}
	})
}

// A panic is a defect, not something that passes, whatever its value.
func TestPanicsAreNotRetried(t *testing.T) {
	inBubble(t, func(t *testing.T, s *sched.Sched) {
		var a attempts
		for _, v := range []error{temporary(true), retryable(true), context.DeadlineExceeded} {
			e := must(t, Retry(Plain("step", func(int) (int, error) { a.note(); panic(v) })), On(s))
			wantAttempts(t, fmt.Sprint("a panic with ", v), a.of(func() { _, _ = e.Call(t.Context(), 1) }), 0)
		}
	})
}
