package bert

import (
	"context"
	"fmt"
	"math"

	"github.com/maida-ai/gomai/quant"
)

// observer notes the greatest magnitudes that the computation of texts meets, layer by layer.
type observer struct {
	layer  int
	ranges []quant.Ranges
}

// observe computes texts and returns what they met.
func (e *Encoder) observe(texts [][]int32) ([]quant.Ranges, error) {
	c := &e.config
	o := &observer{ranges: make([]quant.Ranges, c.Layers)}
	for i := range o.ranges {
		r := &o.ranges[i]
		for _, v := range []*[]float32{&r.Input, &r.Query, &r.Key, &r.Value, &r.Attended} {
			*v = make([]float32, c.HiddenSize)
		}
		r.Score = make([]float32, c.Heads)
	}
	for _, ids := range texts {
		w := e.free.get(c, len(ids))
		w.observer = o
		e.embed(ids, w.hidden)
		for i := range e.layers {
			o.layer = i
			columnMax(o.ranges[i].Input, w.hidden)
			if err := e.layer(context.Background(), &e.layers[i], w); err != nil {
				return nil, err
			}
		}
		w.observer = nil
		e.free.put(w)
	}
	return o.ranges, nil
}

func (o *observer) projected(w *workspace) {
	r := &o.ranges[o.layer]
	columnMax(r.Query, w.query)
	columnMax(r.Key, w.key)
	columnMax(r.Value, w.value)
}

func (o *observer) scored(head int, scores []float32) {
	r := o.ranges[o.layer].Score
	r[head] = max(r[head], magnitude(scores))
}

func (o *observer) attended(w *workspace) { columnMax(o.ranges[o.layer].Attended, w.hidden) }

func (o *observer) inner(w *workspace) {
	r := &o.ranges[o.layer]
	r.Inner = max(r.Inner, magnitude(w.up))
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

// floats reads the weights of a layer again, for packing.
func (e *Encoder) floats(f Source, i int) (*quant.Floats, error) {
	c := &e.config
	l := loader{source: f}
	h, name := c.HiddenSize, fmt.Sprintf("encoder.layer.%d.", i)
	matrix := func(part string, out, in int) quant.Matrix {
		return quant.Matrix{Weight: l.tensor(name+part+".weight", out, in), Bias: l.tensor(name+part+".bias", out)}
	}
	layer := &e.layers[i]
	floats := &quant.Floats{
		Query:              matrix("attention.self.query", h, h),
		Key:                matrix("attention.self.key", h, h),
		Value:              matrix("attention.self.value", h, h),
		Out:                matrix("attention.output.dense", h, h),
		Up:                 matrix("intermediate.dense", c.IntermediateSize, h),
		Down:               matrix("output.dense", h, c.IntermediateSize),
		AttentionGain:      layer.attentionNorm.weight,
		AttentionBias:      layer.attentionNorm.bias,
		AttentionEpsilon:   float32(layer.attentionNorm.epsilon),
		OutputGain:         layer.outputNorm.weight,
		OutputBias:         layer.outputNorm.bias,
		Epsilon:            float32(layer.outputNorm.epsilon),
		ActivationFunction: activationFunctions[c.Activation],
	}
	return floats, l.err
}
