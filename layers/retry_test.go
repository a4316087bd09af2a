package layers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/maida-ai/gomai/graph"
	"github.com/maida-ai/gomai/kernel"
	"github.com/maida-ai/gomai/sched"
)

// temporary and retryable are errors that say of themselves whether another attempt may help.
type (
	temporary bool
	retryable bool
)

func (e temporary) Error() string   { return fmt.Sprint("temporary: ", bool(e)) }
func (e temporary) Temporary() bool { return bool(e) }
func (e retryable) Error() string   { return fmt.Sprint("retryable: ", bool(e)) }
func (e retryable) Retryable() bool { return bool(e) }

// attempts notes when the attempts of a step begin.
type attempts struct {
	start time.Time
	mu    sync.Mutex
	at    []time.Duration
}

func (a *attempts) note() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.at = append(a.at, time.Since(a.start))
}

// of returns what f has noted from now on.
func (a *attempts) of(f func()) []time.Duration {
	a.mu.Lock()
	a.start, a.at = time.Now(), nil
	a.mu.Unlock()
	f()
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.at)
}

// failing is a step whose first n attempts fail with err.
func (a *attempts) failing(name string, n int, err error) Module[int, int] {
	return Func(name, func(ctx context.Context, in int) (int, error) {
		a.note()
		if kernel.RetryCount(ctx) < n {
			return -1, err
		}
		return in + 1, nil
	}).With(Computing)
}

func wantAttempts(t *testing.T, name string, got []time.Duration, want ...time.Duration) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: attempts after %v, want %v", name, got, want)
	}
}

const sec = time.Second

// A Retry begins again after 1, 2 and 4 seconds, and then no more.
func TestRetryByDefault(t *testing.T) {
	inBubble(t, func(t *testing.T, s *sched.Sched) {
		var a attempts
		all := []time.Duration{0, sec, 3 * sec, 7 * sec}
		for _, mark := range []Option{Computing, Blocking} {
			for n := range 4 {
				e := must(t, Retry(a.failing("step", n, temporary(true))).With(mark), On(s))
				got := a.of(func() {
					if v, err := e.Call(context.Background(), 1); v != 2 || err != nil {
						t.Errorf("%d failures: %v, %v", n, v, err)
					}
				})
				wantAttempts(t, fmt.Sprint(n, " failures"), got, all[:n+1]...)
			}
			e := must(t, Retry(a.failing("step", 4, temporary(true))).With(mark), On(s))
			for _, ctx := range []context.Context{context.Background(), t.Context()} {
				got := a.of(func() {
					_, err := e.Call(ctx, 1)
					wantError(t, err, temporary(true), "retry/step")
				})
				wantAttempts(t, "four failures", got, all...)
			}
		}
	})
}

func TestRetryPolicies(t *testing.T) {
	inBubble(t, func(t *testing.T, s *sched.Sched) {
		var a attempts
		for name, c := range map[string]struct {
			policy []RetryPolicy
			want   []time.Duration
		}{
			"none":            {nil, []time.Duration{0, sec, 3 * sec, 7 * sec}},
			"zero":            {[]RetryPolicy{{}}, []time.Duration{0, sec, 3 * sec, 7 * sec}},
			"Max":             {[]RetryPolicy{{Max: 1}}, []time.Duration{0, sec}},
			"a larger Max":    {[]RetryPolicy{{Max: 5}}, []time.Duration{0, sec, 3 * sec, 7 * sec, 15 * sec, 31 * sec}},
			"Base":            {[]RetryPolicy{{Base: ms}}, []time.Duration{0, ms, 3 * ms, 7 * ms}},
			"Cap":             {[]RetryPolicy{{Cap: 3 * sec, Max: 5}}, []time.Duration{0, sec, 3 * sec, 6 * sec, 9 * sec, 12 * sec}},
			"Cap below Base":  {[]RetryPolicy{{Cap: ms}}, []time.Duration{0, ms, 2 * ms, 3 * ms}},
			"the last holds":  {[]RetryPolicy{{Max: 9, Base: ms}, {Max: 2}}, []time.Duration{0, sec, 3 * sec}},
			"as short as can": {[]RetryPolicy{{Base: 1}}, []time.Duration{0, 1, 3, 7}},
		} {
			e := must(t, Retry(a.failing("step", math.MaxInt, temporary(true)), c.policy...), On(s))
			wantAttempts(t, name, a.of(func() {
				_, err := e.Call(context.Background(), 1)
				wantError(t, err, temporary(true), "retry/step")
			}), c.want...)
		}
	})
}

// Jitter shortens each wait by up to its share, and not always by the same.
func TestRetryJitter(t *testing.T) {
	inBubble(t, func(t *testing.T, s *sched.Sched) {
		var a attempts
		for _, jitter := range []float64{0.25, 1} {
			e := must(t, Retry(a.failing("step", math.MaxInt, temporary(true)), RetryPolicy{Jitter: jitter, Cap: 3 * sec}), On(s))
			low, high := math.Inf(1), 0.0
			for range 50 {
				at := a.of(func() { _, _ = e.Call(context.Background(), 1) })
				if len(at) != 4 {
					t.Fatalf("%d attempts", len(at))
				}
				for i, whole := range []time.Duration{sec, 2 * sec, 3 * sec} {
					share := float64(at[i+1]-at[i]) / float64(whole)
					if share < 1-jitter || share > 1 {
						t.Errorf("Jitter %v: waited %v instead of %v", jitter, at[i+1]-at[i], whole)
					}
					low, high = min(low, share), max(high, share)
				}
			}
			if low > 1-0.8*jitter || high < 1-0.2*jitter {
				t.Errorf("Jitter %v: all waits are from %v to %v of the whole", jitter, low, high)
			}
		}
	})
}

func TestRefusedRetries(t *testing.T) {
	for want, p := range map[string]RetryPolicy{
		"the policy's Max must not be negative, is -1":     {Max: -1},
		"the policy's Base must not be negative, is -1ns":  {Base: -1},
		"the policy's Cap must not be negative, is -1s":    {Cap: -sec},
		"the policy's Jitter must be from 0 to 1, is -0.1": {Jitter: -0.1},
		"the policy's Jitter must be from 0 to 1, is 1.5":  {Jitter: 1.5},
		"the policy's Jitter must be from 0 to 1, is NaN":  {Jitter: math.NaN()},
	} {
		var failed *graph.CompileError
		_, err := Compile(sum(plus(1), Sequential(plus(1), Retry(plus(1), p))).With(Name("top")))
		if !errors.As(err, &failed) || failed.Path != "top/parallel[1]/retry" || failed.Err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	for want, m := range map[string]Module[int, int]{
		"retry: module 1 of 1: nil Module":                                                 Retry(Module[int, int]{}),
		"retry/send: is marked Effect, which never runs twice, inside a Retry":             Retry(plus(1).With(Name("send"), Effect)),
		"retry/parallel[1]/send: is marked Effect, which never runs twice, inside a Retry": Retry(sum(plus(1), plus(1).With(Name("send"), Effect))),
		"retry/retry/send: is marked Effect, which never runs twice, inside a Retry":       Retry(Retry(plus(1).With(Effect, Name("send")))),
		"again/both: is marked Effect, which never runs twice, inside a Retry":             Retry(Sequential(plus(1), plus(1)).With(Name("both"), Effect)).With(Name("again")),
		"retry: is in what is marked Effect, which never runs twice":                       Retry(plus(1)).With(Effect),
		"all/retry: is in what is marked Effect, which never runs twice":                   Sequential(plus(1), Retry(plus(1))).With(Name("all"), Effect),
		"retry/retry: is marked Effect, which never runs twice, inside a Retry":            Retry(Retry(plus(1)).With(Effect)),
		"top/retry/conditional[then]/send: is marked Effect, which never runs twice, inside a Retry": Retry(Conditional(
			func(context.Context, int) (bool, error) { return true, nil }, plus(1).With(Name("send"), Effect), plus(1))).With(Name("retry")),
	} {
		if strings.HasPrefix(want, "top/") {
			m = Sequential(plus(1), m).With(Name("top"))
		}
		if _, err := Compile(m); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	if _, err := Compile(Sequential(plus(1).With(Effect), Retry(plus(1)))); err != nil {
		t.Errorf("an Effect beside a Retry: %v", err)
	}
}

// What is worth another attempt: a timeout of the step's own, and what says of itself that it may pass.
func TestWhatIsRetried(t *testing.T) {
	inBubble(t, func(t *testing.T, s *sched.Sched) {
		var a attempts
		for _, c := range []struct {
			err   error
			again bool
		}{
			{temporary(true), true},
			{temporary(false), false},
			{retryable(true), true},
			{retryable(false), false},
			{fmt.Errorf("wrapped: %w", temporary(true)), true},
			{fmt.Errorf("wrapped: %w", fmt.Errorf("twice: %w", retryable(true))), true},
			{errors.Join(io.EOF, retryable(true)), true},
			{errors.Join(temporary(false), retryable(true)), true},
			{fmt.Errorf("wrapped: %w", temporary(false)), false},
			{context.DeadlineExceeded, true},
			{fmt.Errorf("wrapped: %w", context.DeadlineExceeded), true},
			{context.Canceled, false},
			{io.EOF, false},
			{errBoom, false},
			{sched.ErrClosed, false},
		} {
			for _, mark := range []Option{Computing, Blocking} {
				e := must(t, Retry(a.failing("step", 4, c.err).With(mark)), On(s))
				got := a.of(func() {
					_, err := e.Call(t.Context(), 1)
					wantError(t, err, c.err, "retry/step")
				})
				if want := 1 + 3*map[bool]int{true: 1}[c.again]; len(got) != want {
					t.Errorf("%v: %d attempts, want %d", c.err, len(got), want)
				}
			}
		}
		for name, m := range map[string]Module[int, int]{
			"a panic":         Plain("step", func(int) (int, error) { a.note(); panic("oops") }),
			"a runtime error": Plain("step", func(in int) (int, error) { a.note(); return []int{}[in], nil }),
		} {
			for _, mark := range []Option{Computing, Blocking} {
				e := must(t, Retry(m.With(mark)), On(s))
				got := a.of(func() {
					var p *kernel.PanicError
					if _, err := e.Call(t.Context(), 1); !errors.As(err, &p) {
						t.Errorf("%s: %v", name, err)
					}
				})
				wantAttempts(t, name, got, 0)
			}
		}
	})
}

// Attempts that overrun their own Timeout are made again, each with the whole of it.
func TestRetryOfTimeouts(t *testing.T) {
	inBubble(t, func(t *testing.T, s *sched.Sched) {
		var a attempts
		for _, mark := range []Option{Computing, Blocking} {
			slow := func(times int) Module[int, int] {
				return Func("slow", func(ctx context.Context, in int) (int, error) {
					a.note()
					if kernel.RetryCount(ctx) < times {
						time.Sleep(30 * ms)
					}
					return in + 1, nil
				}).With(mark)
			}
			for name, m := range map[string]func(times int) Module[int, int]{
				"of the step":      func(n int) Module[int, int] { return slow(n).With(Timeout(20 * ms)) },
				"of a Sequential":  func(n int) Module[int, int] { return Sequential(slow(n), takes("a", 0)).With(Timeout(20 * ms)) },
				"in a Sequential":  func(n int) Module[int, int] { return Sequential(slow(n).With(Timeout(20*ms)), takes("a", 0)) },
				"round a Parallel": func(n int) Module[int, int] { return sum(slow(n), takes("a", 0)).With(Timeout(20 * ms)) },
			} {
				for times := range 5 {
					e := must(t, Retry(m(times)), On(s))
					got := a.of(func() {
						_, err := e.Call(t.Context(), 1)
						if times < 4 && err != nil || times == 4 && !errors.Is(err, context.DeadlineExceeded) {
							t.Errorf("Timeout %s, %d times: %v", name, times, err)
						}
					})
					if len(got) != min(times+1, 4) {
						t.Fatalf("Timeout %s: %d attempts of %d", name, len(got), times+1)
					}
					for i := 1; i < len(got); i++ {
						low, high := 20*ms, 22*ms
						if mark.Kind == Computing.Kind { // it is waited for
							low, high = 30*ms, 30*ms
						}
						within(t, fmt.Sprintf("Timeout %s: the wait for attempt %d", name, i), got[i]-got[i-1]-sec<<(i-1), low, high)
					}
				}
			}
		}
		time.Sleep(sec) // for the abandoned runs
	})
}

// When replaces what is retried by default, and gets the error with its path.
func TestRetryWhen(t *testing.T) {
	inBubble(t, func(t *testing.T, s *sched.Sched) {
		var a attempts
		var seen []string
		when := func(err error) bool {
			var step *kernel.StepError
			if !errors.As(err, &step) {
				t.Errorf("When gets a %T", err)
			}
			seen = append(seen, err.Error())
			return errors.Is(err, io.EOF)
		}
		policy := RetryPolicy{Base: ms, When: when}
		e := must(t, Retry(a.failing("step", 2, io.EOF), policy), On(s))
		wantAttempts(t, "io.EOF", a.of(func() {
			if v, err := e.Call(t.Context(), 1); v != 2 || err != nil {
				t.Error(v, err)
			}
		}), 0, ms, 3*ms)
		if want := []string{"retry/step: EOF", "retry/step: EOF"}; !slices.Equal(seen, want) {
			t.Errorf("When saw %q, want %q", seen, want)
		}
		e = must(t, Retry(a.failing("step", 2, temporary(true)), policy), On(s))
		wantAttempts(t, "what When does not want", a.of(func() {
			_, err := e.Call(t.Context(), 1)
			wantError(t, err, temporary(true), "retry/step")
		}), 0)

		// One that panics is an error at the Retry, which others survive.
		bad := Retry(a.failing("step", 2, io.EOF), RetryPolicy{When: func(error) bool { panic(errBoom) }})
		for path, m := range map[string]Module[int, int]{
			"retry":             bad,
			"parallel[1]/retry": waitAll(takes("a", ms), bad),
		} {
			e = must(t, m, On(s))
			for range 3 {
				for _, opts := range [][]Option{nil, {Timeout(time.Minute)}, {Trace(new(TraceHandle))}} {
					var p *kernel.PanicError
					_, err := e.Call(t.Context(), 1, opts...)
					if wantError(t, err, errBoom, path); !errors.As(err, &p) {
						t.Errorf("%v is no panic", err)
					}
				}
			}
		}
	})
}

// There is no waiting for an attempt that could only begin at the deadline: the last error stands, at once.
func TestRetryAndDeadlines(t *testing.T) {
	inBubble(t, func(t *testing.T, s *sched.Sched) {
		var a attempts
		for _, mark := range []Option{Computing, Blocking} {
			step := a.failing("step", math.MaxInt, temporary(true)).With(mark)
			for limit, want := range map[time.Duration][]time.Duration{
				sec - 1:       {0},
				sec:           {0},
				sec + ms:      {0, sec},
				2 * sec:       {0, sec},
				3 * sec:       {0, sec},
				3*sec + ms:    {0, sec, 3 * sec},
				7 * sec:       {0, sec, 3 * sec},
				7*sec + ms:    {0, sec, 3 * sec, 7 * sec},
				24 * 60 * sec: {0, sec, 3 * sec, 7 * sec},
			} {
				again := Retry(step).With(Name("retry"))
				for name, c := range map[string]struct {
					m    Module[int, int]
					call []Option
					ctx  bool
				}{
					"the call's Timeout":   {m: again, call: []Option{Timeout(limit)}},
					"the call's Deadline":  {m: again, call: []Option{Deadline(time.Now().Add(limit))}},
					"the context's":        {m: again, ctx: true},
					"the root's":           {m: again.With(Timeout(limit))},
					"the Retry's":          {m: Sequential(takes("a", 0), again.With(Timeout(limit)))},
					"one round the Retry":  {m: Sequential(takes("a", 0), Sequential(takes("b", 0), again).With(Timeout(limit)))},
					"one in a Parallel":    {m: sum(takes("a", 0), again.With(Timeout(limit)))},
					"one round a Parallel": {m: Sequential(takes("a", 0), sum(takes("a", 0), again).With(Timeout(limit)))},
				} {
					if name == "the call's Deadline" {
						c.call = []Option{Deadline(time.Now().Add(limit))}
					}
					e := must(t, c.m, On(s))
					ctx, cancel := t.Context(), context.CancelFunc(func() {})
					if c.ctx {
						ctx, cancel = context.WithTimeout(ctx, limit)
					}
					var took time.Duration
					got := a.of(func() {
						_, err := e.Call(ctx, 1, c.call...)
						took = time.Since(a.start)
						var step *kernel.StepError
						if !errors.As(err, &step) || !errors.Is(err, temporary(true)) || !strings.HasSuffix(step.Path, "retry/step") {
							t.Errorf("%s, %v: %v", name, limit, err)
						}
					})
					cancel()
					if wantAttempts(t, fmt.Sprintf("%s, %v", name, limit), got, want...); took != want[len(want)-1] {
						t.Errorf("%s, %v: took %v, want %v", name, limit, took, want[len(want)-1])
					}
				}
			}
		}
	})
}
