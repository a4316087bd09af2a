package bert

import (
	"math"

	"github.com/maida-ai/gomai/simd"
)

// activations are the functions between the two halves of a feed-forward block, in place, under the
// names that config.json gives them.
var activations = map[string]func(x []float32){
	"gelu":              gelu,
	"gelu_new":          geluTanh,
	"gelu_pytorch_tanh": geluTanh,
	"relu":              relu,
}

// gelu is the exact one: x times the normal distribution's cumulative function.
func gelu(x []float32) { simd.GeluF32(x, x) }

// geluTanh is the approximation of the first BERT code.
func geluTanh(x []float32) {
	const c = 0.7978845608028654 // sqrt(2/pi)
	for i, v := range x {
		f := float64(v)
		x[i] = float32(0.5 * f * (1 + math.Tanh(c*(f+0.044715*f*f*f))))
	}
}

func relu(x []float32) {
	for i, v := range x {
		x[i] = max(v, 0)
	}
}
