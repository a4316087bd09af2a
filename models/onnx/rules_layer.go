package onnx

import (
	"errors"
	"fmt"
	"math"
	"slices"
)

// product makes the matrix product of v and w (in, out).
func (v value) times(n *node, w *weight, bias *weight) (value, error) {
	if len(w.dims) != 2 || v.last().label != axisChannel || v.last().size != w.dims[0] {
		return value{}, fmt.Errorf("a matrix for %d channels, not one of shape %v", v.last().size, w.dims)
	}
	out := value{
		expr: &expr{kind: linear, of: v.expr, points: v.points, weight: w, bias: bias, node: n},
		axes: slices.Clone(v.axes),
	}
	out.axes[len(out.axes)-1].size = w.dims[1]
	return out, nil
}

func swapped(axes []axis) []axis {
	out := slices.Clone(axes)
	if k := len(out); k >= 2 {
		out[k-1], out[k-2] = out[k-2], out[k-1]
	}
	return out
}

func matMulExpr(r *run, n *node, in []value) ([]value, error) {
	if len(in) != 2 || in[0].expr == nil {
		return nil, errors.New("hidden states times a matrix")
	}
	a, b := in[0], in[1]
	if n.attributes["transBatchA"].int != 0 || n.attributes["transBatchB"].int != 0 {
		return nil, errors.New("batches in front")
	}
	if n.attributes["transA"].int != 0 {
		a.axes = swapped(a.axes)
	}
	if alpha, ok := n.attributes["alpha"]; ok {
		a.points = a.points.then(func(x float64) float64 { return alpha.float * x })
		if alpha.float == 1 {
			a.points = in[0].points
		}
	}
	if w := b.weight; w != nil {
		if n.attributes["transB"].int != 0 && len(w.dims) == 2 {
			w = w.transposed([]int{1, 0})
		}
		v, err := a.times(n, w, nil)
		return []value{v}, err
	}
	if b.expr == nil {
		return nil, errors.New("a weight or hidden states to multiply with")
	}
	if n.attributes["transB"].int != 0 {
		b.axes = swapped(b.axes)
	}
	if a.expr.kind == attention {
		return r.weigh(n, a, b)
	}
	return r.score(n, a, b)
}

// perHead returns the labels of a (heads, tokens, depth) or, with one head, (tokens, depth).
func perHead(axes []axis) (heads int, rest []axis, ok bool) {
	for len(axes) > 0 && axes[0].label == axisOne {
		axes = axes[1:]
	}
	heads = 1
	if len(axes) == 3 && axes[0].label == axisHead {
		heads, axes = axes[0].size, axes[1:]
	}
	return heads, axes, len(axes) == 2
}

// score is the product of queries and keys.
func (r *run) score(n *node, q, k value) ([]value, error) {
	bad := errors.New("queries times transposed keys, head by head")
	heads, x, ok := perHead(q.axes)
	others, y, ok2 := perHead(k.axes)
	if !ok || !ok2 || heads != others || q.expr.kind != linear || k.expr.kind != linear {
		return nil, bad
	}
	deep := x[1].label == axisDepth || heads == 1 && x[1].label == axisChannel
	if !deep || x[0].label != axisToken || y[1].label != axisToken || y[0] != x[1] {
		return nil, bad
	}
	c, ok := q.points.factor()
	d, ok2 := k.points.factor()
	if !ok || !ok2 {
		return nil, errors.New("queries and keys that are scaled by a number")
	}
	out := value{
		expr: &expr{kind: scores, of: q.expr, other: k.expr, heads: heads, scale: c * d, node: n},
		axes: slices.Clone(q.axes),
	}
	out.axes[len(out.axes)-1] = axis{axisKey, r.tokens}
	return []value{out}, nil
}

func softmaxExpr(r *run, n *node, in []value) ([]value, error) {
	v := in[0]
	at := -1
	if a, ok := n.attributes["axis"]; ok {
		at = int(a.int)
	} else if r.g.opset < 13 {
		at = 1
	}
	if at < 0 {
		at += len(v.axes)
	}
	if v.expr.kind != scores || v.last().label != axisKey || at != len(v.axes)-1 {
		return nil, fmt.Errorf("attention scores, along their last axis, not %s", v.expr.kind)
	}
	c, ok := v.points.factor()
	if !ok {
		return nil, errors.New("scores that are scaled by a number")
	}
	e := *v.expr
	e.kind, e.scale, e.node = attention, e.scale*c, n
	return []value{v.become(&e)}, nil
}

// weigh is the product of attention weights and values.
func (r *run) weigh(n *node, p, v value) ([]value, error) {
	heads, x, ok := perHead(v.axes)
	_, y, ok2 := perHead(p.axes)
	if !ok || !ok2 || heads != p.expr.heads || v.expr.kind != linear || v.points != nil || p.points != nil ||
		x[0].label != axisToken || y[0].label != axisToken || y[1].label != axisKey || (x[1].label != axisDepth && heads > 1) {
		return nil, errors.New("attention weights times values, head by head")
	}
	e := &expr{kind: outcome, of: p.expr, other: v.expr, heads: heads, scale: p.expr.scale, node: n}
	out := value{expr: e, axes: slices.Clone(p.axes)}
	out.axes[len(out.axes)-1] = x[1]
	return []value{out}, nil
}

func gemmExpr(r *run, n *node, in []value) ([]value, error) {
	one := func(name string) bool {
		a, ok := n.attributes[name]
		return !ok || a.float == 1
	}
	if len(in) < 2 || in[0].expr == nil || in[1].weight == nil || !one("alpha") || !one("beta") || n.attributes["transA"].int != 0 {
		return nil, errors.New("hidden states times a matrix, plus a bias")
	}
	w := in[1].weight
	if n.attributes["transB"].int != 0 && len(w.dims) == 2 {
		w = w.transposed([]int{1, 0})
	}
	v, err := in[0].times(n, w, nil)
	if err != nil || len(in) < 3 || in[2].missing() {
		return []value{v}, err
	}
	return addExpr(r, n, []value{v, in[2]})
}

// epsilonOf is the attribute of a LayerNormalization.
func epsilonOf(n *node, missing float64) float64 {
	if a, ok := n.attributes["epsilon"]; ok {
		return a.float
	}
	return missing
}

func layerNormExpr(r *run, n *node, in []value) ([]value, error) {
	v := in[0]
	at := int64(-1)
	if a, ok := n.attributes["axis"]; ok {
		at = a.int
	}
	if v.expr == nil || v.points != nil || v.last().label != axisChannel || at != -1 && at != int64(len(v.axes)-1) {
		return nil, errors.New("hidden states, normalised along their channels")
	}
	e, err := r.normWith(v.expr, epsilonOf(n, 1e-5), in[1:])
	return []value{v.become(e)}, err
}

// normWith is finishNorm with gain and bias as values, of which the bias may be missing.
func (r *run) normWith(of *expr, epsilon float64, in []value) (*expr, error) {
	if len(in) < 1 || in[0].weight == nil {
		return nil, errors.New("a gain for each channel")
	}
	gain, ok := in[0].weight.vector()
	if !ok {
		return nil, errors.New("a gain for each channel")
	}
	var bias *weight
	if len(in) > 1 && !in[1].missing() {
		if in[1].weight != nil {
			bias, ok = in[1].weight.vector()
		}
		if bias == nil || !ok {
			return nil, errors.New("a bias for each channel")
		}
	}
	return r.finishNorm(of, epsilon, gain, bias)
}

// finishNorm says what a LayerNormalization of an expression makes of the encoder's layers.
func (r *run) finishNorm(of *expr, epsilon float64, gain, bias *weight) (*expr, error) {
	out := &expr{epsilon: epsilon, weight: gain, bias: bias, node: of.node}
	if of.kind == embeddings {
		if of.tables[0] == nil {
			return nil, errors.New("the embeddings of words among those that are normalised")
		}
		out.kind, out.of = embedded, of
		return out, nil
	}
	if of.kind != residual {
		return nil, fmt.Errorf("a LayerNormalization of embeddings or of a sum of two hidden states, not of %s", of.kind)
	}
	for _, p := range [][2]*expr{{of.of, of.other}, {of.other, of.of}} {
		dense, before := p[0], p[1]
		if dense.kind != linear || dense.of == nil {
			continue
		}
		switch {
		case before.isState() && dense.of.kind == outcome && dense.points == nil:
			c := dense.of
			if c.of.of.of != before || c.of.other.of != before || c.other.of != before {
				return nil, errors.New("queries, keys and values of the hidden states before the layer")
			}
			if c.of.of.points != nil || c.of.other.points != nil || c.other.points != nil {
				return nil, errors.New("queries, keys and values without an activation before them")
			}
			out.kind, out.of, out.other, out.heads = attended, before, dense, c.heads
			return out, nil
		case before.kind == attended && dense.of.kind == linear && dense.of.of == before && dense.of.points == nil:
			out.kind, out.of, out.other = hidden, before, dense
			return out, nil
		}
	}
	return nil, errors.New("the outcome of attention or of the feed-forward block, added to what it was made of")
}

func skipLayerNormExpr(r *run, n *node, in []value) ([]value, error) {
	if len(in) < 3 || in[0].expr == nil || in[1].expr == nil {
		return nil, errors.New("two hidden states and a gain")
	}
	a, b := in[0], in[1]
	if len(in) > 4 && !in[4].missing() {
		if a.expr.kind != linear {
			a, b = b, a
		}
		out, err := addExpr(r, n, []value{a, in[4]})
		if err != nil {
			return nil, err
		}
		a = out[0]
	}
	sum, err := r.addExprs(n, a, b)
	if err != nil {
		return nil, err
	}
	e, err := r.normWith(sum[0].expr, epsilonOf(n, 1e-12), in[2:min(len(in), 4)])
	out := []value{sum[0].become(e), {}, {}, sum[0]}
	return out, err
}

// masked refuses masks that hide a token from another.
func (r *run) masked(v value) error {
	a, err := r.arrayOf(v)
	if err != nil || a == nil {
		return err
	}
	if c, ok := a.constant(); !ok || len(a.dims) == 1 && a.dims[0] == 1 && c != float64(r.tokens) || c == 0 {
		return errors.New("a mask that hides no token of a text from another, for only such are read")
	}
	return nil
}

// attend is what the fused forms of attention compute of queries, keys and values (tokens, channels).
func (r *run) attend(n *node, q, k, v value, heads int, mask, bias value) ([]value, error) {
	width := v.last().size
	if heads < 1 || width%heads != 0 || q.last() != v.last() || k.last() != v.last() || !sameAxes(q.axes, v.axes) || !sameAxes(k.axes, v.axes) {
		return nil, errors.New("queries, keys and values of one width, which the heads divide")
	}
	for _, x := range []value{q, k, v} {
		if x.expr == nil || x.expr.kind != linear || x.points != nil {
			return nil, errors.New("queries, keys and values that are matrix products")
		}
	}
	if err := r.masked(mask); err != nil {
		return nil, err
	}
	if a, err := r.arrayOf(bias); err != nil || a != nil && !a.constantRows() {
		return nil, errors.New("no bias of attention")
	}
	for _, name := range []string{"unidirectional", "is_causal", "do_rotary"} {
		if n.attributes[name].int != 0 {
			return nil, fmt.Errorf("no %s attention", name)
		}
	}
	scale := 1 / math.Sqrt(float64(width/heads))
	if a, ok := n.attributes["scale"]; ok && a.float != 0 {
		scale = a.float
	}
	p := &expr{kind: attention, of: q.expr, other: k.expr, heads: heads, scale: scale, node: n}
	return []value{v.become(&expr{kind: outcome, of: p, other: v.expr, heads: heads, scale: scale, node: n})}, nil
}

// threeParts are the columns of queries, keys and values in a matrix or vector of all three.
func threeParts(w *weight) ([3]*weight, error) {
	var out [3]*weight
	at := len(w.dims) - 1
	if at < 0 || w.dims[at]%3 != 0 {
		return out, errors.New("the weights of queries, keys and values side by side")
	}
	for i := range out {
		out[i] = w.part(at, i*w.dims[at]/3, w.dims[at]/3)
	}
	return out, nil
}

// optional is input i, or nothing.
func optional(in []value, i int) value {
	if i < len(in) {
		return in[i]
	}
	return value{}
}

// packedAttention is attention with the three matrices, and their biases, in one.
func (r *run) packedAttention(n *node, x value, weights, bias *weight, mask, extra value) ([]value, error) {
	if x.expr == nil || x.last().label != axisChannel || len(n.attributes["qkv_hidden_sizes"].ints) > 0 {
		return nil, errors.New("hidden states, and queries, keys and values of one width")
	}
	w, err := threeParts(weights)
	if err != nil {
		return nil, err
	}
	var b [3]*weight
	if bias != nil {
		if b, err = threeParts(bias); err != nil {
			return nil, err
		}
	}
	var parts [3]value
	for i := range parts {
		if parts[i], err = x.times(n, w[i], b[i]); err != nil {
			return nil, err
		}
	}
	return r.attend(n, parts[0], parts[1], parts[2], int(n.attributes["num_heads"].int), mask, extra)
}

// present reports whether any of the inputs from i on is there.
func present(in []value, i int) bool {
	return slices.ContainsFunc(in[min(i, len(in)):], func(v value) bool { return !v.missing() })
}

func attentionExpr(r *run, n *node, in []value) ([]value, error) {
	if len(in) < 2 || in[1].weight == nil || !optional(in, 4).missing() || present(in, 6) {
		return nil, errors.New("attention of a text to itself, with its weights")
	}
	return r.packedAttention(n, in[0], in[1].weight, optional(in, 2).weight, optional(in, 3), optional(in, 5))
}

func multiHeadExpr(r *run, n *node, in []value) ([]value, error) {
	if len(in) < 3 || in[0].expr == nil || in[1].expr == nil || in[2].expr == nil || present(in, 6) {
		return nil, errors.New("queries, keys and values")
	}
	parts := slices.Clone(in[:3])
	if b := optional(in, 3); b.weight != nil {
		biases, err := threeParts(b.weight)
		if err != nil {
			return nil, err
		}
		for i := range parts {
			out, err := r.addVector(parts[i], biases[i])
			if err != nil {
				return nil, err
			}
			parts[i] = out[0]
		}
	} else if !b.missing() {
		return nil, errors.New("a bias that is a weight")
	}
	return r.attend(n, parts[0], parts[1], parts[2], int(n.attributes["num_heads"].int), optional(in, 4), optional(in, 5))
}

// standardAttentionExpr is the Attention of the standard operators, from version 23 on.
func standardAttentionExpr(r *run, n *node, in []value) ([]value, error) {
	if len(in) < 3 || in[0].expr == nil || in[1].expr == nil || in[2].expr == nil || present(in, 4) || n.attributes["softcap"].float != 0 {
		return nil, errors.New("queries, keys and values")
	}
	parts := slices.Clone(in[:3])
	heads := int(n.attributes["q_num_heads"].int)
	perHeads := len(parts[0].axes) == 4
	for i, v := range parts {
		if perHeads { // (batch, heads, tokens, depth), which is how the result lies, too
			h, rest, ok := perHead(v.axes)
			if !ok || rest[0].label != axisToken || rest[1].label != axisDepth {
				return nil, errors.New("queries, keys and values head by head")
			}
			heads = h
			parts[i].axes = []axis{{axisOne, 1}, rest[0], {axisChannel, h * rest[1].size}}
		}
	}
	// The mask may be one of truth values, of which none hides, or of numbers that are added.
	mask := optional(in, 3)
	if a, err := r.arrayOf(mask); err != nil || a != nil && !a.constantRows() {
		return nil, errors.New("a mask that hides no token of a text from another, for only such are read")
	}
	out, err := r.attend(n, parts[0], parts[1], parts[2], heads, value{}, value{})
	if err == nil && perHeads {
		out[0].axes = in[2].axes
	}
	return out, err
}
