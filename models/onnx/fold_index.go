package onnx

import (
	"errors"
	"math"
	"slices"
)

// index checks an index into an axis of size n; negative ones count from the end.
func index(v float64, n int) (int, error) {
	if v < 0 {
		v += float64(n)
	}
	if v != math.Trunc(v) || !(v >= 0 && v < float64(n)) {
		return 0, errors.New("indices inside the tensor")
	}
	return int(v), nil
}

func foldGather(r *run, n *node, in []*array) (*array, error) {
	a, at := in[0], in[1]
	axis, err := axisOf(int(n.attributes["axis"].int), len(a.dims))
	if err != nil {
		return nil, err
	}
	out, err := r.make(slices.Concat(a.dims[:axis], at.dims, a.dims[axis+1:]), a.whole)
	if err != nil {
		return nil, err
	}
	inner := product(a.dims[axis+1:])
	to := 0
	for o := range product(a.dims[:axis]) {
		for _, v := range at.data {
			i, err := index(v, a.dims[axis])
			if err != nil {
				return nil, err
			}
			from := (o*a.dims[axis] + i) * inner
			to += copy(out.data[to:], a.data[from:from+inner])
		}
	}
	return out, nil
}

func foldGatherND(r *run, n *node, in []*array) (*array, error) {
	a, at := in[0], in[1]
	if n.attributes["batch_dims"].int != 0 || len(at.dims) == 0 {
		return nil, errors.New("indices without a batch")
	}
	k := at.dims[len(at.dims)-1]
	if k > len(a.dims) || k == 0 {
		return nil, errors.New("as many indices as the tensor has axes")
	}
	out, err := r.make(slices.Concat(at.dims[:len(at.dims)-1], a.dims[k:]), a.whole)
	if err != nil {
		return nil, err
	}
	inner := product(a.dims[k:])
	to := 0
	for i := 0; i < len(at.data); i += k {
		from := 0
		for d, v := range at.data[i : i+k] {
			j, err := index(v, a.dims[d])
			if err != nil {
				return nil, err
			}
			from = from*a.dims[d] + j
		}
		to += copy(out.data[to:], a.data[from*inner:(from+1)*inner])
	}
	return out, nil
}

func foldGatherElements(r *run, n *node, in []*array) (*array, error) {
	a, at := in[0], in[1]
	axis, err := axisOf(int(n.attributes["axis"].int), len(a.dims))
	if err != nil {
		return nil, err
	}
	if len(at.dims) != len(a.dims) {
		return nil, errors.New("indices of as many axes as the tensor")
	}
	for d, size := range at.dims {
		if d != axis && size > a.dims[d] {
			return nil, errors.New("indices inside the tensor")
		}
	}
	out, err := r.make(at.dims, a.whole)
	if err != nil {
		return nil, err
	}
	step := strides(a.dims, a.dims)
	along := step[axis]
	step[axis] = 0
	walk(at.dims, [][]int{step}, func(i int, pos []int) {
		j, bad := index(at.data[i], a.dims[axis])
		if bad != nil {
			err = bad
			return
		}
		out.data[i] = a.data[pos[0]+j*along]
	})
	return out, err
}

func foldCumSum(r *run, n *node, in []*array) (*array, error) {
	if n.attributes["exclusive"].int != 0 || n.attributes["reverse"].int != 0 || len(in[1].data) != 1 {
		return nil, errors.New("sums from the beginning, along one axis")
	}
	axis, err := axisOf(in[1].integers()[0], len(in[0].dims))
	if err != nil {
		return nil, err
	}
	out, err := r.make(in[0].dims, in[0].whole)
	if err != nil {
		return nil, err
	}
	inner, size := product(out.dims[axis+1:]), out.dims[axis]
	for i := range out.data {
		out.data[i] = in[0].data[i]
		if i/inner%size > 0 {
			out.data[i] += out.data[i-inner]
		}
	}
	return out, nil
}

func foldTrilu(r *run, n *node, in []*array) (*array, error) {
	rank := len(in[0].dims)
	if rank < 2 {
		return nil, errors.New("matrices")
	}
	k := 0
	if len(in) > 1 && in[1] != nil {
		if len(in[1].data) != 1 {
			return nil, errors.New("one diagonal")
		}
		k = in[1].integers()[0]
	}
	upper := true
	if a, ok := n.attributes["upper"]; ok {
		upper = a.int != 0
	}
	out, err := r.make(in[0].dims, in[0].whole)
	if err != nil {
		return nil, err
	}
	rows, columns := out.dims[rank-2], out.dims[rank-1]
	for i, v := range in[0].data {
		row, column := i/columns%rows, i%columns
		if upper && column-row >= k || !upper && column-row <= k {
			out.data[i] = v
		}
	}
	return out, nil
}

func foldClip(r *run, n *node, in []*array) (*array, error) {
	low, high, err := bounds(n, in)
	if err != nil {
		return nil, err
	}
	return r.zip(in[0].whole, func(v []float64) float64 { return max(low, min(v[0], high)) }, in[0])
}

// bounds are those of a Clip: attributes in older models, inputs in others.
func bounds(n *node, in []*array) (low, high float64, err error) {
	low, high = math.Inf(-1), math.Inf(1)
	if a, ok := n.attributes["min"]; ok {
		low = a.float
	}
	if a, ok := n.attributes["max"]; ok {
		high = a.float
	}
	for i, p := range []*float64{&low, &high} {
		if i+1 < len(in) && in[i+1] != nil {
			if len(in[i+1].data) != 1 {
				return 0, 0, errors.New("bounds that are single numbers")
			}
			*p = in[i+1].data[0]
		}
	}
	return low, high, nil
}

// reduce applies f to the elements along the axes of n. Older models have them as an attribute.
func (r *run) reduce(n *node, in []*array, f func([]float64) float64) (*array, error) {
	a := in[0]
	drop, keep, err := reduced(n, in, len(a.dims))
	if err != nil {
		return nil, err
	}
	outDims := slices.Clone(a.dims)
	each := 1
	for i, d := range a.dims {
		if drop[i] {
			outDims[i] = 1
			each *= d
		}
	}
	if each == 0 || len(a.data) == 0 {
		return nil, errors.New("a tensor that is not empty")
	}
	out, err := r.make(outDims, a.whole)
	if err != nil {
		return nil, err
	}
	groups := make([][]float64, len(out.data))
	walk(a.dims, [][]int{strides(outDims, a.dims)}, func(i int, at []int) {
		groups[at[0]] = append(groups[at[0]], a.data[i])
	})
	for i, g := range groups {
		out.data[i] = f(g)
	}
	if keep {
		return out, nil
	}
	var dims []int
	for i, d := range outDims {
		if !drop[i] {
			dims = append(dims, d)
		}
	}
	return out.reshaped(dims)
}

// reduced says along which axes of a tensor a reduction goes, and whether they stay, with size 1.
func reduced(n *node, in []*array, rank int) (drop []bool, keep bool, err error) {
	drop = make([]bool, rank)
	axes := axesOf(n, in, 1)
	if len(axes) == 0 && n.attributes["noop_with_empty_axes"].int == 0 {
		for i := range drop {
			drop[i] = true
		}
	}
	for _, a := range axes {
		a, err := axisOf(a, rank)
		if err != nil {
			return nil, false, err
		}
		drop[a] = true
	}
	keep = true
	if a, ok := n.attributes["keepdims"]; ok {
		keep = a.int != 0
	}
	return drop, keep, nil
}
