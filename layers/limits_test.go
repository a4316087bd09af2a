package layers

import (
	"context"
	"testing"
	"time"

	"github.com/maida-ai/gomai/sched"
)

// A wait that ends in time is not late because its caller, who computes in a sibling, hears of it late. Nor
// does one that is late count as in time, or hide an error that came first.
func TestWaitsAreJudgedByTheirOwnEnd(t *testing.T) {
	inBubble(t, func(t *testing.T, s *sched.Sched) {
		busy := takes("busy", 20*ms)
		never := Plain("never", func(in int) (int, error) {
			t.Error("a step begins after its limit")
			return in, nil
		}).With(Computing)
		for name, c := range map[string]struct {
			m    Module[int, int]
			is   error
			path string
		}{
			"a blocking step in time":  {sum(blocks("b", 5*ms).With(Timeout(10*ms)), busy), nil, ""},
			"a blocking step too late": {sum(blocks("b", 15*ms).With(Timeout(10*ms)), busy), context.DeadlineExceeded, "parallel[0]/b"},
			"a delay in time":          {sum(BlockingDelay[int](5*ms).With(Timeout(10*ms)), busy), nil, ""},
			"a delay too late":         {sum(BlockingDelay[int](15*ms).With(Timeout(10*ms)), busy), context.DeadlineExceeded, "parallel[0]/delay"},
			"an error in time":         {sum(fails("bad", 5*ms).With(Blocking, Timeout(10*ms)), busy), errBoom, "parallel[0]/bad"},
			"an error too late":        {sum(fails("bad", 15*ms).With(Blocking, Timeout(10*ms)), busy), context.DeadlineExceeded, "parallel[0]/bad"},
			"a step after it":          {sum(Sequential(blocks("b", 5*ms), never).With(Timeout(10*ms)), busy), context.DeadlineExceeded, "parallel[0]/b"},
			"last in two limits":       {sum(Sequential(takes("a", 0), blocks("b", 5*ms).With(Timeout(8*ms))).With(Timeout(10*ms)), busy), nil, ""},
			"a step after its limit":   {sum(Sequential(blocks("b", 5*ms).With(Timeout(8*ms)), plus(0)), busy), nil, ""},
			"a step in an outer limit": {sum(Sequential(blocks("b", 5*ms).With(Timeout(8*ms)), never).With(Timeout(10*ms)), busy), context.DeadlineExceeded, "parallel[0]/b"},
			"the first of two errors":  {sum(fails("a", 15*ms).With(Blocking), fails("b", 5*ms).With(Blocking), busy), errBoom, "parallel[1]/b"},
			"an error before a limit":  {sum(blocks("a", 15*ms).With(Timeout(10*ms)), fails("b", 5*ms).With(Blocking), busy), errBoom, "parallel[1]/b"},
			"a limit before an error":  {sum(blocks("a", 15*ms).With(Timeout(5*ms)), fails("b", 10*ms).With(Blocking), busy), context.DeadlineExceeded, "parallel[0]/a"},
			"the earlier of two limits": {sum(blocks("a", time.Second).With(Timeout(10*ms)), BlockingDelay[int](time.Second).With(Timeout(5*ms)), busy),
				context.DeadlineExceeded, "parallel[1]/delay"},
		} {
			e := must(t, c.m, On(s))
			for range 20 {
				switch _, err := e.Call(t.Context(), 1); {
				case c.is != nil:
					wantError(t, err, c.is, c.path)
				case err != nil:
					t.Errorf("%s: %v", name, err)
				}
			}
			if t.Failed() {
				t.Fatalf("%s:\n%s", name, e.Explain())
			}
			time.Sleep(time.Minute)
		}
	})
}
