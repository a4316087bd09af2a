package onnx

import (
	"errors"
	"fmt"
	"math"
	"slices"
)

// reduceExpr is the mean or the sum of squares along the channels, or a pooling of the tokens.
func reduceExpr(r *run, n *node, in []value) ([]value, error) {
	v := in[0]
	rest, err := r.arrays(in[1:])
	if err != nil {
		return nil, err
	}
	drop, keep, err := reduced(n, append([]*array{nil}, rest...), len(v.axes))
	if err != nil {
		return nil, err
	}
	along := axisUnknown
	out := value{}
	for i, a := range v.axes {
		if !drop[i] {
			out.axes = append(out.axes, a)
			continue
		}
		if along != axisUnknown {
			return nil, errors.New("one axis")
		}
		along = a.label
		if keep {
			out.axes = append(out.axes, axis{axisOne, 1})
		}
	}
	switch {
	case along == axisToken:
		return r.pool(n, v, out)
	case along != axisChannel:
		return nil, fmt.Errorf("a reduction of %s along tokens or channels", v.expr.kind)
	}
	square := v.points.near(func(x float64) float64 { return x * x }, 1e-9)
	switch {
	case n.op == "ReduceMean" && v.points == nil:
		out.expr = &expr{kind: mean, of: v.expr, node: n}
	case n.op == "ReduceMean" && v.expr.kind == centred && square:
		out.expr = &expr{kind: variance, of: v.expr.of, node: n}
	case n.op == "ReduceSum" && square:
		out.expr = &expr{kind: squares, of: v.expr, node: n}
	case n.op == "ReduceL2" && v.points == nil:
		out.expr = &expr{kind: squares, of: v.expr, node: n}
		out.points = samples.then(math.Sqrt)
	default:
		return nil, fmt.Errorf("a LayerNormalization or the length of a vector, not this reduction of %s", v.expr.kind)
	}
	return []value{out}, nil
}

// pool reduces hidden states along the tokens to out.
func (r *run) pool(n *node, v, out value) ([]value, error) {
	if !v.expr.isState() || v.points != nil || v.last().label != axisChannel {
		return nil, fmt.Errorf("a pooling of hidden states after a layer, not of %s", v.expr.kind)
	}
	out.expr = &expr{kind: pooled, of: v.expr, node: n}
	switch n.op {
	case "ReduceMean":
		out.expr.pooling = "mean"
	case "ReduceMax":
		out.expr.pooling = "max"
	case "ReduceSum":
		out.expr.kind = total
	default:
		return nil, errors.New("a mean, a sum or a maximum over tokens")
	}
	return []value{out}, nil
}

// meanOf is v, a sum over tokens, as their mean, if it was divided by their number.
func (r *run) meanOf(n *node, v value) value {
	if c, ok := v.points.factor(); ok && math.Abs(c*float64(r.tokens)-1) < 1e-6 {
		return v.become(&expr{kind: pooled, of: v.expr.of, pooling: "mean", node: n})
	}
	return v
}

// unitExpr is a vector at length 1.
func unitExpr(r *run, n *node, in []value) ([]value, error) {
	v := in[0]
	at := int64(-1)
	if a, ok := n.attributes["axis"]; ok {
		at = a.int
	}
	if p, ok := n.attributes["p"]; n.op == "LpNormalization" && (at != -1 && at != int64(len(v.axes)-1) || ok && p.int != 2) {
		return nil, errors.New("the length of the vector")
	}
	if v.expr.kind != pooled || v.points != nil {
		return nil, fmt.Errorf("a pooled vector to normalise, not %s", v.expr.kind)
	}
	return []value{v.become(&expr{kind: unit, of: v.expr, node: n})}, nil
}

// first makes the hidden state of the first token of v.
func first(n *node, v value, at int, keep bool) ([]value, error) {
	if !v.expr.isState() || v.points != nil || v.axes[at].label != axisToken {
		return nil, fmt.Errorf("the first token of hidden states after a layer, not of %s", v.expr.kind)
	}
	out := value{expr: &expr{kind: pooled, of: v.expr, pooling: "cls", node: n}, axes: slices.Delete(slices.Clone(v.axes), at, at+1)}
	if keep {
		out.axes = slices.Insert(out.axes, at, axis{axisOne, 1})
	}
	return []value{out}, nil
}

func gatherExpr(r *run, n *node, in []value) ([]value, error) {
	v := in[0]
	if v.expr == nil {
		return nil, errors.New("an index that does not depend on the words")
	}
	at, err := axisOf(int(n.attributes["axis"].int), len(v.axes))
	if err != nil {
		return nil, err
	}
	c, a, ok := r.uniform(in[1])
	if !ok || c != 0 || len(a.data) != 1 || len(a.dims) > 1 {
		return nil, errors.New("the first token")
	}
	return first(n, v, at, len(a.dims) == 1)
}

func sliceExpr(r *run, n *node, in []value) ([]value, error) {
	v := in[0]
	rest, err := r.arrays(in[1:])
	if err != nil || v.expr == nil {
		return nil, errors.New("bounds that do not depend on the words")
	}
	parts, err := slicesOf(n, append([]*array{nil}, rest...), v.dims())
	if err != nil {
		return nil, err
	}
	out := []value{v}
	for _, p := range parts {
		v := out[0]
		switch {
		case p.step == 1 && p.start == 0 && p.size == v.axes[p.axis].size:
		case p.start == 0 && p.size == 1:
			if out, err = first(n, v, p.axis, true); err != nil {
				return nil, err
			}
		default:
			return nil, errors.New("the first token")
		}
	}
	return out, nil
}
