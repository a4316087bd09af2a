package onnx

import (
	"fmt"
	"math"
	"slices"

	"github.com/maida-ai/gomai/models/modelfile"
)

// value is what is known of a tensor while the graph runs on a text. One of the first four is set: it is
// known element by element, or a weight, or an expression, or not understood.
type value struct {
	array  *array
	weight *weight
	expr   *expr
	bad    *modelfile.Error

	axes   []axis // of an expression
	points curve  // a function that was applied to each element of the expression
}

func (v value) missing() bool {
	return v.array == nil && v.weight == nil && v.expr == nil && v.bad == nil
}

// dims is the shape of v.
func (v value) dims() []int {
	switch {
	case v.array != nil:
		return v.array.dims
	case v.weight != nil:
		return v.weight.dims
	}
	d := make([]int, len(v.axes))
	for i, a := range v.axes {
		d[i] = a.size
	}
	return d
}

// label says what an axis of an expression runs over.
type label byte

const (
	axisOne     label = '1' // nothing: its size is 1, as that of the batch
	axisToken   label = 'T'
	axisKey     label = 'K' // the tokens that a token looks at
	axisHead    label = 'H'
	axisDepth   label = 'D' // the channels of a head
	axisChannel label = 'C' // those of all heads
	axisUnknown label = '?'
)

type axis struct {
	label label
	size  int
}

// last is the label of the last axis of v.
func (v value) last() axis {
	if len(v.axes) == 0 {
		return axis{axisUnknown, 0}
	}
	return v.axes[len(v.axes)-1]
}

// sameAxes reports whether a and b run over the same, up to axes of size 1 in front.
func sameAxes(a, b []axis) bool {
	front := func(a []axis) []axis {
		for len(a) > 0 && a[0].label == axisOne {
			a = a[1:]
		}
		return a
	}
	return slices.Equal(front(a), front(b))
}

// reshapedAxes gives the axes of an expression another shape. The channels may be split into heads and
// joined again; tokens stay apart from channels.
func reshapedAxes(axes []axis, dims []int) ([]axis, error) {
	bad := fmt.Errorf("a shape that keeps tokens and channels apart, not %v", dims)
	var rest []axis
	for _, a := range axes {
		if a.size != 1 {
			rest = append(rest, a)
		}
	}
	var out []axis
	for i := 0; i < len(dims); i++ {
		d := dims[i]
		switch {
		case d == 1:
			out = append(out, axis{axisOne, 1})
			continue
		case len(rest) == 0:
			return nil, bad
		case d == rest[0].size:
			out = append(out, rest[0])
		case rest[0].label == axisHead && len(rest) > 1 && rest[1].label == axisDepth && d == rest[0].size*rest[1].size:
			out = append(out, axis{axisChannel, d})
			rest = rest[1:]
		case rest[0].label == axisChannel && i+1 < len(dims) && d*dims[i+1] == rest[0].size:
			out = append(out, axis{axisHead, d}, axis{axisDepth, dims[i+1]})
			i++
		default:
			return nil, bad
		}
		rest = rest[1:]
	}
	if len(rest) > 0 {
		return nil, bad
	}
	return out, nil
}

// curve is a function of one number, by its values at samples; nil is the identity. Activations are
// recognised by their curves, however they are put together.
type curve []float64

var samples = curve{0, 1, 4, 0.25, -0.25, 0.1, -0.1, 0.5, -0.5, -1, 1.5, -1.5, 2, -2, 2.5, -2.5, 3, -3, -4, 6, -6}

// then is c followed by f.
func (c curve) then(f func(float64) float64) curve {
	if c == nil {
		c = samples
	}
	out := make(curve, len(c))
	for i, v := range c {
		out[i] = f(v)
	}
	if slices.Equal(out, samples) {
		return nil
	}
	return out
}

// with is f of what c and d return.
func (c curve) with(d curve, f func(a, b float64) float64) curve {
	if d == nil {
		d = samples
	}
	i := -1
	return c.then(func(v float64) float64 {
		i++
		return f(v, d[i])
	})
}

// near reports whether c is f, up to the tolerance, at the samples that f has a value for.
func (c curve) near(f func(float64) float64, tolerance float64) bool {
	if c == nil {
		c = samples
	}
	for i, x := range samples {
		if y := f(x); !math.IsNaN(y) && !(math.Abs(c[i]-y) <= tolerance*max(1, math.Abs(y))) {
			return false
		}
	}
	return true
}

// factor is the number that c multiplies with, if that is all that it does.
func (c curve) factor() (float64, bool) {
	if c == nil {
		return 1, true
	}
	k := c[1] // at 1
	return k, k != 0 && !math.IsNaN(k) && c.near(func(x float64) float64 { return k * x }, 1e-6*max(1, 1/math.Abs(k)))
}

// epsilon is that of a standard deviation, if c makes one, or 1 over one, of a variance.
func (c curve) epsilon() (eps float64, inverse, ok bool) {
	if c == nil {
		return 0, false, false
	}
	if inverse = c[2] < c[1]; inverse { // falls from 1 to 4
		c = c.then(func(v float64) float64 { return 1 / v })
	}
	eps = c[0] * c[0]
	return eps, inverse, eps < 1 && c.near(func(x float64) float64 { return math.Sqrt(x + eps) }, 1e-6)
}

// gelu and geluTanh are the two forms of the Gaussian error linear unit.
func gelu(x float64) float64 { return 0.5 * x * (1 + math.Erf(x/math.Sqrt2)) }

func geluTanh(x float64) float64 {
	return 0.5 * x * (1 + math.Tanh(math.Sqrt(2/math.Pi)*(x+0.044715*x*x*x)))
}

func relu(x float64) float64 { return max(x, 0) }

// activation is the name that configurations have for c. The two forms of GELU are 4e-4 apart; constants
// in half precision move one by 5e-5.
func (c curve) activation() (string, bool) {
	const tolerance = 1e-4
	switch {
	case c.near(gelu, tolerance):
		return "gelu", true
	case c.near(geluTanh, tolerance):
		return "gelu_new", true
	case c.near(relu, tolerance):
		return "relu", true
	}
	return "", false
}

// kind says what an expression is.
type kind string

const (
	embeddings kind = "a sum of embeddings"
	mean       kind = "a mean over channels"
	centred    kind = "a difference from the mean"
	variance   kind = "a variance over channels"
	normed     kind = "a normalised row"
	scaled     kind = "a normalised and scaled row"
	linear     kind = "a matrix product"
	residual   kind = "a sum of two hidden states"
	scores     kind = "attention scores"
	attention  kind = "attention weights"
	outcome    kind = "the outcome of attention"
	embedded   kind = "hidden states before the first layer"
	attended   kind = "hidden states between attention and feed-forward"
	hidden     kind = "hidden states after a layer"

	quanta        kind = "quantised activations"
	quantaScale   kind = "the scale of quantised activations"
	quantaZero    kind = "the zero point of quantised activations"
	quantaProduct kind = "an integer matrix product"

	total   kind = "a sum over tokens"
	pooled  kind = "pooled hidden states"
	squares kind = "the sum of the squares of a vector"
	unit    kind = "pooled and normalised hidden states"
)

// expr is a tensor that is computed from the text. Which fields are set depends on the kind.
type expr struct {
	kind   kind
	of     *expr // what it is made of
	other  *expr // the second operand; of outcome, the values
	points curve // applied to the elements of of

	tables       [3]*weight // of embeddings: words, positions, token types
	weight, bias *weight    // weight is (in, out); of what a LayerNormalization does, gain and bias
	epsilon      float64
	heads        int
	scale        float64 // of scores
	pooling      string
	scaled       bool // of an integer product: by the scale of the activations
	node         *node
}

func (e *expr) isState() bool { return e.kind == embedded || e.kind == hidden }
