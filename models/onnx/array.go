package onnx

import (
	"errors"
	"fmt"
	"math"
)

// array is a tensor whose elements are known while the graph runs: masks, positions, shapes, and what they
// are made of. Numbers of all types are float64, which holds those that occur exactly.
type array struct {
	dims  []int
	data  []float64
	whole bool // of an integer type: division cuts off
	ids   bool // these are the ids of the text, whatever their shape
}

// maxData bounds the elements of all arrays of a run: a text of maxTokens has masks of its square.
const maxData = 1 << 21

var errTooLarge = errors.New("tensors of more elements than the masks and positions of an encoder have")

// product is the number of elements of dims, which are not negative.
func product(dims []int) int {
	n := 1
	for _, d := range dims {
		if d == 0 {
			return 0
		}
		if n > maxElements/d {
			return maxElements
		}
		n *= d
	}
	return n
}

// make returns a new array, unless too many were made.
func (r *run) make(dims []int, whole bool) (*array, error) {
	for _, d := range dims {
		if d < 0 {
			return nil, fmt.Errorf("a tensor with dimension %d", d)
		}
	}
	n := product(dims)
	if len(dims) > maxRank || n > maxData-r.made {
		return nil, errTooLarge
	}
	r.made += n + 1
	return &array{dims: dims, data: make([]float64, n), whole: whole}, nil
}

// constant is the one value of all elements, if there is one.
func (a *array) constant() (float64, bool) {
	if len(a.data) == 0 {
		return 0, false
	}
	for _, v := range a.data {
		if v != a.data[0] {
			return 0, false
		}
	}
	return a.data[0], true
}

// constantRows reports whether each row, along the last axis, has only one value, and a finite one.
func (a *array) constantRows() bool {
	if len(a.dims) == 0 {
		return !math.IsInf(a.data[0], 0) && !math.IsNaN(a.data[0])
	}
	row := a.dims[len(a.dims)-1]
	for i, v := range a.data {
		if math.IsInf(v, 0) || math.IsNaN(v) || v != a.data[i-i%row] {
			return false
		}
	}
	return true
}

// integers are the elements as ints, for shapes, axes and indices. Those beyond are cut off: the end of a
// slice is often the largest int64.
func (a *array) integers() []int {
	v := make([]int, len(a.data))
	for i, x := range a.data {
		v[i] = int(max(min(x, 1<<40), -1<<40))
	}
	return v
}

// broadcast is the shape of what an operation on tensors of both shapes returns.
func broadcast(a, b []int) ([]int, error) {
	dims := make([]int, max(len(a), len(b)))
	for i := range dims {
		x, y := 1, 1
		if j := i - len(dims) + len(a); j >= 0 {
			x = a[j]
		}
		if j := i - len(dims) + len(b); j >= 0 {
			y = b[j]
		}
		switch {
		case x == y, y == 1:
			dims[i] = x
		case x == 1:
			dims[i] = y
		default:
			return nil, fmt.Errorf("shapes %v and %v do not fit", a, b)
		}
	}
	return dims, nil
}

// strides are those of a tensor of shape dims, row-major, seen in the shape out: 0 along broadcast axes.
func strides(dims, out []int) []int {
	s := make([]int, len(out))
	n := 1
	for i := len(dims) - 1; i >= 0; i-- {
		if dims[i] != 1 {
			s[i+len(out)-len(dims)] = n
		}
		n *= dims[i]
	}
	return s
}

// walk calls f for every index of a tensor of shape dims, in order, with the index into each tensor whose
// strides are given.
func walk(dims []int, steps [][]int, f func(i int, at []int)) {
	n := product(dims)
	at := make([]int, len(steps))
	index := make([]int, len(dims))
	for i := range n {
		f(i, at)
		for d := len(dims) - 1; d >= 0; d-- {
			index[d]++
			for k, s := range steps {
				at[k] += s[d]
			}
			if index[d] < dims[d] {
				break
			}
			for k, s := range steps {
				at[k] -= s[d] * dims[d]
			}
			index[d] = 0
		}
	}
}

// zip applies f to the elements of all arrays, broadcast to one shape.
func (r *run) zip(whole bool, f func(v []float64) float64, in ...*array) (*array, error) {
	var dims []int
	for _, a := range in {
		if a == nil {
			return nil, errors.New("no input left out")
		}
		var err error
		if dims, err = broadcast(dims, a.dims); err != nil {
			return nil, err
		}
	}
	out, err := r.make(dims, whole)
	if err != nil {
		return nil, err
	}
	steps := make([][]int, len(in))
	for k, a := range in {
		steps[k] = strides(a.dims, dims)
	}
	v := make([]float64, len(in))
	walk(dims, steps, func(i int, at []int) {
		for k, a := range in {
			v[k] = a.data[at[k]]
		}
		out.data[i] = f(v)
	})
	return out, nil
}

// view is a with other strides: a transposition, a slice.
func (r *run) view(a *array, dims, step []int, start int) (*array, error) {
	out, err := r.make(dims, a.whole)
	if err != nil {
		return nil, err
	}
	walk(dims, [][]int{step}, func(i int, at []int) { out.data[i] = a.data[start+at[0]] })
	return out, nil
}

// reshaped is a under another shape of as many elements.
func (a *array) reshaped(dims []int) (*array, error) {
	if product(dims) != len(a.data) {
		return nil, fmt.Errorf("shape %v for %d elements", dims, len(a.data))
	}
	b := *a
	b.dims = dims
	return &b, nil
}

// axisOf turns an axis that may be counted from the end into an index below rank.
func axisOf(axis, rank int) (int, error) {
	if axis < -rank || axis >= rank {
		return 0, fmt.Errorf("axis %d of %d", axis, rank)
	}
	if axis < 0 {
		axis += rank
	}
	return axis, nil
}

// newShape is what Reshape makes of dims: 0 keeps a dimension, -1 takes what is left.
func newShape(dims, target []int, zeros bool) ([]int, error) {
	if len(target) > maxRank {
		return nil, fmt.Errorf("a shape of %d dimensions", len(target))
	}
	out := make([]int, len(target))
	open, n := -1, 1
	for i, d := range target {
		switch {
		case d == 0 && !zeros && i < len(dims):
			d = dims[i]
		case d == -1 && open < 0:
			open = i
			continue
		case d < 0 || d > maxElements:
			return nil, fmt.Errorf("shape %v", target)
		}
		out[i] = d
		n = product([]int{n, d})
	}
	all := product(dims)
	if open >= 0 && n > 0 {
		out[open] = all / n
		n *= out[open]
	}
	if n != all {
		return nil, fmt.Errorf("shape %v for a tensor of shape %v", target, dims)
	}
	return out, nil
}

// withoutAxes removes axes of size 1, all of them if axes is nil.
func withoutAxes(dims, axes []int) ([]int, error) {
	drop := make([]bool, len(dims))
	for _, a := range axes {
		a, err := axisOf(a, len(dims))
		if err != nil {
			return nil, err
		}
		drop[a] = true
	}
	var out []int
	for i, d := range dims {
		if axes == nil && d == 1 {
			continue
		}
		if !drop[i] {
			out = append(out, d)
		} else if d != 1 {
			return nil, fmt.Errorf("an axis of size %d cannot be left out", d)
		}
	}
	return out, nil
}

// withAxes inserts axes of size 1.
func withAxes(dims, axes []int) ([]int, error) {
	rank := len(dims) + len(axes)
	if rank > maxRank {
		return nil, fmt.Errorf("a shape of %d dimensions", rank)
	}
	out := make([]int, rank)
	for _, a := range axes {
		a, err := axisOf(a, rank)
		if err != nil {
			return nil, err
		}
		if out[a] == 1 {
			return nil, fmt.Errorf("axes %v", axes)
		}
		out[a] = 1
	}
	next := 0
	for i := range out {
		if out[i] == 0 {
			out[i] = dims[next]
			next++
		}
	}
	return out, nil
}
