package layers

import (
	"bytes"
	"context"
	"errors"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/maida-ai/gomai/sched"
)

// tenfold returns m ten times.
func tenfold(m Module[int, int]) []Module[int, int] { return slices.Repeat([]Module[int, int]{m}, 10) }

// inThisBubble counts goroutines of the caller's bubble.
func inThisBubble() int64 {
	buf := make([]byte, 1<<20)
	buf = buf[:runtime.Stack(buf, true)]
	first, _, _ := bytes.Cut(buf, []byte("]")) // goroutine 7 [running, synctest bubble 3
	_, bubble, _ := bytes.Cut(first, []byte("synctest bubble "))
	return int64(bytes.Count(buf, append([]byte("synctest bubble "), append(bubble, ']')...)))
}

// Ten delays in a Parallel take the time of one, the NonBlocking ones on the goroutine of the caller, the
// Blocking ones on one each.
func TestDelaysInParallel(t *testing.T) {
	inBubble(t, func(t *testing.T, s *sched.Sched) {
		for name, c := range map[string]struct {
			branch Module[int, int]
			lane   int64 // goroutines
		}{
			"NonBlockingDelay":       {NonBlockingDelay[int](100 * ms), 0},
			"two in a row":           {Sequential(NonBlockingDelay[int](40*ms), NonBlockingDelay[int](60*ms)), 0},
			"between computing ones": {Sequential3(plus(0), NonBlockingDelay[int](100*ms), plus(0)).With(Computing), 0},
			"in a Conditional": {Conditional(func(context.Context, int) (bool, error) { return true, nil },
				NonBlockingDelay[int](100*ms), plus(1)).With(Computing), 0},
			"in a Parallel": {sum(NonBlockingDelay[int](100*ms), Plain("0", func(int) (int, error) { return 0, nil }).With(Computing)), 0},
			"in a Retry":    {Retry(NonBlockingDelay[int](100 * ms)), 0},
			"BlockingDelay": {BlockingDelay[int](100 * ms), 10},
		} {
			e := must(t, Parallel(tenfold(c.branch)...), On(s))
			for _, opts := range [][]Option{nil, {Timeout(time.Hour)}, {Trace(new(TraceHandle))}} {
				for _, ctx := range []context.Context{context.Background(), t.Context()} {
					time.Sleep(time.Minute) // until idle goroutines of the lane have left
					before := inThisBubble()
					var during Stats
					var more int64
					time.AfterFunc(50*ms+500*µs, func() { // between two beats; it counts itself
						during, more = e.Stats(), inThisBubble()-before-1
					})
					start := time.Now()
					got, err := e.Call(ctx, 7, opts...)
					took := time.Since(start)
					synctest.Wait()
					if err != nil || !slices.Equal(got, slices.Repeat([]int{7}, 10)) {
						t.Errorf("%s: %v, %v", name, got, err)
					}
					within(t, name, took, 100*ms, 100*ms)
					if more != c.lane || during.Blocking != c.lane || during.Inside != 1 {
						t.Errorf("%s: %d more goroutines and %+v while it waits, want %d", name, more, during, c.lane)
					}
				}
			}
		}
	})
}

// A delay passes on what it got, and its siblings compute meanwhile.
func TestDelayPassesOn(t *testing.T) {
	inBubble(t, func(t *testing.T, s *sched.Sched) {
		for name, delay := range map[string]func(time.Duration) Module[[]string, []string]{
			"NonBlockingDelay": NonBlockingDelay[[]string], "BlockingDelay": BlockingDelay[[]string],
		} {
			var order []string
			then := func(name string) Module[[]string, []string] {
				return Plain(name, func(in []string) ([]string, error) { order = append(order, name); return append(in[:1:1], name), nil }).With(Computing)
			}
			e := must(t, Parallel(Sequential(delay(30*ms), then("c")), then("a"), Sequential(delay(10*ms), then("b")), delay(0)), On(s))
			got, err := e.Call(context.Background(), []string{"in"})
			if want := []string{"a", "b", "c"}; err != nil || !slices.Equal(order, want) {
				t.Errorf("%s: order %v, %v, want %v", name, order, err, want)
			}
			for i, want := range []string{"c", "a", "b", ""} {
				if got[i][0] != "in" || len(got[i]) == 2 != (want != "") || want != "" && got[i][1] != want {
					t.Errorf("%s: branch %d returned %q", name, i, got[i])
				}
			}
		}
	})
}

// The end of a delay is exact, and it ends with its deadline, its context or the error of a sibling at once,
// of whichever kind it is.
func TestDelayEndsEarly(t *testing.T) {
	inBubble(t, func(t *testing.T, s *sched.Sched) {
		for kind, delay := range map[string]func(time.Duration) Module[int, int]{
			"NonBlockingDelay": NonBlockingDelay[int], "BlockingDelay": BlockingDelay[int],
		} {
			for _, d := range []time.Duration{0, 1, 999 * µs, ms + 1, time.Hour} {
				start := time.Now()
				if _, err := must(t, delay(d), On(s)).Call(t.Context(), 1); err != nil {
					t.Error(err)
				}
				within(t, kind, time.Since(start), d, d)
			}
			for name, m := range map[string]Module[int, int]{
				"delay":               delay(time.Hour),
				"a/delay":             Sequential3(takes("x", 0), delay(time.Hour), takes("y", 0)).With(Name("a")),
				"parallel[0]/delay":   sum(delay(time.Hour), takes("x", 0)),
				"parallel[1]/delay":   waitAll(takes("x", 0), delay(time.Hour)),
				"parallel[0]/r/delay": sum(Retry(delay(time.Hour)).With(Name("r")), takes("x", 0)),
			} {
				e := must(t, m, On(s))
				start := time.Now()
				_, err := e.Call(context.Background(), 1, Timeout(10*ms))
				wantError(t, err, context.DeadlineExceeded, name)
				within(t, kind+" at its deadline", time.Since(start), 10*ms, 12*ms)

				ctx, cancel := context.WithCancel(t.Context())
				time.AfterFunc(1500*µs, cancel)
				start = time.Now()
				_, err = e.Call(ctx, 1)
				wantError(t, err, context.Canceled, name)
				within(t, kind+" cancelled", time.Since(start), 1500*µs, 1500*µs)

				start = time.Now()
				_, err = must(t, sum(m, fails("bad", 3*ms).With(Blocking)), On(s)).Call(context.Background(), 1)
				wantError(t, err, errBoom, "parallel[1]/bad")
				within(t, kind+" beside an error", time.Since(start), 3*ms, 3*ms)
				synctest.Wait()
				if st := e.Stats(); st.Blocking != 0 || st.Abandoned != 0 || st.Inside != 0 {
					t.Errorf("%s: %+v when all is over", name, st)
				}
			}
		}
	})
}

// BlockingDelays are bounded as all that blocks is; others are not.
func TestDelaysAndMaxBlocking(t *testing.T) {
	inBubble(t, func(t *testing.T, s *sched.Sched) {
		for _, opts := range [][]Option{{On(s)}, {On(s), MaxBlocking(4)}} {
			few := 6 - len(opts) // the scheduler's bound, or the engine's
			free := must(t, Parallel(tenfold(NonBlockingDelay[int](sec))...), opts...)
			fits := must(t, Parallel(tenfold(BlockingDelay[int](sec))[:few]...), opts...)
			over := must(t, Parallel(tenfold(BlockingDelay[int](sec))[:few+1]...), opts...)
			for range 3 {
				for _, e := range []*Engine[int, []int]{free, fits} {
					if _, err := e.Call(context.Background(), 1); err != nil {
						t.Error(err)
					}
				}
				start := time.Now()
				if _, err := over.Call(context.Background(), 1); !errors.Is(err, sched.ErrOverloaded) {
					t.Errorf("%d BlockingDelays: %v", few+1, err)
				}
				within(t, "an overload", time.Since(start), 0, 0)
				synctest.Wait()
			}
			// Alone, without anything that could end it, it holds its caller.
			if _, err := must(t, BlockingDelay[int](sec), On(s), MaxBlocking(1)).Call(context.Background(), 1); err != nil {
				t.Error(err)
			}
		}
	}, sched.MaxBlocking(5))
}
