package bert

import (
	"fmt"
	"math"
	"unsafe"

	"github.com/maida-ai/gomai/models/modelfile"
	"github.com/maida-ai/gomai/models/safetensors"
	"github.com/maida-ai/gomai/quant"
	"github.com/maida-ai/gomai/simd"
)

// Tensors returns what e consists of beside its Config, as views of its memory. Each is as long as to keep
// the next one on a cache line of its own in a file that begins with them.
func (e *Int8) Tensors() []safetensors.Tensor {
	a := arrays{}
	a.encoder(e)
	return a.tensors
}

// LoadInt8 makes an Int8 of the tensors of another one, with its Sum and Quality. They are used where they
// lie: f must stay open as long as the encoder is used. That their bytes are those that were written is the
// caller's business; they are only checked so far as nothing they hold can make Forward fail but by numbers
// that are not finite.
//
// Errors: *modelfile.Error with the tensor that is missing, of a wrong size or impossible.
func LoadInt8(c Config, f *safetensors.File, sum [32]byte, q Quality) (*Int8, error) {
	e := newInt8(c)
	e.sum, e.quality = sum, q
	if !e.shape.Fits() || len(q.Floats) != c.Layers || activations[c.Activation] == nil {
		return nil, modelfile.Errorf(f.Name(), "", "impossible: %d of %d layers with %d states, %d heads, %d inner states and %q", len(q.Floats), c.Layers, c.HiddenSize, c.Heads, c.IntermediateSize, c.Activation)
	}
	for i := range c.Layers {
		if q.Floats[i] {
			e.layers = append(e.layers, nil)
			e.floatLayers(activations[c.Activation], newWorkspaces())
		} else {
			e.layers = append(e.layers, new(quant.Layer))
		}
	}
	a := arrays{file: f}
	a.encoder(e)
	return e, a.err
}

// SourceSum identifies the weights in s: it is the Sum of the encoder that Load would make of them.
func SourceSum(c Config, s Source) ([32]byte, error) {
	l := loader{source: s}
	l.embeddings(c)
	for i := 0; i < c.Layers && l.err == nil; i++ {
		l.layer(&c, i)
	}
	return l.sum(&c), l.err
}

// arrays goes over the arrays of an encoder, to write them or to read them: what a file holds is said once.
type arrays struct {
	file    *safetensors.File // nil to write
	tensors []safetensors.Tensor
	err     error
}

func layerName(i int, part string) string { return fmt.Sprintf("layer.%02d.%s", i, part) }

func (a *arrays) encoder(e *Int8) {
	h := e.shape.Hidden
	array(a, "embedding.words", safetensors.F16, &e.words, e.config.VocabSize*h)
	array(a, "embedding.positions", safetensors.F32, &e.positions, e.config.Positions*h)
	a.norm("embedding.norm", &e.norm, h, !e.quality.Floats[0])
	for i, l := range e.layers {
		name := func(part string) string { return layerName(i, part) }
		more := i+1 < len(e.layers) && !e.quality.Floats[i+1]
		if l != nil {
			a.layer(name, l, e.shape, more)
		} else {
			a.floats(name, &e.floats.encoder.layers[i], &e.config)
			if more {
				array(a, name("smooth"), safetensors.F32, &e.floats.smooth[i], h)
			}
		}
	}
}

// floats goes over a layer in float32.
func (a *arrays) floats(name func(part string) string, l *layer, c *Config) {
	h := c.HiddenSize
	linear := func(part string, l *linear, n, k int) {
		l.weight.n, l.weight.k = n, k
		array(a, name(part+".weights"), safetensors.F32, &l.weight.w, simd.PackedF32Size(n, k))
		array(a, name(part+".bias"), safetensors.F32, &l.bias, n)
	}
	norm := func(part string, n *norm) {
		n.epsilon = c.Epsilon
		array(a, name(part+".gain"), safetensors.F32, &n.weight, h)
		array(a, name(part+".bias"), safetensors.F32, &n.bias, h)
	}
	linear("query", &l.query, h, h)
	linear("key", &l.key, h, h)
	linear("value", &l.value, h, h)
	linear("out", &l.out, h, h)
	norm("attention_norm", &l.attentionNorm)
	linear("up", &l.up, c.IntermediateSize, h)
	linear("down", &l.down, h, c.IntermediateSize)
	norm("output_norm", &l.outputNorm)
}

func (a *arrays) layer(name func(part string) string, l *quant.Layer, s quant.Shape, more bool) {
	h := s.Hidden
	a.linear(name("qkv"), &l.QKV, 3*h, h, true)
	array(a, name("score_unit"), safetensors.F32, &l.ScoreUnit, s.Heads)
	array(a, name("score_step"), safetensors.U16, &l.ScoreStep, s.Heads)
	array(a, name("value_scale"), safetensors.F32, &l.ValueScale, h)
	a.linear(name("out"), &l.Out, h, h, true)
	a.norm(name("attention_norm"), &l.AttentionNorm, h, true)
	a.linear(name("up"), &l.Up, s.Inner, h, true)
	a.linear(name("down"), &l.Down, h, s.Inner, false)
	a.norm(name("output_norm"), &l.OutputNorm, h, more)

	table, small := l.Activation.Table[:], []uint8{uint8(l.Sink), l.Activation.Shift, l.Activation.Zero}
	array(a, name("activation"), safetensors.U8, &table, len(table))
	array(a, name("settings"), safetensors.U8, &small, len(small))
	if a.err != nil || a.file == nil {
		return
	}
	copy(l.Activation.Table[:], table)
	l.Sink, l.Activation.Shift, l.Activation.Zero = quant.Sink(small[0]), small[1], small[2]
	if l.Sink > quant.Last || l.Activation.Shift > 5 {
		a.err = modelfile.Errorf(a.file.Name(), name("settings"), "impossible settings %v", small)
	}
	for _, step := range l.ScoreStep {
		if step <= 128 || step > math.MaxInt16 {
			a.err = modelfile.Errorf(a.file.Name(), name("score_step"), "impossible step %d", step)
		}
	}
}

func (a *arrays) linear(name string, l *quant.Linear, n, k int, offset bool) {
	array(a, name+".weights", safetensors.I8, &l.Weights, simd.PackedI8Size(n, k))
	array(a, name+".scale", safetensors.F32, &l.Scale, n)
	if offset {
		array(a, name+".offset", safetensors.F32, &l.Offset, n)
	}
	array(a, name+".bias", safetensors.F32, &l.Bias, n)
}

func (a *arrays) norm(name string, n *quant.Norm, h int, smooth bool) {
	array(a, name+".gain", safetensors.F32, &n.Gain, h)
	array(a, name+".bias", safetensors.F32, &n.Bias, h)
	if smooth {
		array(a, name+".smooth", safetensors.F32, &n.Smooth, h)
	}
	epsilon := []float32{n.Epsilon}
	array(a, name+".epsilon", safetensors.F32, &epsilon, 1)
	if a.err == nil {
		n.Epsilon = epsilon[0]
	}
}

// arrayLine is the number of bytes of which a tensor has a multiple: filled up with zeros, so that in a
// file no array shares a line of cache with the next.
const arrayLine = 64

// array writes the n elements of v, or reads them.
func array[T uint8 | int8 | uint16 | simd.Float16 | float32](a *arrays, name string, dtype safetensors.DType, v *[]T, n int) {
	if a.err != nil {
		return
	}
	per := arrayLine / dtype.Size()
	padded := (n + per - 1) / per * per
	if a.file == nil {
		data := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(*v))), len(*v)*dtype.Size())
		if len(data) < padded*dtype.Size() {
			data = append(make([]byte, 0, padded*dtype.Size()), data...)[:padded*dtype.Size()]
		}
		a.tensors = append(a.tensors, safetensors.Tensor{Name: name, DType: dtype, Shape: []int{padded}, Data: data})
		return
	}
	t, ok := a.file.Tensor(name)
	switch {
	case !ok:
		a.err = modelfile.Errorf(a.file.Name(), name, "tensor missing")
	case t.DType != dtype || len(t.Shape) != 1 || t.Shape[0] != padded:
		a.err = modelfile.Errorf(a.file.Name(), name, "%s %v, expected %s [%d]", t.DType, t.Shape, dtype, padded)
	case uintptr(unsafe.Pointer(unsafe.SliceData(t.Data)))%uintptr(dtype.Size()) != 0:
		a.err = modelfile.Errorf(a.file.Name(), name, "the tensor is not aligned to its elements")
	default:
		*v = unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(t.Data))), padded)[:n:n]
	}
}
