package onnx

import (
	"errors"
	"fmt"
	"slices"
	"unsafe"
)

// weight is a constant tensor of the file, seen through what the graph does to it before it is used:
// transposed, sliced, made of quanta. Nothing of it is read until floats is called.
type weight struct {
	t      *tensor
	dims   []int
	steps  []int // from element to element of t, along each of dims
	start  int
	scales *levels // nil for 1
	zeros  *levels // of quanta: value = (quantum - zero) * scale; nil for 0
	factor float64
}

// levels are the scales or the zero points of quanta: one for all, or one for each index of an axis.
type levels struct {
	values []float64
	steps  []int // along the dims of the weight
	start  int
}

func newWeight(t *tensor) *weight {
	return &weight{t: t, dims: t.dims, steps: strides(t.dims, t.dims), factor: 1}
}

// transposed is w with its axes in another order.
func (w *weight) transposed(perm []int) *weight {
	order := func(v []int) []int {
		out := make([]int, len(perm))
		for i, p := range perm {
			out[i] = v[p]
		}
		return out
	}
	v := *w
	v.dims, v.steps = order(w.dims), order(w.steps)
	for _, l := range []**levels{&v.scales, &v.zeros} {
		if *l != nil {
			*l = &levels{(*l).values, order((*l).steps), (*l).start}
		}
	}
	return &v
}

// reshaped is w in another shape that differs in axes of size 1 only.
func (w *weight) reshaped(dims []int) (*weight, error) {
	many := func(dims []int) (at []int) {
		for i, d := range dims {
			if d != 1 {
				at = append(at, i)
			}
		}
		return at
	}
	from, to := many(w.dims), many(dims)
	if !slices.EqualFunc(from, to, func(i, j int) bool { return w.dims[i] == dims[j] }) {
		return nil, fmt.Errorf("a weight of shape %v that keeps it, not %v", w.dims, dims)
	}
	move := func(steps []int) []int {
		out := make([]int, len(dims))
		for k, j := range to {
			out[j] = steps[from[k]]
		}
		return out
	}
	v := *w
	v.dims, v.steps = dims, move(w.steps)
	for _, l := range []**levels{&v.scales, &v.zeros} {
		if *l != nil {
			*l = &levels{(*l).values, move((*l).steps), (*l).start}
		}
	}
	return &v, nil
}

// part is n rows of w along axis, from start on.
func (w *weight) part(axis, start, n int) *weight {
	v := *w
	v.dims = slices.Clone(w.dims)
	v.dims[axis] = n
	v.start += start * w.steps[axis]
	for _, l := range []**levels{&v.scales, &v.zeros} {
		if *l != nil {
			*l = &levels{(*l).values, (*l).steps, (*l).start + start*(*l).steps[axis]}
		}
	}
	return &v
}

// vector is w as (n,), if its other axes have size 1.
func (w *weight) vector() (*weight, bool) {
	n := product(w.dims)
	if !slices.Contains(w.dims, n) {
		return nil, false
	}
	v, err := w.reshaped([]int{n})
	return v, err == nil
}

// levelsOf reads a as scales or zero points that broadcast over w.
func (w *weight) levelsOf(a *array) (*levels, error) {
	if out, err := broadcast(w.dims, a.dims); err != nil || !slices.Equal(out, w.dims) {
		return nil, fmt.Errorf("a scale for all or for each channel of a weight of shape %v, not of shape %v", w.dims, a.dims)
	}
	return &levels{values: a.data, steps: strides(a.dims, w.dims)}, nil
}

// scaled is w times a, which may have one element or one for each channel.
func (w *weight) scaled(a *array) (*weight, error) {
	v := *w
	if len(a.data) == 1 {
		v.factor *= a.data[0]
		return &v, nil
	}
	if w.scales != nil {
		return nil, errors.New("a weight that is scaled once")
	}
	var err error
	v.scales, err = w.levelsOf(a)
	return &v, err
}

// shifted is w less a. Only quanta have a zero point, before they are scaled.
func (w *weight) shifted(a *array) (*weight, error) {
	if !w.t.isQuanta() || w.zeros != nil || w.scales != nil || w.factor != 1 {
		return nil, errors.New("quanta that are not scaled yet")
	}
	v := *w
	var err error
	v.zeros, err = w.levelsOf(a)
	return &v, err
}

// along gives a, one number or one for each index of the axis of w, the axes of w.
func (w *weight) along(a *array, axis int) (*array, error) {
	if len(a.data) == 1 {
		return &array{data: a.data}, nil
	}
	i, err := axisOf(axis, len(w.dims))
	if err != nil {
		return nil, err
	}
	if len(a.dims) != 1 || len(a.data) != w.dims[i] {
		return nil, fmt.Errorf("one scale or one along axis %d of a weight of shape %v, not shape %v", i, w.dims, a.dims)
	}
	dims := slices.Repeat([]int{1}, len(w.dims))
	dims[i] = len(a.data)
	return &array{dims: dims, data: a.data}, nil
}

// quantised is w with scales and zero points, each of which may be nil, along axis.
func (w *weight) quantised(scale, zero *array, axis int) (*weight, error) {
	if zero != nil {
		z, err := w.along(zero, axis)
		if err != nil {
			return nil, err
		}
		if w, err = w.shifted(z); err != nil {
			return nil, err
		}
	}
	if scale == nil {
		return w, nil
	}
	s, err := w.along(scale, axis)
	if err != nil {
		return nil, err
	}
	return w.scaled(s)
}

// contiguous reports whether the elements of w are those of its tensor, in their order.
func (w *weight) contiguous() bool {
	return product(w.dims) == w.t.count && w.start == 0 && slices.Equal(w.steps, strides(w.dims, w.dims))
}

// floats returns the elements of w, of one or two axes, and whether they lie in the file, because they are
// there as they are needed. Others are written to room, as bert.Source has it.
func (w *weight) floats(room *[]float32) (v []float32, lent bool, err error) {
	_, ok := types[w.t.elem]
	data := w.t.bytes()
	if !ok || data == nil && w.t.count > 0 || !w.t.isFloat() && !w.t.isQuanta() {
		return nil, false, w.t.errorf("elements of type %d, expected float32, float16, bfloat16, int8 or uint8", w.t.elem)
	}
	plain := w.scales == nil && w.zeros == nil && w.factor == 1
	if w.t.isFloat() && w.t.elem != typeDouble && plain && w.contiguous() {
		v, err := w.t.widened(room)
		return v, err == nil && len(v) > 0 && len(data) > 0 && unsafe.Pointer(&v[0]) == unsafe.Pointer(&data[0]), err
	}
	rows, columns := 1, product(w.dims)
	rowStep, step := 0, 0
	switch len(w.dims) {
	case 1:
		step = w.steps[0]
	case 2:
		rows, columns = w.dims[0], w.dims[1]
		rowStep, step = w.steps[0], w.steps[1]
	default:
		return nil, false, w.t.errorf("a weight of shape %v, expected a vector or a matrix", w.dims)
	}
	var wide []float32 // what has a decoder of its own, decoded
	if w.t.isFloat() && w.t.elem != typeFloat {
		if wide, err = w.t.widened(nil); err != nil {
			return nil, false, err
		}
	}
	dst := roomFor(room, rows*columns)
	for i := range rows {
		row, start := dst[i*columns:(i+1)*columns], w.start+i*rowStep
		if wide != nil {
			for j := range row {
				row[j] = wide[start+j*step]
			}
		} else {
			decode(row, w.t.elem, data, start, step)
		}
		if !plain {
			w.finish(row, i)
		}
	}
	return dst, false, nil
}

// finish makes quanta of row i into floats.
func (w *weight) finish(row []float32, i int) {
	level := func(l *levels, j int, value float32) float32 {
		if l == nil {
			return value
		}
		at := l.start + j*l.steps[len(l.steps)-1]
		if len(w.dims) == 2 {
			at += i * l.steps[0]
		}
		return float32(l.values[at])
	}
	factor := float32(w.factor)
	for j := range row {
		row[j] = (row[j] - level(w.zeros, j, 0)) * level(w.scales, j, 1) * factor
	}
}

// decode writes every step-th element, from start on, to dst.
func decode(dst []float32, elem int, data []byte, start, step int) {
	switch elem {
	case typeFloat:
		for i := range dst {
			dst[i] = float32At(data, start+i*step)
		}
	case typeInt8:
		for i := range dst {
			dst[i] = float32(int8(data[start+i*step]))
		}
	case typeUint8:
		for i := range dst {
			dst[i] = float32(data[start+i*step])
		}
	}
}
