package main

import (
	"context"
	"fmt"

	"github.com/cloudwego/eino/compose"
	gotaskflow "github.com/noneback/go-taskflow"
)

// eino compiles chains of lambdas; a parallel one returns a map.
var eino = peer{
	name: "eino",
	chain: func() (call, error) {
		c := compose.NewChain[int64, int64]()
		for i := range 10 {
			c.AppendLambda(lambda(func(in int64) int64 { return plus(in, i) }))
		}
		return invoke(c, func(v int64, out []int64) { out[0] = v })
	},
	diamond: func() (call, error) {
		c := compose.NewChain[int64, int64]()
		c.AppendLambda(lambda(func(in int64) int64 { return plus(in, 9) }))
		c.AppendParallel(parallel(8, plus))
		c.AppendLambda(compose.InvokableLambda(func(_ context.Context, in map[string]any) (sum int64, err error) {
			for _, v := range in {
				sum += v.(int64)
			}
			return sum, nil
		}))
		return invoke(c, func(v int64, out []int64) { out[0] = v })
	},
	fork: func(n int, work func(int64, int) int64) (call, error) {
		c := compose.NewChain[int64, map[string]any]()
		c.AppendParallel(parallel(n, work))
		return invoke(c, func(m map[string]any, out []int64) {
			for i := range out {
				out[i] = m[keys[i]].(int64)
			}
		})
	},
}

// keys are the names of branches in the map that eino's parallel returns.
var keys = func() (k [64]string) {
	for i := range k {
		k[i] = fmt.Sprint("branch", i)
	}
	return k
}()

func lambda(f func(int64) int64) *compose.Lambda {
	return compose.InvokableLambda(func(_ context.Context, in int64) (int64, error) { return f(in), nil })
}

func parallel(n int, work func(int64, int) int64) *compose.Parallel {
	p := compose.NewParallel()
	for i := range n {
		p.AddLambda(keys[i], lambda(func(in int64) int64 { return work(in, i) }))
	}
	return p
}

func invoke[O any](c *compose.Chain[int64, O], read func(O, []int64)) (call, error) {
	r, err := c.Compile(context.Background())
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, in int64, out []int64) error {
		v, err := r.Invoke(ctx, in)
		if err != nil {
			return err
		}
		read(v, out)
		return nil
	}, nil
}

// taskflow has tasks without arguments, so that each graph has cells of its own for one call at a time.
var taskflow = peer{
	name: "go-taskflow",
	chain: func() (call, error) {
		var cells [11]int64
		tf := gotaskflow.NewTaskFlow("chain")
		var last *gotaskflow.Task
		for i := range 10 {
			t := tf.NewTask(keys[i], func() { cells[i+1] = plus(cells[i], i) })
			if last != nil {
				last.Precede(t)
			}
			last = t
		}
		return runs(tf, &cells[0], cells[10:])
	},
	diamond: func() (call, error) {
		var in, first int64
		var sum [1]int64
		var cells [8]int64
		tf := gotaskflow.NewTaskFlow("diamond")
		before := tf.NewTask("first", func() { first = plus(in, 9) })
		after := tf.NewTask("sum", func() {
			sum[0] = 0
			for _, v := range cells {
				sum[0] += v
			}
		})
		for i := range cells {
			t := tf.NewTask(keys[i], func() { cells[i] = plus(first, i) })
			before.Precede(t)
			t.Precede(after)
		}
		return runs(tf, &in, sum[:])
	},
	fork: func(n int, work func(int64, int) int64) (call, error) {
		var in int64
		cells := make([]int64, n)
		tf := gotaskflow.NewTaskFlow("fork-join")
		for i := range cells {
			tf.NewTask(keys[i], func() { cells[i] = work(in, i) })
		}
		return runs(tf, &in, cells)
	},
}

// runs returns what writes in, runs tf and copies the results.
func runs(tf *gotaskflow.TaskFlow, cell *int64, results []int64) (call, error) {
	e := gotaskflow.NewExecutor(1000) // as in its README
	return func(_ context.Context, in int64, out []int64) error {
		*cell = in
		e.Run(tf).Wait()
		copy(out, results)
		return nil
	}, nil
}
