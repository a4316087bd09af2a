package onnx

import (
	"errors"
	"slices"
)

// quantizeExpr rounds activations to integers. Here they stay as they are: only the weights, which are
// integers in the file, lose nothing.
func quantizeExpr(r *run, n *node, in []value) ([]value, error) {
	out := make([]value, 3)
	for i, k := range []kind{quanta, quantaScale, quantaZero} {
		out[i] = value{expr: &expr{kind: k, of: in[0].expr, points: in[0].points, node: n}, axes: in[0].axes}
	}
	return out, nil
}

// belong reports whether v is of the same DynamicQuantizeLinear as q.
func (q value) belong(v value, k kind) bool {
	return v.expr != nil && v.expr.kind == k && v.expr.node == q.expr.node && v.points == nil
}

func (r *run) optionalArray(in []value, i int) (*array, error) { return r.arrayOf(optional(in, i)) }

// dequantizeExpr makes floats of the rows that a Gather took of quanta.
func dequantizeExpr(r *run, n *node, in []value) ([]value, error) {
	v := in[0]
	if v.expr == nil || v.expr.kind != embeddings || v.points != nil || n.attributes["block_size"].int != 0 {
		return nil, errors.New("rows of embeddings")
	}
	scale, err := r.optionalArray(in, 1)
	if err != nil || scale == nil {
		return nil, errors.New("a scale")
	}
	zero, err := r.optionalArray(in, 2)
	if err != nil {
		return nil, err
	}
	if at, ok := n.attributes["axis"]; len(scale.data) != 1 && (!ok || at.int != -1 && at.int != int64(len(v.axes)-1)) {
		return nil, errors.New("a scale for all or for each channel")
	}
	e := *v.expr
	for i, w := range e.tables {
		if w != nil {
			if e.tables[i], err = w.quantised(scale, zero, -1); err != nil {
				return nil, err
			}
		}
	}
	return []value{v.become(&e)}, nil
}

func matMulIntegerExpr(r *run, n *node, in []value) ([]value, error) {
	if len(in) < 2 || in[0].expr == nil || in[0].expr.kind != quanta || in[1].weight == nil ||
		len(in) > 2 && !in[2].missing() && !in[0].belong(in[2], quantaZero) {
		return nil, errors.New("quantised activations times quantised weights")
	}
	zero, err := r.optionalArray(in, 3)
	if err != nil {
		return nil, err
	}
	w, err := in[1].weight.quantised(nil, zero, -1)
	if err != nil {
		return nil, err
	}
	v, err := in[0].times(n, w, nil)
	if err != nil {
		return nil, err
	}
	v.expr.kind, v.expr.of = quantaProduct, in[0].expr
	return []value{v}, nil
}

// mulScale multiplies a scale of activations, or an integer product that has it already, with the scales
// of weights.
func (r *run) mulScale(n *node, v, other value) ([]value, error) {
	a, err := r.arrayOf(other)
	if err != nil || v.points != nil {
		return nil, errors.New("the scale of the weights")
	}
	e := *v.expr
	if e.kind == quantaScale {
		if e.weight != nil || a.ids {
			return nil, errors.New("one scale of weights")
		}
		// The scales stand for a weight of one column each, until the product is known.
		e.weight = newWeight(&tensor{elem: typeFloat, dims: a.dims, count: len(a.data)})
		r.known[e.weight.t] = a
		return []value{v.become(&e)}, nil
	}
	if !e.scaled {
		return nil, errors.New("the scale of the activations first")
	}
	if e.weight, err = e.weight.quantised(a.squeezed(), nil, -1); err != nil {
		return nil, err
	}
	return []value{v.become(e.floating())}, nil
}

// squeezed is a without axes of size 1, as vectors of scales are meant.
func (a *array) squeezed() *array {
	b := *a
	b.dims = slices.DeleteFunc(slices.Clone(a.dims), func(d int) bool { return d == 1 })
	return &b
}

// floating is an integer product with its scales, as the product that it stands for.
func (e expr) floating() *expr {
	return &expr{kind: linear, of: e.of.of, points: e.of.points, weight: e.weight, node: e.node}
}

// scaleProduct multiplies an integer product with the scale of its activations, which may have that of the
// weights in it.
func (r *run) scaleProduct(n *node, p, s value) (value, error) {
	if p.points != nil || s.points != nil || s.expr.node != p.expr.of.node || p.expr.scaled {
		return value{}, errors.New("the scale of its own activations")
	}
	e := *p.expr
	e.scaled = true
	if w := s.expr.weight; w != nil {
		out, err := r.mulScale(n, p.become(&e), value{array: r.known[w.t]})
		if err != nil {
			return value{}, err
		}
		return out[0], nil
	}
	return p.become(&e), nil
}

// matMulToFloatExpr is a fused MatMulInteger: a, b, scale of a, scale of b, zero points, bias.
func matMulToFloatExpr(r *run, n *node, in []value) ([]value, error) {
	if len(in) < 4 || in[0].expr == nil || !in[0].belong(in[2], quantaScale) || len(in) > 4 && !in[4].missing() && !in[0].belong(in[4], quantaZero) {
		return nil, errors.New("quantised activations with their scale")
	}
	x := value{expr: in[0].expr.of, points: in[0].expr.points, axes: in[0].axes}
	return r.dequantisedProduct(n, x, optional(in, 1), optional(in, 3), optional(in, 5), optional(in, 6))
}

// dynamicMatMulExpr is the same with the quantisation of the activations in it.
func dynamicMatMulExpr(r *run, n *node, in []value) ([]value, error) {
	return r.dequantisedProduct(n, in[0], optional(in, 1), optional(in, 2), optional(in, 3), optional(in, 4))
}

func (r *run) dequantisedProduct(n *node, x, w, scale, zero, bias value) ([]value, error) {
	s, err := r.arrayOf(scale)
	z, err2 := r.arrayOf(zero)
	if err != nil || err2 != nil || s == nil || x.expr == nil || w.weight == nil {
		return nil, errors.New("hidden states times quantised weights")
	}
	m, err := w.weight.quantised(s, z, -1)
	if err != nil {
		return nil, err
	}
	v, err := x.times(n, m, nil)
	if err != nil || bias.missing() {
		return []value{v}, err
	}
	return addExpr(r, n, []value{v, bias})
}

// quantAttentionExpr is Attention of quantised activations: input, weights, bias, scales of both, mask,
// zero points of both.
func quantAttentionExpr(r *run, n *node, in []value) ([]value, error) {
	if len(in) < 5 || in[0].expr == nil || in[0].expr.kind != quanta || in[1].weight == nil || !in[0].belong(in[3], quantaScale) || present(in, 8) {
		return nil, errors.New("attention of quantised activations, with quantised weights")
	}
	s, err := r.optionalArray(in, 4)
	z, err2 := r.optionalArray(in, 7)
	if err != nil || err2 != nil || s == nil {
		return nil, errors.New("the scale of the weights")
	}
	w, err := in[1].weight.quantised(s, z, -1)
	if err != nil {
		return nil, err
	}
	x := value{expr: in[0].expr.of, points: in[0].expr.points, axes: in[0].axes}
	return r.packedAttention(n, x, w, optional(in, 2).weight, optional(in, 5), value{})
}
