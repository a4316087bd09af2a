package bert

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
	"unsafe"

	"github.com/maida-ai/gomai/models/modelfile"
	"github.com/maida-ai/gomai/quant"
	"github.com/maida-ai/gomai/simd"
)

// Load makes an encoder of c and the weights of s. Embeddings that s hands out where they lie in its file
// are used there, so the file must stay open as long as the encoder is used. The weights of the layers are
// copied, in the order in which they are multiplied. Every weight is read once: to find NaN and infinity,
// which would silently spoil vectors, and for Sum.
// What s refuses and a weight that is not finite are a *modelfile.Error that names the tensor.
func Load(c Config, s Source) (*Encoder, error) { return loadPacked(c, s, packF32) }

func loadPacked(c Config, s Source, pack func(*quant.Matrix) linear) (*Encoder, error) {
	l := loader{source: s}
	e := l.embeddings(c)
	for i := 0; i < c.Layers && l.err == nil; i++ {
		f := l.layer(&c, i)
		if l.err == nil {
			e.layers = append(e.layers, packLayer(f, c.Epsilon, pack))
		}
	}
	if l.err != nil {
		return nil, l.err
	}
	e.sum = l.sum(&c)
	return e, nil
}

// sum identifies what an encoder of c and the tensors so far computes.
func (l *loader) sum(c *Config) [32]byte {
	recipe := fmt.Sprintf("bert %d %d %d %s %g", c.Layers, c.HiddenSize, c.Heads, c.Activation, c.Epsilon)
	return sha256.Sum256(append([]byte(recipe), l.sums...))
}

// loader takes tensors out of a source until the first error.
type loader struct {
	source Source
	rooms  [][]float32 // for the matrices of a layer, which are packed before the next is read
	sums   []byte      // CRC-32C of each tensor so far
	err    error
}

// embeddings makes an encoder that has no layers yet.
func (l *loader) embeddings(c Config) *Encoder {
	h := c.HiddenSize
	types := l.tensor("embeddings.token_type_embeddings.weight", c.TokenTypes, h)
	e := &Encoder{
		config:    c,
		words:     l.tensor("embeddings.word_embeddings.weight", c.VocabSize, h),
		positions: l.tensor("embeddings.position_embeddings.weight", c.Positions, h),
		norm:      norm{l.tensor("embeddings.LayerNorm.weight", h), l.tensor("embeddings.LayerNorm.bias", h), c.Epsilon},
		activate:  activations[c.Activation],
		free:      newWorkspaces(),
	}
	if l.err == nil {
		e.tokenType = types[:h]
	}
	return e
}

// layer reads the weights of layer i. They are good until the next layer is read.
func (l *loader) layer(c *Config, i int) *quant.Floats {
	h, name := c.HiddenSize, fmt.Sprintf("encoder.layer.%d.", i)
	part := 0
	matrix := func(of string, out, in int) quant.Matrix {
		if part == len(l.rooms) {
			l.rooms = append(l.rooms, nil)
		}
		part++
		return quant.Matrix{Weight: l.tensorIn(&l.rooms[part-1], name+of+".weight", out, in), Bias: l.tensor(name+of+".bias", out)}
	}
	return &quant.Floats{
		Query:              matrix("attention.self.query", h, h),
		Key:                matrix("attention.self.key", h, h),
		Value:              matrix("attention.self.value", h, h),
		Out:                matrix("attention.output.dense", h, h),
		AttentionGain:      l.tensor(name+"attention.output.LayerNorm.weight", h),
		AttentionBias:      l.tensor(name+"attention.output.LayerNorm.bias", h),
		Up:                 matrix("intermediate.dense", c.IntermediateSize, h),
		Down:               matrix("output.dense", h, c.IntermediateSize),
		OutputGain:         l.tensor(name+"output.LayerNorm.weight", h),
		OutputBias:         l.tensor(name+"output.LayerNorm.bias", h),
		AttentionEpsilon:   float32(c.Epsilon),
		Epsilon:            float32(c.Epsilon),
		ActivationFunction: activationFunctions[c.Activation],
	}
}

// packLayer copies the weights of a layer in the order in which they are multiplied.
func packLayer(f *quant.Floats, epsilon float64, pack func(*quant.Matrix) linear) layer {
	return layer{
		query: pack(&f.Query), key: pack(&f.Key), value: pack(&f.Value), out: pack(&f.Out),
		attentionNorm: norm{f.AttentionGain, f.AttentionBias, epsilon},
		up:            pack(&f.Up),
		down:          pack(&f.Down),
		outputNorm:    norm{f.OutputGain, f.OutputBias, epsilon},
	}
}

func packF32(m *quant.Matrix) linear {
	n := len(m.Bias)
	k := len(m.Weight) / n
	w := aligned(simd.PackedF32Size(n, k))
	simd.PackF32(w, m.Weight, n, k, k)
	return linear{weight: packed{w: w, n: n, k: k}, bias: m.Bias}
}

func (l *loader) tensor(name string, shape ...int) []float32 { return l.tensorIn(nil, name, shape...) }

// tensorIn is tensor for one that is used no longer than room.
func (l *loader) tensorIn(room *[]float32, name string, shape ...int) []float32 {
	if l.err != nil {
		return nil
	}
	v, err := l.source.Floats(room, name, shape...)
	if err != nil {
		l.err = err
		return nil
	}
	sum, bad := scan(v)
	if bad >= 0 {
		l.err = modelfile.Errorf(l.source.Name(), name, "element %d of the tensor is %v", bad, v[bad])
		return nil
	}
	l.sums = binary.LittleEndian.AppendUint32(l.sums, sum)
	return v
}

// scan returns the CRC-32C of v's bytes and the index of the first NaN or infinity, or -1.
func scan(v []float32) (sum uint32, bad int) {
	const block = 1 << 14 // both passes over a block find it in the cache
	table := crc32.MakeTable(crc32.Castagnoli)
	for i := 0; i < len(v); i += block {
		part := v[i:min(i+block, len(v))]
		for j, f := range part {
			if math.Float32bits(f)&0x7f800000 == 0x7f800000 {
				return 0, i + j
			}
		}
		sum = crc32.Update(sum, table, unsafe.Slice((*byte)(unsafe.Pointer(&part[0])), 4*len(part)))
	}
	return sum, -1
}
