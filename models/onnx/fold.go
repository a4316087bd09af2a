package onnx

import (
	"errors"
	"fmt"
	"math"
	"slices"
)

// folder computes an operation whose inputs are all known. A missing optional input is nil.
type folder func(r *run, n *node, in []*array) (*array, error)

// minInputs is how many inputs an operation on arrays needs at least, if not one.
var minInputs = map[string]int{
	"Add": 2, "Sub": 2, "Mul": 2, "Div": 2, "Mod": 2, "Pow": 2, "Equal": 2, "Greater": 2, "GreaterOrEqual": 2,
	"Less": 2, "LessOrEqual": 2, "And": 2, "Or": 2, "Xor": 2, "Where": 3, "Range": 3, "CumSum": 2, "Expand": 2,
	"Reshape": 2, "Gather": 2, "GatherND": 2, "GatherElements": 2, "Tile": 2,
}

// folders are the operations of which masks, positions and shapes are made.
var folders map[string]folder

func init() { // not above, because Constant and Shape are no operations on arrays
	folders = map[string]folder{
		"Cast": foldCast, "ConstantOfShape": foldConstantOfShape, "Range": foldRange, "Expand": foldExpand,
		"Reshape": foldReshape, "Flatten": foldFlatten, "Squeeze": foldSqueeze, "Unsqueeze": foldUnsqueeze,
		"Transpose": foldTranspose, "Slice": foldSlice, "Concat": foldConcat, "Gather": foldGather,
		"GatherND": foldGatherND, "GatherElements": foldGatherElements, "CumSum": foldCumSum, "Trilu": foldTrilu,
		"Tile": foldTile, "Clip": foldClip, "Identity": foldIdentity, "Dropout": foldIdentity,
	}
	for name, f := range map[string]func(a, b float64) float64{
		"Add": func(a, b float64) float64 { return a + b },
		"Sub": func(a, b float64) float64 { return a - b },
		"Mul": func(a, b float64) float64 { return a * b },
		"Pow": math.Pow, "Max": math.Max, "Min": math.Min,
	} {
		folders[name] = func(r *run, n *node, in []*array) (*array, error) {
			return r.zip(in[0].whole, func(v []float64) float64 {
				x := v[0]
				for _, y := range v[1:] {
					x = f(x, y)
				}
				return x
			}, in...)
		}
	}
	folders["Div"] = func(r *run, n *node, in []*array) (*array, error) {
		whole := in[0].whole && in[1].whole
		return r.zip(whole, func(v []float64) float64 {
			if whole {
				return math.Trunc(v[0] / v[1])
			}
			return v[0] / v[1]
		}, in[0], in[1])
	}
	folders["Mod"] = func(r *run, n *node, in []*array) (*array, error) {
		return r.zip(in[0].whole, func(v []float64) float64 {
			m := math.Mod(v[0], v[1])
			if n.attributes["fmod"].int == 0 && m != 0 && (m < 0) != (v[1] < 0) {
				m += v[1]
			}
			return m
		}, in[0], in[1])
	}
	for name, f := range map[string]func(v []float64) float64{
		"ReduceSum": sum,
		"ReduceMean": func(v []float64) float64 {
			return sum(v) / float64(len(v))
		},
		"ReduceProd": func(v []float64) float64 {
			p := 1.0
			for _, x := range v {
				p *= x
			}
			return p
		},
		"ReduceMax": slices.Max[[]float64],
		"ReduceMin": slices.Min[[]float64],
	} {
		folders[name] = func(r *run, n *node, in []*array) (*array, error) { return r.reduce(n, in, f) }
	}
	addComparisons()
	folders["Where"] = func(r *run, n *node, in []*array) (*array, error) {
		return r.zip(in[1].whole, func(v []float64) float64 {
			if v[0] != 0 {
				return v[1]
			}
			return v[2]
		}, in[0], in[1], in[2])
	}
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// addComparisons adds the operations that return truth values, and those of one number.
func addComparisons() {
	for name, f := range map[string]func(a, b float64) bool{
		"Equal":          func(a, b float64) bool { return a == b },
		"Greater":        func(a, b float64) bool { return a > b },
		"GreaterOrEqual": func(a, b float64) bool { return a >= b },
		"Less":           func(a, b float64) bool { return a < b },
		"LessOrEqual":    func(a, b float64) bool { return a <= b },
		"And":            func(a, b float64) bool { return a != 0 && b != 0 },
		"Or":             func(a, b float64) bool { return a != 0 || b != 0 },
		"Xor":            func(a, b float64) bool { return (a != 0) != (b != 0) },
	} {
		folders[name] = func(r *run, n *node, in []*array) (*array, error) {
			return r.zip(true, func(v []float64) float64 { return truth(f(v[0], v[1])) }, in[0], in[1])
		}
	}
	for name, f := range map[string]func(v float64) float64{
		"Not":   func(v float64) float64 { return truth(v == 0) },
		"IsNaN": func(v float64) float64 { return truth(math.IsNaN(v)) },
		"IsInf": func(v float64) float64 { return truth(math.IsInf(v, 0)) },
		"Neg":   func(v float64) float64 { return -v },
		"Abs":   math.Abs, "Sqrt": math.Sqrt, "Floor": math.Floor, "Ceil": math.Ceil,
		"Reciprocal": func(v float64) float64 { return 1 / v },
		"Sign":       func(v float64) float64 { return truth(v > 0) - truth(v < 0) },
	} {
		folders[name] = func(r *run, n *node, in []*array) (*array, error) {
			return r.zip(in[0].whole, func(v []float64) float64 { return f(v[0]) }, in[0])
		}
	}
}

func sum(v []float64) float64 {
	s := 0.0
	for _, x := range v {
		s += x
	}
	return s
}

func foldIdentity(r *run, n *node, in []*array) (*array, error) { return in[0], nil }

func foldCast(r *run, n *node, in []*array) (*array, error) {
	to := int(n.attributes["to"].int)
	a := *in[0]
	switch to {
	case typeFloat, typeFloat16, typeBFloat16, typeDouble:
		a.whole = false
		return &a, nil
	case typeBool:
		return r.zip(true, func(v []float64) float64 {
			if v[0] != 0 {
				return 1
			}
			return 0
		}, &a)
	}
	if a.ids || a.whole {
		a.whole = true
		return &a, nil
	}
	return r.zip(true, func(v []float64) float64 { return math.Trunc(v[0]) }, &a)
}

func foldConstantOfShape(r *run, n *node, in []*array) (*array, error) {
	out, err := r.make(in[0].integers(), false)
	if err != nil {
		return nil, err
	}
	if t := n.attributes["value"].tensor; t != nil {
		v, err := r.numbers(t)
		if err != nil {
			return nil, err
		}
		if len(v.data) != 1 {
			return nil, errors.New("a value of one element")
		}
		out.whole = v.whole
		for i := range out.data {
			out.data[i] = v.data[0]
		}
	}
	return out, nil
}

func foldRange(r *run, n *node, in []*array) (*array, error) {
	for _, a := range in {
		if len(a.data) != 1 {
			return nil, errors.New("single numbers")
		}
	}
	start, end, step := in[0].data[0], in[1].data[0], in[2].data[0]
	size := math.Ceil((end - start) / step)
	if !(size >= 0 && size <= maxData) {
		return nil, errTooLarge
	}
	out, err := r.make([]int{int(size)}, in[0].whole)
	if err != nil {
		return nil, err
	}
	for i := range out.data {
		out.data[i] = start + float64(i)*step
	}
	return out, nil
}

func foldExpand(r *run, n *node, in []*array) (*array, error) {
	dims, err := broadcast(in[0].dims, in[1].integers())
	if err != nil {
		return nil, err
	}
	return r.view(in[0], dims, strides(in[0].dims, dims), 0)
}

func foldReshape(r *run, n *node, in []*array) (*array, error) {
	dims, err := newShape(in[0].dims, in[1].integers(), n.attributes["allowzero"].int != 0)
	if err != nil {
		return nil, err
	}
	return in[0].reshaped(dims)
}

func foldFlatten(r *run, n *node, in []*array) (*array, error) {
	axis := 1
	if a, ok := n.attributes["axis"]; ok {
		axis = int(a.int)
	}
	if axis < 0 {
		axis += len(in[0].dims)
	}
	if axis < 0 || axis > len(in[0].dims) {
		return nil, fmt.Errorf("an axis of the tensor, not %d", axis)
	}
	return in[0].reshaped([]int{product(in[0].dims[:axis]), product(in[0].dims[axis:])})
}

// axesOf are the axes that a node has as an attribute, in older models, or as input i.
func axesOf(n *node, in []*array, i int) []int {
	if i < len(in) && in[i] != nil {
		return in[i].integers()
	}
	var axes []int
	for _, a := range n.attributes["axes"].ints {
		axes = append(axes, int(max(min(a, 1<<40), -1<<40)))
	}
	return axes
}

func foldSqueeze(r *run, n *node, in []*array) (*array, error) {
	dims, err := withoutAxes(in[0].dims, axesOf(n, in, 1))
	if err != nil {
		return nil, err
	}
	return in[0].reshaped(dims)
}

func foldUnsqueeze(r *run, n *node, in []*array) (*array, error) {
	dims, err := withAxes(in[0].dims, axesOf(n, in, 1))
	if err != nil {
		return nil, err
	}
	return in[0].reshaped(dims)
}

// permutation is the attribute perm of a Transpose of rank axes.
func permutation(n *node, rank int) ([]int, error) {
	perm := make([]int, rank)
	a, ok := n.attributes["perm"]
	if ok && len(a.ints) != rank {
		return nil, fmt.Errorf("a permutation of %d axes", rank)
	}
	seen := make([]bool, rank)
	for i := range perm {
		perm[i] = rank - 1 - i
		if ok {
			p := a.ints[i]
			if p < 0 || p >= int64(rank) || seen[p] {
				return nil, fmt.Errorf("a permutation of %d axes", rank)
			}
			perm[i], seen[p] = int(p), true
		}
	}
	return perm, nil
}

func foldTranspose(r *run, n *node, in []*array) (*array, error) {
	perm, err := permutation(n, len(in[0].dims))
	if err != nil {
		return nil, err
	}
	from := strides(in[0].dims, in[0].dims)
	dims, step := make([]int, len(perm)), make([]int, len(perm))
	for i, p := range perm {
		dims[i], step[i] = in[0].dims[p], from[p]
	}
	return r.view(in[0], dims, step, 0)
}

// sliced is what Slice takes of one axis.
type sliced struct{ axis, start, step, size int }

// slices reads the arguments of a Slice of a tensor of shape dims.
func slicesOf(n *node, in []*array, dims []int) ([]sliced, error) {
	get := func(i int, name string) []int {
		if i < len(in) && in[i] != nil {
			return in[i].integers()
		}
		a := n.attributes[name]
		v := make([]int, len(a.ints))
		for j, x := range a.ints {
			v[j] = int(max(min(x, 1<<40), -1<<40))
		}
		return v
	}
	starts, ends, axes, steps := get(1, "starts"), get(2, "ends"), get(3, "axes"), get(4, "steps")
	if len(starts) != len(ends) || len(starts) > len(dims) || len(axes) > 0 && len(axes) != len(starts) || len(steps) > 0 && len(steps) != len(starts) {
		return nil, errors.New("a start and an end for each axis")
	}
	var out []sliced
	for i := range starts {
		s := sliced{axis: i, step: 1}
		if len(axes) > 0 {
			s.axis = axes[i]
		}
		var err error
		if s.axis, err = axisOf(s.axis, len(dims)); err != nil {
			return nil, err
		}
		if len(steps) > 0 {
			s.step = steps[i]
		}
		d := dims[s.axis]
		if s.step == 0 || slices.ContainsFunc(out, func(o sliced) bool { return o.axis == s.axis }) {
			return nil, errors.New("steps that are not 0, and each axis once")
		}
		clip := func(v, low, high int) int {
			if v < 0 {
				v += d
			}
			return max(low, min(v, high))
		}
		if s.step > 0 {
			s.start = clip(starts[i], 0, d)
			s.size = max(0, (clip(ends[i], 0, d)-s.start+s.step-1)/s.step)
		} else {
			s.start = clip(starts[i], -1, d-1)
			s.size = max(0, (s.start-clip(ends[i], -1, d-1)-s.step-1)/-s.step)
		}
		out = append(out, s)
	}
	return out, nil
}

func foldSlice(r *run, n *node, in []*array) (*array, error) {
	parts, err := slicesOf(n, in, in[0].dims)
	if err != nil {
		return nil, err
	}
	dims, step := slices.Clone(in[0].dims), strides(in[0].dims, in[0].dims)
	start := 0
	for _, p := range parts {
		start += p.start * step[p.axis]
		dims[p.axis] = p.size
		step[p.axis] *= p.step
	}
	return r.view(in[0], dims, step, start)
}

func foldConcat(r *run, n *node, in []*array) (*array, error) {
	axis, err := axisOf(int(n.attributes["axis"].int), len(in[0].dims))
	if err != nil {
		return nil, err
	}
	dims := slices.Clone(in[0].dims)
	dims[axis] = 0
	for _, a := range in {
		if a == nil || len(a.dims) != len(dims) || !slices.Equal(a.dims[:axis], dims[:axis]) || !slices.Equal(a.dims[axis+1:], dims[axis+1:]) {
			return nil, errors.New("tensors of equal shapes")
		}
		dims[axis] += a.dims[axis]
	}
	out, err := r.make(dims, in[0].whole)
	if err != nil {
		return nil, err
	}
	inner := product(dims[axis+1:])
	at := 0
	for o := range product(dims[:axis]) {
		for _, a := range in {
			k := a.dims[axis] * inner
			at += copy(out.data[at:], a.data[o*k:(o+1)*k])
		}
	}
	return out, nil
}

func foldTile(r *run, n *node, in []*array) (*array, error) {
	repeats := in[1].integers()
	if len(repeats) != len(in[0].dims) {
		return nil, errors.New("a number for each axis")
	}
	dims := make([]int, len(repeats))
	for i, k := range repeats {
		if k < 0 || k > maxData {
			return nil, errTooLarge
		}
		dims[i] = in[0].dims[i] * k
	}
	out, err := r.make(dims, in[0].whole)
	if err != nil {
		return nil, err
	}
	step := strides(dims, dims)
	from := strides(in[0].dims, in[0].dims)
	for i := range out.data {
		at := 0
		for d := range dims {
			if step[d] > 0 {
				at += i / step[d] % dims[d] % in[0].dims[d] * from[d]
			}
		}
		out.data[i] = in[0].data[at]
	}
	return out, nil
}
