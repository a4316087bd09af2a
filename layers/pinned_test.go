package layers

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/maida-ai/gomai/kernel"
	"github.com/maida-ai/gomai/sched"
)

// kept is what a pinned context must go on to say.
type kept struct {
	ctx      context.Context
	id       uint64
	deadline time.Time
	n        int
}

func (k kept) check(t *testing.T, name string) {
	t.Helper()
	ctx := k.ctx
	if ctx.Err() != context.Canceled || context.Cause(ctx) != context.Canceled {
		t.Errorf("%s %d: error %v, cause %v", name, k.n, ctx.Err(), context.Cause(ctx))
	}
	select {
	case <-ctx.Done():
	default:
		t.Errorf("%s %d: Done is open", name, k.n)
	}
	if v := ctx.Value(ctxKey{}); v != k.n {
		t.Errorf("%s %d: Value is %v", name, k.n, v)
	}
	n := fmt.Sprint(k.n)
	if v := kernel.Metadata(ctx, "call") + kernel.Metadata(ctx, "with"); v != n+"w" {
		t.Errorf("%s %d: Metadata is %q", name, k.n, v)
	}
	if v := ctxLevel.Get(ctx); v != float64(k.n) {
		t.Errorf("%s %d: Get returns %v", name, k.n, v)
	}
	if v := kernel.Auth(ctx); v != k.n {
		t.Errorf("%s %d: Auth returns %v", name, k.n, v)
	}
	if id := kernel.StepID(ctx); id != k.id {
		t.Errorf("%s %d: StepID was %d and is %d", name, k.n, k.id, id)
	}
	if d, ok := ctx.Deadline(); !ok || !d.Equal(k.deadline) {
		t.Errorf("%s %d: Deadline was %v and is %v, %v", name, k.n, k.deadline, d, ok)
	}
}

type anotherKey struct{}

// A context that somebody has looked into stays what it was, and no other step or call ever gets it.
func TestPinnedContextStays(t *testing.T) {
	s := sched.New()
	defer s.Close()
	for name, use := range map[string]func(context.Context){
		"Value":     func(ctx context.Context) { ctx.Value(nil) },
		"Done":      func(ctx context.Context) { ctx.Done() },
		"AfterFunc": func(ctx context.Context) { context.AfterFunc(ctx, func() {}) },
		"elsewhere": func(ctx context.Context) {
			var wg sync.WaitGroup
			for range 4 {
				wg.Go(func() { ctx.Value(nil) })
			}
			wg.Wait()
		},
	} {
		for _, mark := range []Option{Computing, Blocking} {
			name := name + " " + mark.String()
			var all []kept
			n := 0
			seen := map[context.Context]bool{}
			keep := look("keep", func(ctx context.Context) {
				use(ctx)
				d, _ := ctx.Deadline()
				if seen[ctx] {
					t.Errorf("%s: call %d got the context of an earlier step", name, n)
				}
				seen[ctx] = true
				all = append(all, kept{ctx, kernel.StepID(ctx), d, n})
			}).With(Reads(ctxLevel), Metadata("with", "w"), mark)
			e := must(t, Sequential(keep, keep), On(s))
			for n = range 20 {
				ctx := context.WithValue(context.Background(), ctxKey{}, n)
				call(t, e, ctx, 1, ctxLevel.Set(float64(n)), Metadata("call", fmt.Sprint(n)), Auth(n), Timeout(time.Hour))
			}
			for _, k := range all {
				k.check(t, name)
			}
		}
	}
}

// A blocking step that runs on its caller, for want of a reason to use the lane, has a context to keep.
func TestInlineBlockingContextIsPinned(t *testing.T) {
	var ctxs []context.Context
	e := must(t, look("block", func(ctx context.Context) {
		if _, ok := ctx.Deadline(); ok {
			t.Error("there is a deadline: the step is not on its caller")
		}
		ctxs = append(ctxs, ctx)
	}).With(Blocking))
	for n := range 5 {
		call(t, e, kernel.WithMetadata(context.Background(), "n", fmt.Sprint(n)), 1)
		call(t, e, context.Background(), 1, Metadata("n", fmt.Sprint(n)))
	}
	for i, ctx := range ctxs { // the first use
		if v := kernel.Metadata(ctx, "n"); v != fmt.Sprint(i/2) || ctx.Value(nil) != nil || context.Cause(ctx) != context.Canceled {
			t.Errorf("context %d: metadata %q, cause %v", i, v, context.Cause(ctx))
		}
	}
}

// All of a step's goroutines may use its context at once, the first use included.
func TestContextInManyGoroutines(t *testing.T) {
	e := must(t, look("many", func(ctx context.Context) {
		ids := make([]uint64, len(ctxUses))
		var wg sync.WaitGroup
		start := make(chan bool)
		for i, c := range ctxUses {
			wg.Go(func() { <-start; c.use(ctx); ids[i] = kernel.StepID(ctx) })
		}
		close(start)
		wg.Wait()
		for i, id := range ids {
			if id == 0 || id != ids[0] {
				t.Errorf("%s: StepID %d, elsewhere %d", ctxUses[i].name, id, ids[0])
			}
		}
	}).With(Computing, Reads(ctxLevel), Timeout(time.Hour)))
	for range 100 {
		call(t, e, httpContext(t), 1, Metadata("k", "v"), Auth("secret"))
	}
}

// An http.Client dials in the background after its step is over, and asks the context then.
func TestDialOutlivesStep(t *testing.T) {
	dialing, goOn, seen := make(chan bool), make(chan bool), make(chan any)
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		close(dialing)
		<-goOn
		seen <- ctx.Value(ctxKey{})
		return nil, errors.New("no network")
	}}}
	e := must(t, Func("get", func(ctx context.Context, get bool) (bool, error) {
		if !get {
			return get, ctx.Err()
		}
		req, err := http.NewRequestWithContext(ctx, "GET", "http://example.invalid", nil)
		if err != nil {
			return get, err
		}
		_, err = client.Do(req)
		return get, err
	}).With(Computing))
	ctx, cancel := context.WithCancel(context.WithValue(t.Context(), ctxKey{}, "mine"))
	go func() { <-dialing; cancel() }()
	if _, err := e.Call(ctx, true); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	for range 10 {
		call(t, e, context.WithValue(t.Context(), ctxKey{}, "another's"), false)
	}
	close(goOn)
	if v := <-seen; v != "mine" {
		t.Errorf("the dial sees the value %v", v)
	}
}

func TestDetach(t *testing.T) {
	e := must(t, look("after", func(context.Context) {}).With(Computing))
	var late []context.Context
	keep := func(ctx context.Context) { late = append(late, kernel.Detach(ctx)) }
	inner := must(t, look("inner", keep).With(Computing, Reads(ctxLevel), ctxLevel.Set(3), Timeout(time.Minute)))
	for name, f := range map[string]func(context.Context){
		"a step":          keep,
		"of WithValue":    func(ctx context.Context) { keep(context.WithValue(ctx, anotherKey{}, 2)) },
		"of WithMetadata": func(ctx context.Context) { keep(kernel.WithMetadata(ctx, "another key", "v")) },
		"of WithCancel":   func(ctx context.Context) { ctx, cancel := context.WithCancel(ctx); keep(ctx); cancel() },
		"twice":           func(ctx context.Context) { keep(kernel.Detach(ctx)) },
		"a nested step":   func(ctx context.Context) { call(t, inner, ctx, 1) },
		"a nested step under WithValue": func(ctx context.Context) {
			call(t, inner, context.WithValue(ctx, anotherKey{}, 2), 1)
		},
	} {
		late = nil
		outer := must(t, look("outer", f).With(Computing, Reads(ctxLevel), ctxLevel.Set(3), Metadata("with", "w")))
		for n := range 3 {
			ctx, cancel := context.WithTimeout(context.WithValue(t.Context(), ctxKey{}, n), time.Minute)
			call(t, outer, ctx, 1, Metadata("call", fmt.Sprint(n)), Auth(n))
			cancel()
			call(t, outer, t.Context(), 1)
			late = late[:len(late)-1]
		}
		for n, ctx := range late {
			_, limited := ctx.Deadline()
			if ctx.Err() != nil || ctx.Done() != nil || limited || context.Cause(ctx) != nil {
				t.Errorf("%s %d: not detached: error %v, deadline %v", name, n, ctx.Err(), limited)
			}
			m := kernel.Metadata(ctx, "call") + kernel.Metadata(ctx, "with")
			if ctx.Value(ctxKey{}) != n || kernel.Auth(ctx) != n || m != fmt.Sprint(n)+"w" || ctxLevel.Get(ctx) != 3 {
				t.Errorf("%s %d: Value %v, Auth %v, Metadata %q, Get %v", name, n,
					ctx.Value(ctxKey{}), kernel.Auth(ctx), m, ctxLevel.Get(ctx))
			}
			call(t, e, ctx, 1)
		}
	}
	type key struct{}
	plain, cancel := context.WithCancel(context.WithValue(context.Background(), key{}, 1))
	cancel()
	if ctx := kernel.Detach(plain); ctx.Err() != nil || ctx.Value(key{}) != 1 {
		t.Errorf("outside of a step: error %v, value %v", ctx.Err(), ctx.Value(key{}))
	}
}

func TestStepIDsAreUnique(t *testing.T) {
	s := sched.New()
	defer s.Close()
	var mu sync.Mutex
	seen := map[uint64]string{}
	note := func(name string) func(context.Context) {
		return func(ctx context.Context) {
			id := kernel.StepID(ctx)
			again := kernel.StepID(context.WithValue(ctx, ctxKey{}, 1))
			mu.Lock()
			defer mu.Unlock()
			if old := seen[id]; id == 0 || id != again || old != "" {
				t.Errorf("%s has the id %d, then %d, which %q had", name, id, again, old)
			}
			seen[id] = name
		}
	}
	inner := must(t, look("inner", note("inner")), On(s))
	nest := func(ctx context.Context) { note("nest")(ctx); call(t, inner, ctx, 1) }
	e := must(t, Sequential3(look("first", note("first")).With(Computing), Parallel(
		look("lane", note("lane")).With(Blocking),
		look("caller", note("caller")).With(Computing),
		look("undeclared", note("undeclared")),
		look("nest", nest).With(Blocking),
	), Plain("end", func(v []int) (int, error) { return v[0], nil })), On(s))
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 40 {
				if _, err := e.Call(t.Context(), 1); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if len(seen) != 8*40*6 {
		t.Errorf("%d ids for %d runs of steps", len(seen), 8*40*6)
	}
	if id := kernel.StepID(t.Context()); id != 0 {
		t.Errorf("outside of a step StepID is %d", id)
	}
}

func TestNilContext(t *testing.T) {
	var none context.Context
	if kernel.Metadata(none, "k") != "" || kernel.Auth(none) != nil || kernel.StepID(none) != 0 || ctxLevel.Get(none) != 0.25 {
		t.Error("a nil context has values")
	}
	if kernel.Metadata(kernel.WithMetadata(none, "k", "v"), "k") != "v" || kernel.Detach(none).Err() != nil {
		t.Error("WithMetadata or Detach of nil")
	}
	for _, mark := range []Option{Computing, Blocking} {
		e := must(t, look("step", func(ctx context.Context) {
			if ctx == nil || ctx.Err() != nil || ctx.Value(ctxKey{}) != nil {
				t.Error("not the background context")
			}
		}).With(mark))
		call(t, e, none, 1)
		call(t, e, kernel.WithMetadata(none, "k", "v"), 1)
	}
}
