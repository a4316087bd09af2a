package layers

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/maida-ai/gomai/internal/invariants"
	"github.com/maida-ai/gomai/kernel"
	"github.com/maida-ai/gomai/sched"
)

var errTraced = errors.New("failed as told")

// takesTime is a step that sleeps and, if told so, fails.
func takesTime(name string, d time.Duration, err error, opts ...Option) Module[string, string] {
	return Plain(name, func(in string) (string, error) { time.Sleep(d); return in + "+" + name, err }).With(opts...)
}

// want is a span in milliseconds.
type want struct {
	path            string
	start, duration float64
	bytes           int64
	err             error
}

func (w want) String() string {
	return fmt.Sprintf("%s from %v for %v, %d bytes, error %v", w.path, w.start, w.duration, w.bytes, w.err)
}

func spansOf(tr *TraceHandle) (list []want) {
	for _, s := range tr.Spans {
		w := want{s.Path, float64(s.Start) / float64(ms), float64(s.Duration) / float64(ms), s.Bytes, nil}
		for _, err := range []error{errTraced, context.DeadlineExceeded, context.Canceled, kernel.ErrAbandoned, kernel.ErrGoexit} {
			if errors.Is(s.Err, err) {
				w.err = err
			}
		}
		if w.err == nil {
			w.err = s.Err
		}
		list = append(list, w)
	}
	if i := slices.IndexFunc(list, func(w want) bool { return w.err == kernel.ErrAbandoned }); i >= 0 {
		slices.SortFunc(list[i:], func(a, b want) int { return strings.Compare(a.path, b.path) }) // they end together
	}
	return list
}

func TestTraceInFakeTime(t *testing.T) {
	last := func(m Module[string, []string]) Module[string, string] {
		return Sequential(m, Plain("join", func(v []string) (string, error) { return strings.Join(v, ""), nil }).With(Computing))
	}
	delay := BlockingDelay[string](20 * ms).With(Name("delay"))
	const base = 16 + 1 // bytes of a string header and of the input
	for name, c := range map[string]struct {
		m     Module[string, string]
		opts  []Option
		stop  time.Duration // when the caller cancels
		total float64
		spans []want
	}{
		"inline": {
			m: Sequential3(takesTime("a", 10*ms, nil), delay, takesTime("b", 5*ms, nil)).With(Computing), total: 35,
			spans: []want{{"a", 0, 10, base + 2, nil}, {"delay", 10, 20, base + 2, nil}, {"b", 30, 5, base + 4, nil}},
		},
		"lane": {
			m: Sequential(takesTime("a", 10*ms, nil), takesTime("b", 5*ms, nil)).With(Blocking), opts: []Option{Timeout(time.Hour)}, total: 15,
			spans: []want{{"a", 0, 10, base + 2, nil}, {"b", 10, 5, base + 4, nil}},
		},
		"blocking on the caller": {
			m: Sequential(takesTime("a", 10*ms, nil), takesTime("b", 5*ms, nil)).With(Blocking), total: 15,
			spans: []want{{"a", 0, 10, base + 2, nil}, {"b", 10, 5, base + 4, nil}},
		},
		"conditional": {
			m: Conditional(func(context.Context, string) (bool, error) { time.Sleep(3 * ms); return false, nil },
				takesTime("a", 0, nil), takesTime("b", 5*ms, nil)).With(Computing), total: 8,
			spans: []want{{"conditional/predicate", 0, 3, 1, nil}, {"conditional[else]/b", 3, 5, base + 2, nil}},
		},
		"parallel": {
			m: Sequential(takesTime("first", 10*ms, nil, Computing), last(Parallel(
				takesTime("a", 30*ms, nil, Blocking), takesTime("b", 10*ms, nil, Blocking), delay,
				takesTime("c", 5*ms, nil, Computing), takesTime("d", 1*ms, nil, Computing)))), total: 40,
			spans: []want{{"first", 0, 10, base + 6, nil}, {"parallel[3]/c", 10, 5, base + 8, nil},
				{"parallel[4]/d", 15, 1, base + 8, nil}, {"parallel[1]/b", 10, 10, base + 8, nil},
				{"parallel[2]/delay", 10, 20, base + 6, nil}, {"parallel[0]/a", 10, 30, base + 8, nil},
				{"join", 40, 0, base + 4*8 + 6 + 4, nil}},
		},
		"error": {
			m: Sequential(takesTime("a", 10*ms, errTraced), takesTime("b", 5*ms, nil)).With(Computing), total: 10,
			spans: []want{{"a", 0, 10, 0, errTraced}},
		},
		"error on the lane": {
			m:    Sequential(takesTime("a", 10*ms, errTraced), takesTime("b", 5*ms, nil)).With(Blocking),
			opts: []Option{Timeout(time.Hour)}, total: 10,
			spans: []want{{"a", 0, 10, 0, errTraced}},
		},
		"failing fast": {
			m: last(Parallel(takesTime("a", 30*ms, nil, Blocking), delay, takesTime("b", 10*ms, errTraced, Blocking),
				takesTime("c", 5*ms, nil, Computing))), total: 10,
			spans: []want{{"parallel[3]/c", 0, 5, base + 2, nil}, {"parallel[2]/b", 0, 10, 0, errTraced},
				{"parallel[0]/a", 0, 10, 0, kernel.ErrAbandoned}, {"parallel[1]/delay", 0, 10, 0, kernel.ErrAbandoned}},
		},
		"waiting for all": {
			m: last(Parallel(takesTime("a", 30*ms, nil, Blocking), delay, takesTime("b", 10*ms, errTraced, Blocking),
				takesTime("c", 5*ms, errTraced, Computing)).With(WaitAll)), total: 30,
			spans: []want{{"parallel[3]/c", 0, 5, 0, errTraced}, {"parallel[2]/b", 0, 10, 0, errTraced},
				{"parallel[1]/delay", 0, 20, base, nil}, {"parallel[0]/a", 0, 30, base + 2, nil}},
		},
		"a branch that never begins": {
			m: last(Parallel(takesTime("a", 30*ms, nil, Blocking), takesTime("b", 50*ms, nil, Blocking, Deadline(time.Time{}.Add(1))),
				Sequential(delay, takesTime("c", 5*ms, nil)).With(Computing)).With(WaitAll)), total: 30,
			spans: []want{{"parallel[2]/delay", 0, 20, base, nil}, {"parallel[2]/c", 20, 5, base + 2, nil}, {"parallel[0]/a", 0, 30, base + 2, nil}},
		},
		"late on the caller": {
			m: Sequential(takesTime("a", 10*ms, nil), takesTime("b", 50*ms, nil)).With(Computing), opts: []Option{Timeout(30 * ms)}, total: 60,
			spans: []want{{"a", 0, 10, base + 2, nil}, {"b", 10, 50, 0, context.DeadlineExceeded}},
		},
		"cancelled": {
			m: last(Parallel(delay, takesTime("a", 50*ms, nil, Blocking))), stop: 7 * ms, total: 7,
			spans: []want{{"parallel[0]/delay", 0, 7, 0, context.Canceled}, {"parallel[1]/a", 0, 7, 0, kernel.ErrAbandoned}},
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := sched.New()
			defer s.Close()
			e := must(t, c.m, On(s))
			tr := TraceHandle{Spans: []kernel.Span{{Path: "of a call before"}}}
			for i := range 3 {
				ctx := context.Background()
				if c.stop > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithCancel(ctx)
					time.AfterFunc(c.stop, cancel)
				}
				start := time.Now()
				_, err := e.Call(ctx, "x", append(c.opts, Trace(&tr))...)
				total := time.Since(start)
				if got := spansOf(&tr); !slices.Equal(got, c.spans) {
					t.Errorf("%s, call %d: got the spans\n%v, want\n%v; the error is %v", name, i, got, c.spans, err)
				}
				if !tr.Start.Equal(start) || tr.Duration != total || float64(total)/float64(ms) != c.total {
					t.Errorf("%s, call %d: the trace says from %v for %v, the call took from %v for %v", name, i,
						tr.Start, tr.Duration, start, total)
				}
				if tr.Parent != 0 {
					t.Errorf("%s: a call from outside has the parent %d", name, tr.Parent)
				}
				time.Sleep(time.Minute) // abandoned runs end, the clock stops
			}
		})
	}
}

// What runs out of time on the lane does so within two beats after its limit.
func TestTraceOfTimeouts(t *testing.T) {
	for name, c := range map[string]struct {
		m    Module[string, []string]
		opts []Option
		errs map[string]error
	}{
		"the call's": {Parallel(takesTime("a", time.Second, nil, Blocking), takesTime("b", time.Second, nil, Blocking)), []Option{Timeout(30 * ms)},
			map[string]error{"parallel[0]/a": context.DeadlineExceeded, "parallel[1]/b": kernel.ErrAbandoned}},
		"a branch's": {Parallel(takesTime("a", time.Second, nil, Blocking, Timeout(30*ms)), BlockingDelay[string](time.Second)), nil,
			map[string]error{"parallel[0]/a": context.DeadlineExceeded, "parallel[1]/delay": kernel.ErrAbandoned}},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := sched.New()
			defer s.Close()
			e := must(t, c.m, On(s))
			var tr TraceHandle
			for range 3 {
				if _, err := e.Call(t.Context(), "x", append(c.opts, Trace(&tr))...); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("%s: %v", name, err)
				}
				if len(tr.Spans) != len(c.errs) {
					t.Errorf("%s: spans %v", name, spansOf(&tr))
				}
				for _, s := range tr.Spans {
					if s.Start != 0 || s.Duration < 30*ms || s.Duration > 32*ms || s.Duration != tr.Duration || s.Bytes != 0 || !errors.Is(s.Err, c.errs[s.Path]) {
						t.Errorf("%s: got %+v in a call of %v, want the error %v", name, s, tr.Duration, c.errs[s.Path])
					}
				}
				time.Sleep(time.Minute)
			}
		})
	}
}

// In real time, too, the call lasts as long as its last span, abandoned ones included.
func TestTraceCoversItsSpans(t *testing.T) {
	s := sched.New()
	hold := make(chan bool)
	defer s.Close()
	defer close(hold)
	stuck := Plain("stuck", func(in int) (int, error) { <-hold; return in, nil }).With(Blocking)
	fail := Plain("fail", func(in int) (int, error) {
		if in > 0 {
			panic(errTraced)
		}
		return in, errTraced
	}).With(Computing)
	e := must(t, Parallel(stuck, stuck, stuck, plus(1), fail), On(s))
	var tr TraceHandle
	for i := range 20 {
		before := time.Now()
		_, err := e.Call(t.Context(), i%2, Trace(&tr))
		if total := time.Since(before); !errors.Is(err, errTraced) || tr.Duration > total || tr.Start.Before(before) {
			t.Fatalf("call %d: error %v, from %v for %v; it took from %v for %v", i, err, tr.Start, tr.Duration, before, total)
		}
		abandoned, failed := 0, tr.Spans[slices.IndexFunc(tr.Spans, func(s kernel.Span) bool { return s.Err != nil })]
		for _, span := range tr.Spans {
			if span.Start > failed.Start {
				t.Fatalf("call %d: the step on the caller begins before what it waited for: %v", i, tr.Spans)
			}
			if span.Start < 0 || span.Duration < 0 || span.Start+span.Duration > tr.Duration {
				t.Fatalf("call %d of %v: the span %+v is outside", i, tr.Duration, span)
			}
			if errors.Is(span.Err, kernel.ErrAbandoned) {
				abandoned++
			}
		}
		if abandoned < 3 {
			t.Fatalf("call %d: %d spans of abandoned runs in %v", i, abandoned, spansOf(&tr))
		}
	}
}

type traced struct {
	Name string
	Rows [][]float64
	Tags [2]string
	when time.Time
	next *traced
}

func TestTraceBytes(t *testing.T) {
	size := func(name string, want int64, m Module[int, any]) {
		t.Helper()
		var tr TraceHandle
		call(t, must(t, m.With(Computing)), t.Context(), 3, Trace(&tr))
		if n := tr.Spans[0].Bytes; n != want {
			t.Errorf("%s: %d bytes, want %d", name, n, want)
		}
	}
	size("a number", 8, measured(func(n int) int64 { return int64(n) }))
	size("a string", 16+6, measured(func(n int) string { return strings.Repeat("ü", n) }))
	size("a slice", 24+3*4, measured(func(n int) []float32 { return make([]float32, n, 100) }))
	size("nil", 24, measured(func(int) []string { return nil }))
	size("strings", 24+3*16+3*2, measured(func(n int) []string { return slices.Repeat([]string{"ab"}, n) }))
	size("rows", 24+3*24+3*2*8, measured(func(n int) [][]float64 { return slices.Repeat([][]float64{{1, 2}}, n) }))
	size("a struct", 16+24+32+24+8+4+1*24+8+1+2, measured(func(int) traced {
		return traced{"name", [][]float64{{1}}, [2]string{"a", "bc"}, time.Now(), &traced{Name: "not followed"}}
	}))
	size("a map", 8, measured(func(int) map[string]string { return map[string]string{"not": "followed"} }))
}

// measured makes what f returns, and then something that Parallel and Sequential can take of any type.
func measured[T any](f func(int) T) Module[int, any] {
	return Sequential(Plain("made", func(n int) (T, error) { return f(n), nil }),
		Plain("any", func(T) (any, error) { return nil, nil }).With(Fresh))
}

func TestTraceAllocatesNothing(t *testing.T) {
	if invariants.On {
		t.Skip("invariants allocate")
	}
	fill := Into("fill", func(_ context.Context, n int64, out *traced) error {
		out.Name, out.Rows = "name", append(out.Rows[:0], nil)
		return nil
	})
	e := must(t, Sequential3(chain10(), diamond10(), Sequential(fill, Into("end", func(_ context.Context, in traced, out *int64) error {
		*out = int64(len(in.Name))
		return nil
	}))).With(Computing, Timeout(time.Hour)))
	var tr TraceHandle
	var out int64
	var ids []uint64
	for name, ctx := range map[string]context.Context{"background": context.Background(), "http": httpContext(t)} {
		if n := testing.AllocsPerRun(200, func() { _ = e.CallInto(ctx, 1, &out, Trace(&tr), Timeout(time.Minute)) }); n != 0 {
			t.Errorf("under %s: %v allocations", name, n)
		}
		if len(tr.Spans) != 22 || tr.Spans[0].Path != "inc0" || tr.Spans[21].Path != "end" || tr.Duration <= 0 {
			t.Errorf("%d spans, for %v: %v", len(tr.Spans), tr.Duration, spansOf(&tr))
		}
		for _, s := range tr.Spans {
			ids = append(ids, s.StepID)
		}
	}
	if slices.Sort(ids); len(slices.Compact(ids)) != 44 || ids[0] == 0 {
		t.Error("spans share step ids")
	}
}

// A span has the id that its step sees; a handle says nothing of an earlier call when a call is refused.
func TestTraceHandle(t *testing.T) {
	var seen []uint64
	note := look("note", func(ctx context.Context) { seen = append(seen, kernel.StepID(ctx)) })
	e := must(t, Sequential3(note.With(Computing), note.With(Blocking), note))
	var tr TraceHandle
	for range 3 {
		seen = nil
		call(t, e, t.Context(), 1, Trace(&tr))
		for i, s := range tr.Spans {
			if s.StepID != seen[i] || s.Retries != 0 {
				t.Errorf("span %d is %+v, the step saw the id %d", i, s, seen[i])
			}
		}
		before := tr.Start
		call(t, e, t.Context(), 1)
		call(t, e, t.Context(), 1, Trace(nil))
		if len(tr.Spans) != 3 || tr.Start != before {
			t.Errorf("an untraced call left the trace %+v", tr)
		}
		if _, err := e.Call(t.Context(), 1, Trace(&tr), setInt.Set(1)); err == nil || len(tr.Spans) > 0 || !tr.Start.IsZero() || tr.Duration != 0 {
			t.Errorf("a call refused with %v has the trace %+v", err, tr)
		}
	}
}
