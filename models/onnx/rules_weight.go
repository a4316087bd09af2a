package onnx

import (
	"errors"
	"fmt"
	"slices"
)

// weightRules are the operations on weights that are followed without reading them. A rule returns nothing
// where the weight is small and the operation one on numbers.
var weightRules = map[string]rule{
	"Identity": same, "Dropout": same, "Cast": castWeight, "Transpose": transposeWeight,
	"Reshape": reshapeWeight, "Squeeze": reshapeWeight, "Unsqueeze": reshapeWeight,
	"Mul": mulWeight, "Div": mulWeight, "Sub": subWeight, "DequantizeLinear": dequantizeWeight,
	"Gather": gatherWeight, "Slice": sliceWeight,
}

// fused are operations that take the words themselves.
var fused map[string]rule

func init() { // not above, because its rule runs others
	fused = map[string]rule{
		"com.microsoft.EmbedLayerNormalization":  embedExpr,
		"com.microsoft.QEmbedLayerNormalization": quantEmbedExpr,
	}
}

func castWeight(r *run, n *node, in []value) ([]value, error) {
	switch to := n.attributes["to"].int; {
	case in[0].weight.t.isQuanta() && to != typeBool, to == typeFloat, to == typeFloat16, to == typeBFloat16, to == typeDouble:
		return in, nil
	}
	return nil, nil
}

func transposeWeight(r *run, n *node, in []value) ([]value, error) {
	perm, err := permutation(n, len(in[0].weight.dims))
	if err != nil {
		return nil, err
	}
	return []value{{weight: in[0].weight.transposed(perm)}}, nil
}

func reshapeWeight(r *run, n *node, in []value) ([]value, error) {
	w := in[0].weight
	if w == nil {
		return nil, nil
	}
	rest, err := r.arrays(in[1:])
	if err != nil {
		return nil, err
	}
	rest = append([]*array{nil}, rest...)
	dims := w.dims
	switch n.op {
	case "Reshape":
		dims, err = newShape(dims, rest[1].integers(), n.attributes["allowzero"].int != 0)
	case "Squeeze":
		dims, err = withoutAxes(dims, axesOf(n, rest, 1))
	case "Unsqueeze":
		dims, err = withAxes(dims, axesOf(n, rest, 1))
	}
	if err != nil {
		return nil, err
	}
	if w, err = w.reshaped(dims); err != nil {
		return nil, err
	}
	return []value{{weight: w}}, nil
}

// mulWeight scales a weight, or divides it by a number.
func mulWeight(r *run, n *node, in []value) ([]value, error) {
	w, other := in[0].weight, in[1]
	if n.op == "Mul" && (w == nil || in[1].weight != nil && in[1].weight.t.isQuanta()) {
		w, other = in[1].weight, in[0]
	}
	if w == nil {
		return nil, nil
	}
	a, err := r.arrayOf(other)
	if err != nil || len(a.data) != 1 && !w.t.isQuanta() {
		return nil, nil
	}
	if n.op == "Div" {
		if len(a.data) != 1 {
			return nil, nil
		}
		a = &array{data: []float64{1 / a.data[0]}}
	}
	if w, err = w.scaled(a); err != nil {
		return nil, err
	}
	return []value{{weight: w}}, nil
}

func subWeight(r *run, n *node, in []value) ([]value, error) {
	if in[0].weight == nil || !in[0].weight.t.isQuanta() {
		return nil, nil
	}
	a, err := r.arrayOf(in[1])
	if err != nil {
		return nil, err
	}
	w, err := in[0].weight.shifted(a)
	return []value{{weight: w}}, err
}

func dequantizeWeight(r *run, n *node, in []value) ([]value, error) {
	scale, err := r.optionalArray(in, 1)
	zero, err2 := r.optionalArray(in, 2)
	if err != nil || err2 != nil || scale == nil || in[0].weight == nil || n.attributes["block_size"].int != 0 {
		return nil, errors.New("int8 or uint8 weights with one scale, or one for each channel")
	}
	at := 1
	if a, ok := n.attributes["axis"]; ok {
		at = int(a.int)
	}
	w, err := in[0].weight.quantised(scale, zero, at)
	return []value{{weight: w}}, err
}

// gatherWeight looks rows up: those of the words, of the positions, or of one token type.
func gatherWeight(r *run, n *node, in []value) ([]value, error) {
	w, at := in[0].weight, in[1].array
	if w == nil || at == nil || len(w.dims) != 2 || n.attributes["axis"].int != 0 {
		return nil, nil
	}
	return r.look(n, w, at)
}

func (r *run) look(n *node, w *weight, at *array) ([]value, error) {
	e := &expr{kind: embeddings, node: n}
	out := value{expr: e}
	for _, d := range at.dims {
		l := axisToken
		if d == 1 {
			l = axisOne
		} else if d != r.tokens {
			return nil, fmt.Errorf("a row for each token of a text, not of shape %v", at.dims)
		}
		out.axes = append(out.axes, axis{l, d})
	}
	out.axes = append(out.axes, axis{axisChannel, w.dims[1]})
	c, same := at.constant()
	switch {
	case at.ids:
		e.tables[0] = w
	case same:
		i, err := index(c, w.dims[0])
		if err != nil {
			return nil, err
		}
		if e.tables[2] = w; i > 0 {
			e.tables[2] = w.part(0, i, 1) // the first row is the one that is used
		}
	default:
		i, err := index(at.data[0], w.dims[0])
		if err != nil || at.data[0] < 0 {
			return nil, errors.New("positions inside the table")
		}
		for j, v := range at.data {
			if v != float64(i+j) {
				return nil, errors.New("positions that count the tokens")
			}
		}
		if i+len(at.data) > w.dims[0] {
			return nil, errors.New("positions inside the table")
		}
		e.tables[1] = w.part(0, i, w.dims[0]-i)
	}
	return []value{out}, nil
}

// sliceWeight takes the positions of a text from the beginning of their table.
func sliceWeight(r *run, n *node, in []value) ([]value, error) {
	w := in[0].weight
	if w == nil || len(w.dims) != 2 || !w.t.isFloat() {
		return nil, nil
	}
	rest, err := r.arrays(in[1:])
	if err != nil {
		return nil, err
	}
	parts, err := slicesOf(n, append([]*array{nil}, rest...), w.dims)
	if err != nil {
		return nil, err
	}
	if len(parts) != 1 || parts[0] != (sliced{0, 0, 1, r.tokens}) {
		return nil, nil
	}
	e := &expr{kind: embeddings, tables: [3]*weight{nil, w, nil}, node: n}
	return []value{{expr: e, axes: []axis{{axisToken, r.tokens}, {axisChannel, w.dims[1]}}}}, nil
}

// embedExpr is the fused form of the embeddings and their LayerNormalization: ids, token types, words,
// positions, rows of the types, gain, bias, mask, position ids.
func embedExpr(r *run, n *node, in []value) ([]value, error) {
	if len(in) < 7 || in[2].weight == nil || in[3].weight == nil {
		return nil, errors.New("ids, the three tables, gain and bias")
	}
	return r.embedTables(n, in[0], in[1], [3]*weight{in[2].weight, in[3].weight, in[4].weight}, in[5:7], optional(in, 8))
}

func (r *run) embedTables(n *node, ids, kinds value, tables [3]*weight, norm []value, at value) ([]value, error) {
	for _, w := range tables {
		if w != nil && len(w.dims) != 2 {
			return nil, errors.New("tables of rows")
		}
	}
	if ids.array == nil || !ids.array.ids {
		return nil, errors.New("the ids of the words")
	}
	all, err := r.look(n, tables[0], ids.array)
	if err != nil {
		return nil, err
	}
	positions := at.array
	if at.missing() {
		positions = &array{dims: []int{r.tokens}}
		for i := range r.tokens {
			positions.data = append(positions.data, float64(i))
		}
	}
	zero := &array{data: []float64{0}}
	if kinds.array != nil {
		zero = kinds.array
	}
	for i, a := range []*array{positions, zero} {
		if w := tables[i+1]; w != nil {
			if a == nil || a.ids {
				return nil, errors.New("positions and token types that do not depend on the words")
			}
			rows, err := r.look(n, w, a)
			if err != nil {
				return nil, err
			}
			if all, err = r.addExprs(n, all[0], rows[0]); err != nil {
				return nil, err
			}
		}
	}
	e, err := r.normWith(all[0].expr, epsilonOf(n, 1e-12), norm)
	if err != nil {
		return nil, err
	}
	// The second output says how many tokens are not hidden.
	mask := &array{dims: []int{1}, data: []float64{float64(r.tokens)}, whole: true}
	return []value{all[0].become(e), {array: mask}, all[0]}, nil
}

// quantEmbedExpr is embedExpr with quantised tables, gain and bias: their scales come behind the mask, then
// their zero points.
func quantEmbedExpr(r *run, n *node, in []value) ([]value, error) {
	if len(in) < 18 {
		return nil, errors.New("ids, tables, gain and bias, with scales and zero points")
	}
	in = slices.Clone(in)
	for i := range 5 {
		w := in[2+i].weight
		if w == nil {
			continue
		}
		scale, err := r.arrayOf(in[8+i])
		zero, err2 := r.arrayOf(in[13+i])
		if err != nil || err2 != nil {
			return nil, errors.New("scales and zero points")
		}
		if w, err = w.quantised(scale, zero, -1); err != nil {
			return nil, err
		}
		in[2+i].weight = w
	}
	return embedExpr(r, n, in[:8])
}
