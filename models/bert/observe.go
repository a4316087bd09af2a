package bert

import (
	"math"

	"github.com/maida-ai/gomai/quant"
)

// observer notes the greatest magnitudes that a layer meets.
type observer struct{ quant.Ranges }

func newObserver(c *Config) *observer {
	o := new(observer)
	for _, v := range []*[]float32{&o.Input, &o.Query, &o.Key, &o.Value, &o.Attended} {
		*v = make([]float32, c.HiddenSize)
	}
	o.Score = make([]float32, c.Heads)
	return o
}

func (o *observer) projected(w *workspace) {
	columnMax(o.Query, w.query)
	columnMax(o.Key, w.key)
	columnMax(o.Value, w.value)
}

func (o *observer) scored(head int, scores []float32) {
	o.Score[head] = max(o.Score[head], magnitude(scores))
}

func (o *observer) attended(w *workspace) { columnMax(o.Attended, w.hidden) }

func (o *observer) inner(w *workspace) {
	o.Inner = max(o.Inner, magnitude(w.up))
}

// columnMax raises greatest to the magnitudes of rows.
func columnMax(greatest, rows []float32) {
	for i, v := range rows {
		j := i % len(greatest)
		greatest[j] = max(greatest[j], float32(math.Abs(float64(v))))
	}
}

func magnitude(v []float32) (greatest float32) {
	for _, x := range v {
		greatest = max(greatest, float32(math.Abs(float64(x))))
	}
	return greatest
}

// activationFunctions are the activations in float64, of which int8 layers make tables.
var activationFunctions = map[string]func(x float64) float64{
	"gelu":              func(x float64) float64 { return x / 2 * math.Erfc(-x/math.Sqrt2) },
	"gelu_new":          tanhGELU,
	"gelu_pytorch_tanh": tanhGELU,
	"relu":              func(x float64) float64 { return max(x, 0) },
}

func tanhGELU(x float64) float64 {
	return x / 2 * (1 + math.Tanh(math.Sqrt(2/math.Pi)*(x+0.044715*x*x*x)))
}
