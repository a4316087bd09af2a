package quant

import (
	"fmt"
	"math"

	"github.com/maida-ai/gomai/simd"
)

// Matrix is a linear map as models store it: y = Weight*x + Bias.
type Matrix struct {
	Weight []float32 // (out, in)
	Bias   []float32 // (out,)
}

// Floats are the weights of a layer before they are packed.
type Floats struct {
	Query, Key, Value, Out    Matrix // (hidden, hidden)
	Up                        Matrix // (inner, hidden)
	Down                      Matrix // (hidden, inner)
	AttentionGain             []float32
	AttentionBias             []float32
	OutputGain, OutputBias    []float32
	AttentionEpsilon, Epsilon float32
	ActivationFunction        func(x float64) float64
}

// Ranges are the greatest magnitudes that the computation of a layer in float32 met on typical texts.
type Ranges struct {
	Input      []float32 // (hidden,), of the states that go in
	Query, Key []float32 // (hidden,)
	Value      []float32 // (hidden,)
	Score      []float32 // (heads,)
	Attended   []float32 // (hidden,), of the states after attention
	Inner      float32   // before the activation
}

// Room that is left above what typical texts need.
const (
	queryRoom = 1.02
	valueRoom = 1.1
	scoreRoom = 1.15
	innerRoom = 1.1
)

// Pack packs a layer. Beside it, it returns what the states that go in are to be multiplied by: the Smooth
// of the norm before.
//
// Errors: a range that int8 products cannot hold.
func Pack(shape Shape, f *Floats, r *Ranges) (*Layer, []float32, error) {
	h, size := shape.Hidden, shape.HeadSize()
	qkv := Matrix{make([]float32, 0, 3*h*h), make([]float32, 0, 3*h)}
	for _, m := range []*Matrix{&f.Query, &f.Key, &f.Value} {
		qkv.Weight = append(qkv.Weight, m.Weight...)
		qkv.Bias = append(qkv.Bias, m.Bias...)
	}
	l := &Layer{
		AttentionNorm: Norm{Gain: f.AttentionGain, Bias: f.AttentionBias, Epsilon: f.AttentionEpsilon},
		OutputNorm:    Norm{Gain: f.OutputGain, Bias: f.OutputBias, Epsilon: f.Epsilon},
	}
	smooth := smoothing(r.Input, qkv.Weight)
	l.QKV = packLinear(&qkv, smooth)

	// Queries, keys and values in quanta.
	query, key := headSteps(r.Query, size, queryRoom), headSteps(r.Key, size, queryRoom)
	value := headSteps(r.Value, size, 1)
	l.ValueScale = make([]float32, h)
	for j := range h {
		l.ValueScale[j] = float32(max(float64(r.Value[j])/127, value[j/size]/4, 1e-12) * valueRoom)
	}
	root := math.Sqrt(float64(size))
	for head := range shape.Heads {
		// A score must fit 16 bits, and its step in the table must be an integer.
		unit := max(query[head]*key[head]/root, float64(r.Score[head])*scoreRoom/math.MaxInt16)
		step := math.Ceil(65536 * unit * (expSteps - 1) / expRange)
		if step > math.MaxInt16 {
			return nil, nil, fmt.Errorf("head %d: scores up to %g are too coarse in 16 bits", head, r.Score[head])
		}
		// Below it half a step would not fit into a score.
		step = max(step, expSteps+1)
		unit = step * expRange / (65536 * (expSteps - 1))
		query[head] = unit * root / key[head]
		l.ScoreUnit = append(l.ScoreUnit, float32(unit))
		l.ScoreStep = append(l.ScoreStep, uint16(step))
	}
	for j := range 3 * h {
		var step, zero float64
		switch part, c := j/h, j%h; part {
		case 0:
			step, zero = query[c/size], 128
		case 1:
			step = key[c/size]
		default:
			step = float64(l.ValueScale[c])
		}
		l.QKV.rescale(j, 1/step, zero)
	}

	l.Out = packLinear(&f.Out, nil)
	l.AttentionNorm.Smooth = smoothing(r.Attended, f.Up.Weight)
	l.Up = packLinear(&f.Up, l.AttentionNorm.Smooth)
	activation, ok := NewActivation(f.ActivationFunction, float64(r.Inner)*innerRoom)
	if !ok {
		return nil, nil, fmt.Errorf("the inner activations, up to %g, do not fit 16 bits", r.Inner)
	}
	l.Activation = activation
	for j := range shape.Inner {
		l.Up.rescale(j, float64(activation.Units()), 0)
	}
	l.Down = packLinear(&f.Down, nil)
	for j := range h {
		l.Down.Bias[j] = float32(float64(l.Down.Bias[j]) + float64(activation.Low())*float64(l.Down.Offset[j])) // the product is exact
	}
	l.Down.Offset = nil
	return l, smooth, nil
}

// smoothing returns what inputs are multiplied by, and weights divided by, so that both have their great
// values at the same places as little as possible: the root of the ratio of their magnitudes, of which the
// mean is 1. It has no logarithm, which not all processors compute alike.
func smoothing(input, weight []float32) []float32 {
	k := len(input)
	magnitude := make([]float64, k)
	for i, w := range weight {
		magnitude[i%k] = max(magnitude[i%k], math.Abs(float64(w)))
	}
	mean := 0.0
	for i, m := range magnitude {
		magnitude[i] = math.Sqrt(max(m, 1e-6) / max(float64(input[i]), 1e-3))
		mean += magnitude[i] / float64(k)
	}
	smooth := make([]float32, k)
	for i, m := range magnitude {
		smooth[i] = float32(m / mean)
	}
	return smooth
}

// packLinear quantises and packs weights divided by smooth, if it is given, one scale a channel.
func packLinear(m *Matrix, smooth []float32) Linear {
	n := len(m.Bias)
	k := len(m.Weight) / n
	l := Linear{Weights: make([]int8, simd.PackedI8Size(n, k)), Scale: make([]float32, n), Offset: make([]float32, n), Bias: make([]float32, n)}
	quanta := make([]int8, n*k)
	row := make([]float64, k)
	for j := range n {
		greatest := 0.0
		for i := range row {
			row[i] = float64(m.Weight[j*k+i])
			if smooth != nil {
				row[i] /= float64(smooth[i])
			}
			greatest = max(greatest, math.Abs(row[i]))
		}
		scale := greatest / 127
		if scale == 0 {
			scale = 1
		}
		sum := 0
		for i, v := range row {
			q := math.RoundToEven(v / scale)
			quanta[j*k+i] = int8(q)
			sum += int(q)
		}
		l.Scale[j], l.Offset[j], l.Bias[j] = float32(scale), float32(scale*float64(sum)), m.Bias[j]
	}
	simd.PackI8(l.Weights, quanta, n, k)
	return l
}

// rescale makes channel j give factor*y + zero.
func (l *Linear) rescale(j int, factor, zero float64) {
	l.Scale[j] = float32(float64(l.Scale[j]) * factor)
	l.Offset[j] = float32(float64(l.Offset[j]) * factor)
	l.Bias[j] = float32(float64(float64(l.Bias[j])*factor) + zero) // the conversion keeps them from being fused
}

// headSteps returns for each head the quantum that lets its greatest magnitude fit int8.
func headSteps(magnitude []float32, size int, room float64) []float64 {
	steps := make([]float64, len(magnitude)/size)
	for j, v := range magnitude {
		steps[j/size] = max(steps[j/size], float64(v)*room/127, 1e-12)
	}
	return steps
}
