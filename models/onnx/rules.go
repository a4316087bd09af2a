package onnx

import (
	"errors"
	"fmt"
	"math"
	"slices"
)

// exprRules are the operations of an encoder on what depends on the words.
var exprRules map[string]rule

func init() { // not above, because rules use others
	exprRules = map[string]rule{
		"Identity": same, "Dropout": same, "Cast": castExpr,
		"Reshape": reshapeExpr, "Flatten": reshapeExpr, "Squeeze": reshapeExpr, "Unsqueeze": reshapeExpr,
		"Transpose": transposeExpr, "Expand": expandExpr,
		"Add": addExpr, "Sub": subExpr, "Mul": mulExpr, "Div": divExpr, "Pow": powExpr,
		"Max": elementwise(math.Max), "Min": elementwise(math.Min), "Clip": clipExpr,
		"Where": whereExpr, "IsNaN": isNaNExpr,
		"Gelu": geluExpr, "com.microsoft.Gelu": geluExpr, "com.microsoft.BiasGelu": geluExpr,
		"com.microsoft.FastGelu": geluExpr,
		"MatMul":                 matMulExpr, "com.microsoft.FusedMatMul": matMulExpr, "Gemm": gemmExpr,
		"Softmax": softmaxExpr, "LayerNormalization": layerNormExpr,
		"com.microsoft.SkipLayerNormalization": skipLayerNormExpr,
		"com.microsoft.Attention":              attentionExpr, "com.microsoft.QAttention": quantAttentionExpr,
		"com.microsoft.MultiHeadAttention": multiHeadExpr, "Attention": standardAttentionExpr,
		"ReduceMean": reduceExpr, "ReduceSum": reduceExpr, "ReduceMax": reduceExpr, "ReduceL2": reduceExpr,
		"Gather": gatherExpr, "Slice": sliceExpr, "LpNormalization": unitExpr,
		"DynamicQuantizeLinear": quantizeExpr, "DequantizeLinear": dequantizeExpr,
		"MatMulInteger": matMulIntegerExpr, "com.microsoft.MatMulIntegerToFloat": matMulToFloatExpr,
		"com.microsoft.DynamicQuantizeMatMul": dynamicMatMulExpr,
	}
	for name, f := range map[string]func(float64) float64{
		"Erf": math.Erf, "Tanh": math.Tanh, "Relu": relu, "Sqrt": math.Sqrt, "Abs": math.Abs, "Exp": math.Exp,
		"Neg":        func(x float64) float64 { return -x },
		"Sigmoid":    func(x float64) float64 { return 1 / (1 + math.Exp(-x)) },
		"Reciprocal": func(x float64) float64 { return 1 / x },
	} {
		exprRules[name] = func(r *run, n *node, in []value) ([]value, error) {
			v := in[0]
			v.points = v.points.then(f)
			return []value{v}, nil
		}
	}
}

func same(r *run, n *node, in []value) ([]value, error) { return in[:1], nil }

func castExpr(r *run, n *node, in []value) ([]value, error) {
	switch n.attributes["to"].int {
	case typeFloat, typeFloat16, typeBFloat16, typeDouble:
		return in[:1], nil
	}
	return nil, errors.New("hidden states that stay floats")
}

func reshapeExpr(r *run, n *node, in []value) ([]value, error) {
	v := in[0]
	dims := v.dims()
	rest, err := r.arrays(in[1:])
	if err != nil {
		return nil, err
	}
	rest = append([]*array{nil}, rest...)
	switch n.op {
	case "Reshape":
		if len(rest) < 2 || rest[1] == nil {
			return nil, errors.New("a shape")
		}
		dims, err = newShape(dims, rest[1].integers(), n.attributes["allowzero"].int != 0)
	case "Squeeze":
		dims, err = withoutAxes(dims, axesOf(n, rest, 1))
	case "Unsqueeze":
		dims, err = withAxes(dims, axesOf(n, rest, 1))
	case "Flatten":
		a := &array{dims: dims, data: make([]float64, 0)}
		k := 1
		if x, ok := n.attributes["axis"]; ok {
			k = int(x.int)
		}
		if k < 0 {
			k += len(a.dims)
		}
		if k < 0 || k > len(dims) {
			return nil, errors.New("an axis of the tensor")
		}
		dims = []int{product(dims[:k]), product(dims[k:])}
	}
	if err != nil {
		return nil, err
	}
	v.axes, err = reshapedAxes(v.axes, dims)
	return []value{v}, err
}

func transposeExpr(r *run, n *node, in []value) ([]value, error) {
	v := in[0]
	perm, err := permutation(n, len(v.axes))
	if err != nil {
		return nil, err
	}
	axes := make([]axis, len(perm))
	for i, p := range perm {
		axes[i] = v.axes[p]
	}
	v.axes = axes
	return []value{v}, nil
}

func expandExpr(r *run, n *node, in []value) ([]value, error) {
	a, err := r.arrayOf(in[1])
	if err != nil {
		return nil, err
	}
	v := in[0]
	dims, err := broadcast(v.dims(), a.integers())
	if err != nil {
		return nil, err
	}
	switch v.expr.kind {
	case squares, mean, variance: // one number, which is spread over a row wherever it is used
		return []value{v}, nil
	}
	if !slices.Equal(dims, v.dims()) {
		return nil, errors.New("hidden states that are not repeated")
	}
	return []value{v}, nil
}

// split is the expression among two inputs, and the other one.
func split(in []value) (v, other value, swapped bool) {
	if in[0].expr == nil {
		return in[1], in[0], true
	}
	return in[0], in[1], false
}

// uniform is the number that all elements of v are, and the array.
func (r *run) uniform(v value) (float64, *array, bool) {
	if v.weight != nil && product(v.weight.dims) > 1 {
		return 0, nil, false
	}
	a, err := r.arrayOf(v)
	if err != nil || a == nil || a.ids {
		return 0, a, false
	}
	c, ok := a.constant()
	return c, a, ok
}

// fits reports whether an array broadcasts over v without making it larger.
func fits(v value, a *array) bool {
	dims, err := broadcast(v.dims(), a.dims)
	return err == nil && slices.Equal(dims, v.dims())
}

// elementwise is the rule of an operation on an expression and a number, or on two functions of one
// expression.
func elementwise(f func(a, b float64) float64) rule {
	return func(r *run, n *node, in []value) ([]value, error) {
		if len(in) != 2 {
			return nil, errors.New("two inputs")
		}
		if in[0].expr != nil && in[0].expr == in[1].expr && slices.Equal(in[0].axes, in[1].axes) {
			v := in[0]
			v.points = v.points.with(in[1].points, f)
			return []value{v}, nil
		}
		v, other, swapped := split(in)
		c, a, ok := r.uniform(other)
		if !ok {
			return nil, fmt.Errorf("%s and one number, or two functions of it", v.expr.kind)
		}
		if !fits(v, a) {
			return nil, fmt.Errorf("%s of its own shape, not of %v", v.expr.kind, a.dims)
		}
		v.points = v.points.then(func(x float64) float64 {
			if swapped {
				return f(c, x)
			}
			return f(x, c)
		})
		return []value{v}, nil
	}
}

var (
	plainAdd = elementwise(func(a, b float64) float64 { return a + b })
	plainSub = elementwise(func(a, b float64) float64 { return a - b })
	plainMul = elementwise(func(a, b float64) float64 { return a * b })
	plainDiv = elementwise(func(a, b float64) float64 { return a / b })
)

// of is a value made of an expression, with the axes of v.
func (v value) become(e *expr) value { return value{expr: e, axes: v.axes} }

func addExpr(r *run, n *node, in []value) ([]value, error) {
	v, other, _ := split(in)
	if other.expr != nil {
		if v.expr == other.expr {
			return plainAdd(r, n, in)
		}
		return r.addExprs(n, v, other)
	}
	if _, a, ok := r.uniform(other); a != nil && !ok && v.expr.kind == scores && v.last().label == axisKey {
		if !fits(v, a) || !a.constantRows() {
			return nil, errors.New("a mask that hides no token of a text from another, for only such are read")
		}
		return []value{v}, nil // the softmax does not notice
	}
	if other.weight != nil && v.last().label == axisChannel {
		if w, ok := other.weight.vector(); ok && len(w.dims) == 1 && w.dims[0] == v.last().size && w.dims[0] > 1 {
			return r.addVector(v, w)
		}
	}
	return plainAdd(r, n, in)
}

// addVector adds a bias.
func (r *run) addVector(v value, w *weight) ([]value, error) {
	if v.points != nil {
		return nil, errors.New("a bias right after a matrix product or a LayerNormalization")
	}
	switch {
	case v.expr.kind == linear && v.expr.bias == nil:
		e := *v.expr
		e.bias = w
		return []value{v.become(&e)}, nil
	case v.expr.kind == scaled:
		e, err := r.finishNorm(v.expr.of, v.expr.epsilon, v.expr.weight, w)
		return []value{v.become(e)}, err
	}
	return nil, fmt.Errorf("a bias on a matrix product or a LayerNormalization, not on %s", v.expr.kind)
}

func (r *run) addExprs(n *node, a, b value) ([]value, error) {
	if a.points != nil || b.points != nil {
		return nil, errors.New("hidden states as they are")
	}
	if a.expr.kind == embeddings && b.expr.kind == embeddings {
		e := &expr{kind: embeddings, node: n}
		for i := range e.tables {
			if e.tables[i] = a.expr.tables[i]; e.tables[i] == nil {
				e.tables[i] = b.expr.tables[i]
			} else if b.expr.tables[i] != nil {
				return nil, errors.New("words, positions and token types, each once")
			}
		}
		if a.last() != b.last() {
			return nil, errors.New("embeddings of one width")
		}
		v := a
		if product(b.dims()) > product(a.dims()) || len(b.axes) > len(a.axes) {
			v = b
		}
		if dims, err := broadcast(a.dims(), b.dims()); err != nil || !slices.Equal(dims, v.dims()) {
			return nil, errors.New("embeddings of one text")
		}
		return []value{v.become(e)}, nil
	}
	if !sameAxes(a.axes, b.axes) {
		return nil, errors.New("hidden states of one shape")
	}
	v := a
	if len(b.axes) > len(a.axes) {
		v = b
	}
	return []value{v.become(&expr{kind: residual, of: a.expr, other: b.expr, node: n})}, nil
}

func subExpr(r *run, n *node, in []value) ([]value, error) {
	a, b := in[0], in[1]
	if a.expr != nil && b.expr != nil && b.expr.kind == mean && b.expr.of == a.expr && a.points == nil && b.points == nil {
		return []value{a.become(&expr{kind: centred, of: a.expr, node: n})}, nil
	}
	return plainSub(r, n, in)
}

func mulExpr(r *run, n *node, in []value) ([]value, error) {
	v, other, _ := split(in)
	if other.expr != nil {
		for _, p := range [][2]value{{v, other}, {other, v}} {
			if out, ok, err := r.mulExprs(n, p[0], p[1]); ok || err != nil {
				return []value{out}, err
			}
		}
		return plainMul(r, n, in)
	}
	switch v.expr.kind {
	case normed:
		if w := other.weight; w != nil && v.points == nil {
			if w, ok := w.vector(); ok && w.dims[0] == v.last().size && w.dims[0] > 1 {
				e := &expr{kind: scaled, of: v.expr.of, epsilon: v.expr.epsilon, weight: w, node: n}
				return []value{v.become(e)}, nil
			}
		}
		return nil, errors.New("a normalised row times the gain of each channel")
	case quantaScale, quantaProduct:
		return r.mulScale(n, v, other)
	case embeddings:
		if c, a, ok := r.uniform(other); ok && fits(v, a) && v.points == nil {
			e := *v.expr
			for i, w := range e.tables {
				if w != nil {
					s, err := w.scaled(&array{data: []float64{c}})
					if err != nil {
						return nil, err
					}
					e.tables[i] = s
				}
			}
			return []value{v.become(&e)}, nil
		}
	}
	return plainMul(r, n, in)
}

// mulExprs is a product of two expressions that belong together.
func (r *run) mulExprs(n *node, a, b value) (value, bool, error) {
	switch {
	case a.expr.kind == centred && b.expr.kind == variance && b.expr.of == a.expr.of && a.points == nil:
		eps, inverse, ok := b.points.epsilon()
		if !ok || !inverse {
			return value{}, false, errors.New("one over the standard deviation")
		}
		return a.become(&expr{kind: normed, of: a.expr.of, epsilon: eps, node: n}), true, nil
	case a.expr.kind == quantaProduct && b.expr.kind == quantaScale:
		out, err := r.scaleProduct(n, a, b)
		return out, true, err
	}
	return value{}, false, nil
}

func divExpr(r *run, n *node, in []value) ([]value, error) {
	a, b := in[0], in[1]
	if a.expr == nil || b.expr == nil || a.expr == b.expr {
		out, err := plainDiv(r, n, in)
		if err == nil && out[0].expr.kind == total {
			return []value{r.meanOf(n, out[0])}, nil
		}
		return out, err
	}
	switch {
	case a.expr.kind == centred && b.expr.kind == variance && b.expr.of == a.expr.of && a.points == nil:
		eps, inverse, ok := b.points.epsilon()
		if !ok || inverse {
			return nil, errors.New("a division by the standard deviation")
		}
		return []value{a.become(&expr{kind: normed, of: a.expr.of, epsilon: eps, node: n})}, nil
	case b.expr.kind == squares && b.expr.of == a.expr && a.points == nil:
		// A bound from below, against a division by 0, does not show at the samples.
		if !b.points.near(func(x float64) float64 {
			if x < 0.2 {
				return math.NaN()
			}
			return math.Sqrt(x)
		}, 1e-6) {
			return nil, errors.New("a division by the length of the vector")
		}
		return unitExpr(r, n, in[:1])
	}
	return nil, fmt.Errorf("a standard deviation or a length to divide %s by, not %s", a.expr.kind, b.expr.kind)
}

func powExpr(r *run, n *node, in []value) ([]value, error) {
	if in[0].expr == nil {
		return nil, errors.New("a power with a fixed exponent")
	}
	return elementwise(math.Pow)(r, n, in)
}

func clipExpr(r *run, n *node, in []value) ([]value, error) {
	rest, err := r.arrays(in[1:])
	if err != nil {
		return nil, err
	}
	low, high, err := bounds(n, append([]*array{nil}, rest...))
	if err != nil {
		return nil, err
	}
	v := in[0]
	v.points = v.points.then(func(x float64) float64 { return max(low, min(x, high)) })
	return []value{v}, nil
}

func whereExpr(r *run, n *node, in []value) ([]value, error) {
	c, a, ok := r.uniform(in[0])
	if !ok {
		return nil, errors.New("a mask that hides no token of a text, for only such are read")
	}
	v := in[2]
	if c != 0 {
		v = in[1]
	}
	if v.expr == nil || !fits(v, a) {
		return nil, errors.New("hidden states where the mask lets them through")
	}
	return []value{v}, nil
}

// isNaNExpr belongs to the attention of newer exporters, which make 0 of a softmax over nothing. No text
// has that.
func isNaNExpr(r *run, n *node, in []value) ([]value, error) {
	return []value{{array: &array{dims: []int{1}, data: []float64{0}, whole: true}}}, nil
}

func geluExpr(r *run, n *node, in []value) ([]value, error) {
	v := in[0]
	if v.expr == nil {
		return nil, errors.New("hidden states")
	}
	if len(in) > 1 && !in[1].missing() {
		out, err := addExpr(r, n, in[:2])
		if err != nil {
			return nil, err
		}
		v = out[0]
	}
	f := gelu
	if n.op == "com.microsoft.FastGelu" || n.attributes["approximate"].text == "tanh" {
		f = geluTanh
	}
	v.points = v.points.then(f)
	return []value{v}, nil
}
