package layers

import (
	"context"
	"math/rand/v2"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/maida-ai/gomai/sched"
)

type matrix = [][]int64

// formula is a pipeline and what it computes, in plain Go on memory of its own.
type formula struct {
	m Module[matrix, matrix]
	f func(matrix) matrix
}

func deepCopy(v matrix) matrix {
	if v == nil {
		return nil
	}
	c := make(matrix, len(v))
	for i := range v {
		c[i] = slices.Clone(v[i])
	}
	return c
}

func total(v matrix) (sum int64) {
	for _, row := range v {
		for _, x := range row {
			sum += x
		}
	}
	return sum + int64(len(v))
}

// fillMatrix makes *out n rows that are at(i), in the memory that it finds.
func fillMatrix(out *matrix, n int, at func(i int) []int64, k int64) {
	rows := (*out)[:min(n, cap(*out))]
	for len(rows) < n {
		rows = append(rows, nil)
	}
	for i := range rows {
		rows[i] = rows[i][:0]
		for _, x := range at(i) {
			rows[i] = append(rows[i], x+k)
		}
	}
	*out = rows
}

// mathematician makes formulas of steps that fill engine memory, steps that return memory of their own,
// and steps that hand on parts of what they are given.
type mathematician struct{ *rand.Rand }

func (r mathematician) marked(f formula) formula {
	switch r.IntN(8) {
	case 0:
		f.m = f.m.With(Blocking)
	case 1, 2, 3:
		f.m = f.m.With(Computing)
	}
	return f
}

func (r mathematician) leaf() formula {
	k := r.Int64N(100)
	into := func(f func(v matrix, out *matrix)) Module[matrix, matrix] {
		return Into("into", func(_ context.Context, v matrix, out *matrix) error { f(v, out); return nil })
	}
	fun := func(f func(v matrix) matrix) formula {
		return formula{Plain("func", func(v matrix) (matrix, error) { return f(v), nil }), f}
	}
	switch r.IntN(8) {
	case 0, 1: // adds
		return formula{
			into(func(v matrix, out *matrix) { fillMatrix(out, len(v), func(i int) []int64 { return v[i] }, k) }),
			func(v matrix) matrix {
				v = deepCopy(v) // a row may be there twice
				for _, row := range v {
					for j := range row {
						row[j] += k
					}
				}
				return v
			}}
	case 2: // one row of all, and the sum
		return formula{
			into(func(v matrix, out *matrix) {
				fillMatrix(out, 2, func(i int) []int64 { return [][]int64{slices.Concat(v...), {total(v)}}[i] }, 0)
			}),
			func(v matrix) matrix { return matrix{append([]int64{}, slices.Concat(v...)...), {total(v)}} }}
	case 3: // new rows
		return fun(func(v matrix) matrix { return append(deepCopy(v), []int64{k}) })
	case 4: // the very same
		return fun(func(v matrix) matrix { return v })
	case 5: // without the first row
		return fun(func(v matrix) matrix { return v[min(1, len(v)):] })
	case 6: // halves of the rows
		return fun(func(v matrix) matrix {
			out := make(matrix, len(v))
			for i, row := range v {
				out[len(v)-1-i] = row[len(row)/2:]
			}
			return out
		})
	}
	return fun(func(v matrix) matrix { return slices.Concat(v, v[:len(v)/2]) }) // some rows twice
}

func (r mathematician) formula(depth int) formula {
	if depth == 0 {
		return r.marked(r.leaf())
	}
	a, b := r.formula(depth-1), r.formula(depth-1)
	join := func(v []matrix) (matrix, error) { return slices.Concat(v...), nil }
	switch r.IntN(8) {
	case 0:
		return formula{Sequential(a.m, BlockingDelay[matrix](time.Duration(r.IntN(2))*ms)), a.f}
	case 1: // odd totals one way, even ones the other
		odd := func(_ context.Context, v matrix) (bool, error) { return total(v)%2 != 0, nil }
		return r.marked(formula{Conditional(odd, a.m, b.m), func(v matrix) matrix {
			if total(v)%2 != 0 {
				return a.f(v)
			}
			return b.f(v)
		}})
	case 2: // gathered rows are a matrix
		row := Plain("row", func(v matrix) ([]int64, error) { return slices.Concat(v...), nil })
		first := Plain("first", func(v matrix) ([]int64, error) { return append(v, []int64{7})[0], nil })
		return r.marked(formula{Parallel(Sequential(a.m, row), Sequential(b.m, first)), func(v matrix) matrix {
			return matrix{slices.Concat(a.f(deepCopy(v))...), append(b.f(v), []int64{7})[0]}
		}})
	case 3: // two matrices, one after the other
		return r.marked(formula{Sequential(Parallel(a.m, b.m), Plain("join", join)), func(v matrix) matrix {
			return append(a.f(deepCopy(v)), b.f(v)...)
		}})
	case 4:
		return formula{Sequential(Parallel(a.m, b.m), Aggregate(Concat[[]int64])), func(v matrix) matrix {
			return append(a.f(deepCopy(v)), b.f(v)...)
		}}
	case 5:
		pair := Plain("pair", func(p Pair[matrix, matrix]) (matrix, error) {
			return append(p.Second[:len(p.Second):len(p.Second)], p.First...), nil
		})
		return r.marked(formula{Sequential(Both(a.m, b.m), pair), func(v matrix) matrix {
			return append(b.f(deepCopy(v)), a.f(v)...)
		}})
	}
	return r.marked(formula{Sequential(a.m, b.m), func(v matrix) matrix { return b.f(a.f(v)) }})
}

// Whatever random pipelines do with memory, a result is what plain Go computes, and stays it while other
// calls come, and no input is changed.
func TestMemoryOfRandomPipelines(t *testing.T) {
	const callers, calls = 3, 7
	copied := 0
	for seed := range uint64(150) {
		inBubble(t, func(t *testing.T, s *sched.Sched) {
			r := mathematician{rand.New(rand.NewPCG(seed, 5))}
			f := r.formula(3)
			e := must(t, f.m, On(s))
			var inputs, got, want [callers * calls]matrix
			for i := range inputs {
				inputs[i] = make(matrix, r.IntN(4))
				for j := range inputs[i] {
					inputs[i][j] = make([]int64, r.IntN(4))
					for k := range inputs[i][j] {
						inputs[i][j][k] = r.Int64N(100)
					}
				}
				want[i] = f.f(deepCopy(inputs[i]))
			}
			saved := make([]matrix, len(inputs))
			for i := range inputs {
				saved[i] = deepCopy(inputs[i])
			}
			var group sync.WaitGroup
			for c := range callers {
				group.Go(func() {
					var out matrix // used again
					for i := c; i < len(inputs); i += callers {
						opts := []Option{Timeout(time.Hour)}
						if err := e.CallInto(t.Context(), inputs[i], &out, opts[:i%2]...); err != nil || !sameNumbers(out, want[i]) {
							t.Errorf("seed %d, CallInto %d: got %v, %v, want %v", seed, i, out, err, want[i])
						}
						var err error
						if got[i], err = e.Call(context.Background(), inputs[i]); err != nil || !sameNumbers(got[i], want[i]) {
							t.Errorf("seed %d, call %d: got %v, %v, want %v", seed, i, got[i], err, want[i])
						}
					}
				})
			}
			group.Wait()
			for i := range got {
				if !sameNumbers(got[i], want[i]) {
					t.Errorf("seed %d, result %d after other calls: %v, want %v", seed, i, got[i], want[i])
				}
				if !reflect.DeepEqual(inputs[i], saved[i]) {
					t.Errorf("seed %d: input %d is %v after the calls, was %v", seed, i, inputs[i], saved[i])
				}
			}
			if t.Failed() {
				t.Fatal(e.Explain())
			}
			if e.Plan().Program().CopyOut != nil {
				copied++
			}
		})
	}
	if copied < 50 {
		t.Errorf("only %d pipelines returned what may be engine memory", copied)
	}
}

// sameNumbers compares without telling nil from empty.
func sameNumbers(a, b matrix) bool {
	return slices.EqualFunc(a, b, slices.Equal[[]int64])
}
