package layers

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"unsafe"

	"github.com/maida-ai/gomai/internal/invariants"
	"github.com/maida-ai/gomai/kernel"
)

func needInvariants(t *testing.T) {
	t.Helper()
	if !invariants.On {
		t.Skip("run with -tags invariants")
	}
}

// poisoned reports whether all bytes of v are 0xDB.
func poisoned[T any](v []T) bool {
	b := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(v))), uintptr(len(v))*unsafe.Sizeof(v[0]))
	for _, x := range b {
		if x != 0xDB {
			return false
		}
	}
	return len(b) > 0
}

// Who keeps engine memory beyond the call finds it overwritten.
func TestStolenMemoryIsPoisoned(t *testing.T) {
	needInvariants(t)
	var ints []int
	var rows [][]float64
	var tags [2][]int
	var gathered []int
	m := Sequential(Both(Both(Into("ints", fillInts), Into("rows", fillRows)), Both(Into("batch", fillBatch), Parallel(plus(1), plus(2)))),
		Plain("thief", func(p Pair[Pair[[]int, [][]float64], Pair[batch, []int]]) (int, error) {
			ints, rows, tags, gathered = p.First.First, p.First.Second, p.Second.First.Tags, p.Second.Second
			rows = append([][]float64(nil), rows...)
			return ints[0] + gathered[0], nil
		}))
	for _, mark := range []Option{Computing, Blocking} {
		e := must(t, m.With(mark))
		for i := 1; i < 5; i++ {
			v, err := e.Call(t.Context(), i)
			if err != nil || v != 1000*i+i+1 {
				t.Fatal(v, err)
			}
			if !poisoned(ints) || !poisoned(rows[0]) || !poisoned(rows[len(rows)-1]) || !poisoned(tags[1]) || !poisoned(gathered) {
				t.Fatalf("%v: stolen memory still holds %v, %v, %v, %v", mark, ints, rows, tags, gathered)
			}
		}
	}
}

// A result that was copied out, and the input, are nobody's to poison.
func TestOwnMemoryIsNotPoisoned(t *testing.T) {
	needInvariants(t)
	in := []int{1, 2, 3}
	made := []int{4, 5}
	e := must(t, Sequential4(
		Into("copy", func(_ context.Context, in []int, out *[]int) error { *out = append((*out)[:0], in...); return nil }),
		Plain("tail", func(v []int) ([]int, error) { return v[1:], nil }),
		Parallel(Plain("same", same[[]int]), Plain("made", func([]int) ([]int, error) { return made, nil })),
		BlockingDelay[[][]int](1)))
	for range 3 {
		out, err := e.Call(t.Context(), in)
		if got := fmt.Sprint(in, made, out, err); got != "[1 2 3] [4 5] [[2 3] [4 5]] <nil>" {
			t.Fatal(got)
		}
	}
}

// An Into step that stores part of its input is told so.
func TestStoredInputIsFound(t *testing.T) {
	needInvariants(t)
	bad := func(name string, err error) {
		t.Helper()
		var crash *kernel.PanicError
		if wantError(t, err, err, "bad"); !errors.As(err, &crash) || !strings.Contains(err.Error(), "stored part of its input") {
			t.Errorf("%s: %v", name, err)
		}
	}
	ints := Into("ints", fillInts)
	_, err := must(t, Sequential(ints, Into("bad", func(_ context.Context, in []int, out *[]int) error { *out = in[1:2]; return nil }))).Call(t.Context(), 1)
	bad("a slice", err)
	_, err = must(t, Into("bad", func(_ context.Context, in []int, out *[]int) error { *out = in; return nil })).Call(t.Context(), []int{1})
	bad("the caller's slice", err)
	_, err = must(t, Sequential(ints, Into("bad", func(_ context.Context, in []int, out *batch) error { out.Tags[1] = in[:1]; return nil }))).Call(t.Context(), 1)
	bad("in an array in a struct", err)
	_, err = must(t, Sequential(Into("rows", fillRows), Into("bad", func(_ context.Context, in [][]float64, out *[][]float64) error {
		*out = append((*out)[:0], []float64{1}, in[0][:1])
		return nil
	}))).Call(t.Context(), 1)
	bad("a row", err)
	_, err = must(t, Sequential(Into("rows", fillRows), Into("bad", func(_ context.Context, in [][]float64, out *[]float64) error { *out = in[0]; return nil }))).Call(t.Context(), 1)
	bad("a row as a whole", err)
	good := must(t, Sequential(ints, Into("good", func(_ context.Context, in []int, out *[]int) error { *out = append(*out, in...); return nil })))
	if _, err := good.Call(t.Context(), 1); err != nil {
		t.Errorf("a copy is no theft: %v", err)
	}
}

// The first use of a step's context after the step panics and names the remedy; a context that was used
// before, or detached, goes on.
func TestLateFirstUse(t *testing.T) {
	needInvariants(t)
	uses := map[string]func(context.Context){
		"Value":    func(c context.Context) { c.Value(ctxKey{}) },
		"Done":     func(c context.Context) { c.Done() },
		"Err":      func(c context.Context) { _ = c.Err() },
		"Deadline": func(c context.Context) { c.Deadline() },
		"Metadata": func(c context.Context) { kernel.Metadata(c, "k") },
		"StepID":   func(c context.Context) { kernel.StepID(c) },
		"Auth":     func(c context.Context) { kernel.Auth(c) },
		"Detach":   func(c context.Context) { kernel.Detach(c) },
		"Get":      func(c context.Context) { allocRate.Get(c) },
		"AfterFunc": func(c context.Context) {
			context.AfterFunc(c, func() {})
		},
		"through WithValue": func(c context.Context) { kernel.Metadata(context.WithValue(c, ctxKey{}, 1), "k") },
	}
	for name, use := range uses {
		var kept, used, detached context.Context
		m := Sequential3(
			Func("kept", func(c context.Context, in int) (int, error) { kept = c; return in, nil }),
			Func("used", func(c context.Context, in int) (int, error) { used = c; c.Value(1); return in, nil }),
			Func("detached", func(c context.Context, in int) (int, error) { detached = kernel.Detach(c); return in, nil }))
		fail := Plain("fail", func(int) (int, error) { return 0, errBoom })
		keptByFailing := Func("fails", func(c context.Context, in int) (int, error) { kept = c; return 0, errBoom })
		for _, e := range []*Engine[int, int]{
			must(t, m.With(Computing)), must(t, Sequential(m, fail).With(Computing)), must(t, Sequential(m, keptByFailing).With(Computing)),
		} {
			_, _ = e.Call(t.Context(), 1)
			func() {
				defer func() {
					if s, _ := recover().(string); !strings.Contains(s, "kernel.Detach") {
						t.Errorf("a late first %s went unnoticed: %q", name, s)
					}
				}()
				use(kept)
			}()
			use(used)
			use(detached)
			if used.Err() != context.Canceled || detached.Err() != nil {
				t.Errorf("after %s a used context says %v, a detached one %v", name, used.Err(), detached.Err())
			}
		}
	}
	// Also while the call goes on.
	var kept context.Context
	late := must(t, Sequential(Func("kept", func(c context.Context, in int) (int, error) { kept = c; return in, nil }),
		Plain("late", func(in int) (int, error) { kept.Value(1); return in, nil })).With(Computing))
	_, err := late.Call(t.Context(), 1)
	if err == nil || !strings.Contains(err.Error(), "kernel.Detach") {
		t.Errorf("a late first use in the next step went unnoticed: %v", err)
	}
}
