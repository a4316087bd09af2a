package layers

import (
	"context"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/maida-ai/gomai/graph"
	"github.com/maida-ai/gomai/kernel"
)

// reduces checks an aggregation, as a function and as a Module.
func reduces[T, O any](t *testing.T, name string, f func([]T) (O, error), in []T, want O) {
	t.Helper()
	in = append([]T(nil), in...)
	got, err := f(in)
	if err != nil || !equalNaN(got, want) {
		t.Errorf("%s of %v: got %v, %v, want %v", name, in, got, err, want)
	}
	got, err = must(t, Aggregate(f)).Call(t.Context(), in)
	if err != nil || !equalNaN(got, want) {
		t.Errorf("Aggregate of %s of %v: got %v, %v, want %v", name, in, got, err, want)
	}
}

func equalNaN(a, b any) bool {
	if x, ok := a.(float64); ok && math.IsNaN(x) {
		y, ok := b.(float64)
		return ok && math.IsNaN(y)
	}
	return reflect.DeepEqual(a, b)
}

func TestBuiltins(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	reduces(t, "Mean", Mean[float64], []float64{1, 2, 6}, 3)
	reduces(t, "Mean", Mean[float64], []float64{nan, 1}, nan)
	reduces(t, "Mean", Mean[float64], []float64{inf, -inf}, nan)
	reduces(t, "Mean", Mean[float32], []float32{math.MaxFloat32, math.MaxFloat32}, math.MaxFloat32) // no overflow on the way
	reduces(t, "Mean", Mean[celsius], []celsius{1, 2}, 1.5)
	reduces(t, "Sum", Sum[float64], []float64{1, nan}, nan)
	reduces(t, "Sum", Sum[int8], []int8{127, 1}, -128)
	reduces(t, "Sum", Sum[uint8], []uint8{255, 2}, 1)
	reduces(t, "Sum", Sum[celsius], []celsius{1, 2}, 3)
	reduces(t, "Max", Max[float64], []float64{1, 3, 2}, 3)
	reduces(t, "Max", Max[float64], []float64{nan, 3}, nan)
	reduces(t, "Max", Max[float64], []float64{3, nan, 4}, nan)
	reduces(t, "Max", Max[string], []string{"b", "c", "a"}, "c")
	reduces(t, "Max", Max[stop], []stop{"b", "c"}, stop("c"))
	reduces(t, "Min", Min[float64], []float64{2, -inf, 3}, -inf)
	reduces(t, "Min", Min[float64], []float64{2, nan}, nan)
	reduces(t, "Min", Min[int], []int{2, 1, 3}, 1)
	reduces(t, "Majority", Majority[string], []string{"a", "b", "b"}, "b")
	reduces(t, "Majority, a tie", Majority[string], []string{"c", "a", "b", "b", "c", "a"}, "c")
	reduces(t, "Majority of one", Majority[int], []int{7}, 7)
	reduces(t, "Majority", Majority[float64], []float64{nan, nan, 1}, 1)
	reduces(t, "Majority of NaN", Majority[float64], []float64{nan, nan}, nan)
	reduces(t, "Majority", Majority[celsius], []celsius{1, 2, 2}, 2)
	reduces(t, "Majority", Majority[any], []any{1, "1", "1"}, any("1"))
	reduces(t, "Concat", Concat[int], [][]int{{1}, nil, {2, 3}}, []int{1, 2, 3})
	reduces(t, "Concat of nothing much", Concat[int], [][]int{nil, {}}, []int{})
}

func TestAggregateNothing(t *testing.T) {
	empty(t, "mean", Aggregate(Mean[float64]))
	empty(t, "sum", Aggregate(Sum[int]))
	empty(t, "max", Aggregate(Max[string]))
	empty(t, "min", Aggregate(Min[celsius]))
	empty(t, "majority", Aggregate(Majority[bool]))
	empty(t, "concat", Aggregate(Concat[int]))
	empty(t, "mean axis 0", AggregateAxis(0, Mean[float64]))
	empty(t, "aggregate axis 1", AggregateAxis(1, func([]int) (int, error) { return 0, nil }))
	failsAt(t, "no columns", AggregateAxis(0, Mean[float64]), [][]float64{{}, {}}, ErrEmpty, "mean axis 0")
	// in a pipeline the path says where
	m := Sequential(Plain("none", func(int) ([]float64, error) { return nil, nil }), Parallel(Aggregate(Max[float64]))).With(Name("p"))
	failsAt(t, "in a pipeline", m, 1, ErrEmpty, "p/parallel[0]/max")
}

func empty[T, O any](t *testing.T, path string, m Module[[]T, O]) {
	t.Helper()
	failsAt(t, path+" of nil", m, nil, ErrEmpty, path)
	failsAt(t, path+" of nothing", m, []T{}, ErrEmpty, path)
}

// The built-ins are recognised wherever they are named, so that a plan with them has a hash.
func TestBuiltinsHaveIdentity(t *testing.T) {
	mean := func(v []float64) (float64, error) { return Mean(v) }
	for name, c := range map[string]struct {
		m     *graph.Node
		known bool
	}{
		"Mean":          {Aggregate(Mean[float64]).Node(), true},
		"of a named":    {Aggregate(Mean[celsius]).Node(), true},
		"by parameter":  {inGeneric[float32](), false},
		"Sum":           {Aggregate(Sum[int]).Node(), true},
		"Max":           {Aggregate(Max[string]).Node(), true},
		"Min":           {Aggregate(Min[int]).Node(), true},
		"Majority":      {Aggregate(Majority[string]).Node(), true},
		"Concat":        {Aggregate(Concat[int]).Node(), true},
		"AggregateAxis": {AggregateAxis(1, Max[int]).Node(), true},
		"a closure":     {Aggregate(mean).Node(), false},
		"another Mean":  {Aggregate(other{}.Mean).Node(), false},
	} {
		plan, err := graph.Compile(c.m)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		hash, err := plan.Hash()
		if c.known && (err != nil || len(hash) != 64) || !c.known && !errors.Is(err, graph.ErrUnversioned) {
			t.Errorf("%s: hash %q, %v", name, hash, err)
		}
	}
	a, _ := must(t, Aggregate(Max[float64])).Plan().Hash()
	b, _ := must(t, Aggregate(Min[float64])).Plan().Hash()
	if a == b {
		t.Error("Max and Min have one hash")
	}
}

func inGeneric[T Float]() *graph.Node { return Aggregate(Mean[T]).Node() }

type other struct{}

func (other) Mean(v []float64) (float64, error) { return 0, nil }

func TestAggregateAxis(t *testing.T) {
	rows := [][]float64{{1, 2, 3}, {5, 7, 9}}
	for axis, want := range map[int][]float64{0: {6, 9, 12}, -2: {6, 9, 12}, 1: {6, 21}, -1: {6, 21}} {
		values(t, "sum", AggregateAxis(axis, Sum[float64]), rows, want)
	}
	values(t, "one row", AggregateAxis(0, Max[int]), [][]int{{3, 1}}, []int{3, 1})
	values(t, "one column", AggregateAxis(1, Max[int]), [][]int{{3}, {1}}, []int{3, 1})
	for _, axis := range []int{2, -3, 100} {
		_, err := Compile(AggregateAxis(axis, Sum[int]))
		var failed *graph.CompileError
		if !errors.As(err, &failed) || !strings.Contains(err.Error(), "axis must be 0, 1, -1 or -2") || !strings.HasPrefix(failed.Path, "sum axis") {
			t.Errorf("axis %d: %v", axis, err)
		}
	}
	if _, err := Compile(AggregateAxis[int](0, nil)); err == nil || !strings.Contains(err.Error(), "nil function") {
		t.Errorf("no function: %v", err)
	}
	if _, err := Compile(Aggregate[int, int](nil)); err == nil || !strings.Contains(err.Error(), "nil function") {
		t.Errorf("no function: %v", err)
	}
	for row, ragged := range map[int][][]int{1: {{1, 2}, {1}, {1, 2}}, 2: {{1}, {1}, {1, 2}}, 3: {{1}, {1}, {1}, {}}} {
		for axis := -2; axis <= 1; axis++ {
			_, err := must(t, AggregateAxis(axis, Sum[int])).Call(t.Context(), ragged)
			var shape *ShapeError
			if !errors.As(err, &shape) || shape.Row != row || shape.Len != len(ragged[row]) || shape.Want != len(ragged[0]) {
				t.Errorf("axis %d of %v: %v", axis, ragged, err)
			}
		}
	}
	for axis, where := range []string{"column 1", "row 1"} {
		odd := func(v []int) (int, error) {
			if v[0] == 13 {
				return 0, stop("unlucky")
			}
			return v[0], nil
		}
		in := [][]int{{1, 13}, {13, 1}}
		failsAt(t, "error of f", AggregateAxis(axis, odd), in, stop("unlucky"), []string{"aggregate axis 0", "aggregate axis 1"}[axis])
		if _, err := must(t, AggregateAxis(axis, odd)).Call(t.Context(), in); !strings.Contains(err.Error(), where) {
			t.Errorf("axis %d: %v does not name %s", axis, err, where)
		}
	}
}

// A third dimension comes by nesting: rows of an outer matrix are matrices.
func TestAggregateRank3(t *testing.T) {
	sum := func(v [][]int) ([]int, error) { // of vectors
		out := make([]int, len(v[0]))
		for _, row := range v {
			for i, x := range row {
				out[i] += x
			}
		}
		return out, nil
	}
	in := [][][]int{{{1, 2}, {3, 4}}, {{5, 6}, {7, 8}}}
	values(t, "axis 0", AggregateAxis(0, sum), in, [][]int{{6, 8}, {10, 12}})
	values(t, "axis 1", AggregateAxis(1, sum), in, [][]int{{4, 6}, {12, 14}})
	values(t, "axis 1, then 0", Sequential(AggregateAxis(1, sum), AggregateAxis(0, Sum[int])), in, []int{16, 20})
	values(t, "in a pipeline", Sequential3(
		Parallel(Plain("a", func(int) ([][]int, error) { return in[0], nil }), Into("b", func(_ context.Context, _ int, out *[][]int) error {
			*out = append((*out)[:0], []int{5, 6}, []int{7, 8})
			return nil
		})), AggregateAxis(1, sum), Aggregate(sum)), 0, []int{16, 20})
	values(t, "Concat", AggregateAxis(0, Concat[int]), in, [][]int{{1, 2, 5, 6}, {3, 4, 7, 8}})
}

// What f returns may be part of the input: it stays the caller's, and no later call may write to it.
func TestAggregateAxisSharesNothing(t *testing.T) {
	first := func(v [][]string) ([]string, error) { return v[0], nil }
	kept := func(v []any) (any, error) { return v, nil } // the slice that f is given itself
	for _, axis := range []int{0, 1} {
		m := AggregateAxis(axis, first)
		e, whole := must(t, m), must(t, AggregateAxis(axis, kept))
		var results [][][]string
		for range 40 {
			in := [][][]string{{{"a", "b"}, {"c"}}, {{"d"}, {"e", "f"}}}
			got, err := e.Call(t.Context(), in)
			if err != nil {
				t.Fatal(err)
			}
			results = append(results, got)
			if want := [][][]string{{{"a", "b"}, {"c"}}, {{"d"}, {"e", "f"}}}; !reflect.DeepEqual(in, want) {
				t.Fatalf("axis %d: the input is %q after the call", axis, in)
			}
			all, err := whole.Call(t.Context(), [][]any{{1, 2}, {3, 4}})
			if want := [2][]any{{[]any{1, 3}, []any{2, 4}}, {[]any{1, 2}, []any{3, 4}}}[axis]; err != nil || !reflect.DeepEqual(all, want) {
				t.Fatalf("axis %d: f returns what it is given: got %v, %v, want %v", axis, all, err, want)
			}
		}
		for i, got := range results {
			if want := [2][][]string{{{"a", "b"}, {"c"}}, {{"a", "b"}, {"d"}}}[axis]; !reflect.DeepEqual(got, want) {
				t.Fatalf("axis %d, result %d: %q, want %q", axis, i, got, want)
			}
		}
	}
	var step *kernel.StepError
	_, err := must(t, Aggregate(Majority[any])).Call(t.Context(), []any{[]int{1}})
	if !errors.As(err, &step) || step.Path != "majority" {
		t.Errorf("what cannot be compared: %v", err)
	}
}
