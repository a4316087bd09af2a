// Package quant runs the layers of a BERT encoder on int8 products: it packs their weights, and it
// computes the stages that a text goes through, each of which ends where the next one needs other rows.
//
// A row of activations is stored as bytes q with x = scale*q + low, where scale and low are the row's own
// and low is no whole number of scales; weights have one scale an output channel. The sums of products
// are exact, and what is float32 around them is added in one order and rounded alike everywhere, so a
// layer gives the same bits on every level. Package simd has the primitives; what stands here is fused for
// encoders.
package quant

// Shape is that of the layers of an encoder.
type Shape struct {
	Hidden int // of a token's state: a multiple of 64
	Heads  int // of attention, each of Hidden/Heads components: 32 or 64
	Inner  int // of the feed-forward network: a multiple of 64
}

// HeadSize is the number of components of a head.
func (s Shape) HeadSize() int { return s.Hidden / s.Heads }

// Fits reports whether layers of the shape can be computed here. The limits keep sums of products below
// 2^31 and workspaces in proportion.
func (s Shape) Fits() bool {
	if s.Hidden < 64 || s.Heads < 1 || s.Inner < 64 || s.Hidden > 1<<13 || s.Inner > 1<<15 {
		return false
	}
	if s.Hidden%64 != 0 || s.Inner%64 != 0 || s.Hidden%s.Heads != 0 {
		return false
	}
	size := s.HeadSize()
	return size == 32 || size == 64
}

// Linear is a matrix product of activations with x = scale*q + low:
//
//	y[j] = scale*(sum*Scale[j]) + (low*Offset[j] + Bias[j])
//
// where sum is that of q*Weights over the inputs, and each multiplication and addition outside the inner
// brackets is fused.
type Linear struct {
	Weights []int8    // simd.PackI8 of (out, in)
	Scale   []float32 // (out,)
	Offset  []float32 // (out,), the sum of a channel's weights in reals; nil where low is a constant, which Bias has in it
	Bias    []float32 // (out,)
}

// Norm is a LayerNorm and what becomes of its output: the state as it is for the residual, and times
// Smooth for the products that follow.
type Norm struct {
	Gain, Bias []float32 // (hidden,)
	Smooth     []float32 // (hidden,), which the weights that follow are divided by; nil after the last layer
	Epsilon    float32
}

// Layer is one layer of an encoder.
type Layer struct {
	// QKV gives queries, keys and values, one after the other, in their quanta. Queries are bytes with 128
	// for zero, keys and values are signed.
	QKV Linear
	// A score is ScoreUnit[head] times the product of query and key quanta, which is ScoreStep[head]/65536
	// steps of the table of exponentials.
	ScoreUnit  []float32 // (heads,)
	ScoreStep  []uint16  // (heads,)
	ValueScale []float32 // (hidden,)
	// Sink says which key is weighted apart: the one that draws so much attention that the bytes of the
	// other weights, which are shares of the greatest one, would all be zero.
	Sink Sink

	Out           Linear
	AttentionNorm Norm
	Up            Linear // in quanta of Activation
	Activation    Activation
	Down          Linear
	OutputNorm    Norm // of which Smooth is that of the next layer
}

// Sink is the place of a key in its text.
type Sink uint8

const (
	First Sink = iota
	Last
)
