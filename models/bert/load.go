package bert

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
	"unsafe"

	"github.com/maida-ai/gomai/models/modelfile"
	"github.com/maida-ai/gomai/simd"
)

// Load makes an encoder of c and the weights of s. Embeddings that s hands out where they lie in its file
// are used there, so the file must stay open as long as the encoder is used. The weights of the layers are
// copied, in the order in which they are multiplied. Every weight is read once: to find NaN and infinity,
// which would silently spoil vectors, and for Sum.
// What s refuses and a weight that is not finite are a *modelfile.Error that names the tensor.
func Load(c Config, s Source) (*Encoder, error) {
	l := loader{source: s, widest: max(c.HiddenSize, c.IntermediateSize)}
	h := c.HiddenSize
	types := l.tensor("embeddings.token_type_embeddings.weight", c.TokenTypes, h)
	e := &Encoder{
		config:    c,
		words:     l.tensor("embeddings.word_embeddings.weight", c.VocabSize, h),
		positions: l.tensor("embeddings.position_embeddings.weight", c.Positions, h),
		norm:      l.norm("embeddings.LayerNorm", c),
		activate:  activations[c.Activation],
		free:      newWorkspaces(),
	}
	if l.err == nil {
		e.tokenType = types[:h]
	}
	for i := range c.Layers {
		name := fmt.Sprintf("encoder.layer.%d.", i)
		e.layers = append(e.layers, layer{
			query:         l.linear(name+"attention.self.query", h, h),
			key:           l.linear(name+"attention.self.key", h, h),
			value:         l.linear(name+"attention.self.value", h, h),
			out:           l.linear(name+"attention.output.dense", h, h),
			attentionNorm: l.norm(name+"attention.output.LayerNorm", c),
			up:            l.linear(name+"intermediate.dense", c.IntermediateSize, h),
			down:          l.linear(name+"output.dense", h, c.IntermediateSize),
			outputNorm:    l.norm(name+"output.LayerNorm", c),
		})
		if l.err != nil {
			return nil, l.err
		}
	}
	if l.err != nil {
		return nil, l.err
	}
	recipe := fmt.Sprintf("bert %d %d %d %s %g", c.Layers, h, c.Heads, c.Activation, c.Epsilon)
	e.sum = sha256.Sum256(append([]byte(recipe), l.sums...))
	return e, nil
}

// loader takes tensors out of a source until the first error.
type loader struct {
	source Source
	room   []float32 // for matrices, which are packed
	widest int       // the most rows of a matrix with as many columns as the first
	sums   []byte    // CRC-32C of each tensor so far
	err    error
}

func (l *loader) linear(name string, out, in int) linear {
	if l.room == nil { // as large as a layer's largest matrix, so this is the only time
		l.room = make([]float32, max(out, l.widest)*in)
	}
	weight := l.tensorIn(l.room, name+".weight", out, in)
	if l.err != nil {
		return linear{}
	}
	w := aligned(simd.PackedF32Size(out, in))
	simd.PackF32(w, weight, out, in, in)
	return linear{weight: packed{w, out, in}, bias: l.tensor(name+".bias", out)}
}

func (l *loader) norm(name string, c Config) norm {
	return norm{l.tensor(name+".weight", c.HiddenSize), l.tensor(name+".bias", c.HiddenSize), c.Epsilon}
}

func (l *loader) tensor(name string, shape ...int) []float32 { return l.tensorIn(nil, name, shape...) }

// tensorIn is tensor for one that is used no longer than room.
func (l *loader) tensorIn(room []float32, name string, shape ...int) []float32 {
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
