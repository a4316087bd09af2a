package models

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"strings"

	"github.com/maida-ai/gomai/simd"
)

// pooling makes one vector of the states of a text's tokens. The names are those that
// sentence-transformers gives them.
type pooling string

const (
	poolMean     pooling = "mean"
	poolCLS      pooling = "cls"
	poolMax      pooling = "max"
	poolSqrt     pooling = "mean_sqrt_len_tokens" // the sum divided by the square root of the number of tokens
	poolWeighted pooling = "weightedmean"         // token i counts i+1 times
	poolLast     pooling = "lasttoken"
)

// poolings are all there are, in the order in which older configurations have them side by side.
var poolings = []pooling{poolCLS, poolMax, poolMean, poolSqrt, poolWeighted, poolLast}

// pool reduces hidden (tokens, len(dst)), at least one token, to dst. Its sums run over the tokens in
// order, so they are the same everywhere.
func (p pooling) pool(hidden, dst []float32) {
	n := len(dst)
	tokens := len(hidden) / n
	if p == poolLast {
		copy(dst, hidden[(tokens-1)*n:])
		return
	}
	copy(dst, hidden)
	if p == poolCLS {
		return
	}
	for i := 1; i < tokens; i++ {
		row := hidden[i*n : (i+1)*n]
		switch p {
		case poolMax:
			for j, v := range row {
				dst[j] = max(dst[j], v)
			}
		case poolWeighted:
			weight := float32(i + 1)
			for j, v := range row {
				dst[j] += float32(v * weight)
			}
		default:
			for j, v := range row {
				dst[j] += v
			}
		}
	}
	var scale float32
	switch p {
	case poolMean:
		scale = 1 / float32(tokens)
	case poolSqrt:
		scale = float32(1 / math.Sqrt(float64(tokens)))
	case poolWeighted:
		scale = float32(2 / (float64(tokens) * float64(tokens+1)))
	default:
		return
	}
	for j := range dst {
		dst[j] *= scale
	}
}

// head makes the vector of a text out of the states of its tokens, as the modules do that
// sentence-transformers puts behind a Transformer: ways of pooling, side by side, then stages.
type head struct {
	pools  []pooling // none behind a static table, which has pooled
	width  int       // of what they make together
	stages []stage
}

// stage is a Dense module, activation(weight x + bias), or, without a weight, a Normalize module.
type stage struct {
	in, out  int
	weight   []float32 // (out, in)
	bias     []float32 // (out,), nil for 0
	activate string    // one of the names in activations
}

// activations are the functions behind a Dense module, in place, under the last word of the name that
// its configuration gives them.
var activations = map[string]func(x []float32){
	"Identity": func([]float32) {},
	"Tanh": func(x []float32) {
		for i, v := range x {
			x[i] = float32(math.Tanh(float64(v)))
		}
	},
	"ReLU": func(x []float32) {
		for i, v := range x {
			x[i] = max(v, 0)
		}
	},
	"GELU": func(x []float32) { simd.GeluF32(x, x) },
}

// dim is the number of components of what the head makes.
func (h *head) dim() int {
	dim := h.width
	for i := range h.stages {
		if h.stages[i].weight != nil {
			dim = h.stages[i].out
		}
	}
	return dim
}

// space is the number of floats that finish needs: two vectors of the widest stage.
func (h *head) space() int {
	widest := h.width
	for i := range h.stages {
		widest = max(widest, h.stages[i].out)
	}
	return 2 * widest
}

// pool writes what the pools make of hidden, (tokens, width/len(pools)), at least one token, to the
// beginning of work, (space(),).
func (h *head) pool(hidden, work []float32) {
	n := h.width / len(h.pools)
	for i, p := range h.pools {
		p.pool(hidden, work[i*n:(i+1)*n])
	}
}

// finish runs the stages on the beginning of work, (space(),), and writes the vector to dst, (dim(),), or
// as many of its components as dst has, brought to length 1. A vector that is not finite is
// ErrNotFinite, and dst is then unchanged.
func (h *head) finish(work, dst []float32) error {
	x, y := work[:h.width], work[len(work)/2:]
	for i := range h.stages {
		s := &h.stages[i]
		if s.weight == nil {
			normalize(x)
			continue
		}
		y = y[:s.out]
		for r := range y {
			y[r] = simd.DotF32(s.weight[r*s.in:(r+1)*s.in], x)
		}
		for r, b := range s.bias {
			y[r] += b
		}
		activations[s.activate](y)
		x, y = y, x[:cap(x)]
	}
	if !finite(x) {
		return ErrNotFinite
	}
	fit(dst, x)
	return nil
}

// fit writes v to dst, or as many of its components as dst has, brought to length 1.
func fit(dst, v []float32) {
	if copy(dst, v) < len(v) {
		normalize(dst)
	}
}

// String says what the head does, for people and for the SpaceID: "cls+mean-16tanh-unit".
func (h *head) String() string {
	names := make([]string, len(h.pools))
	for i, p := range h.pools {
		names[i] = string(p)
	}
	s := strings.Join(names, "+")
	for i := range h.stages {
		if st := &h.stages[i]; st.weight != nil {
			s += fmt.Sprintf("-%d%s", st.out, strings.ToLower(st.activate))
		} else {
			s += "-unit"
		}
	}
	return strings.TrimPrefix(s, "-")
}

// sum identifies what a model of the sum below and the head compute.
func (h *head) sum(below [32]byte) [32]byte {
	weighted := false
	sum := sha256.New()
	sum.Write(below[:])
	var b []byte
	for i := range h.stages {
		for _, v := range [][]float32{h.stages[i].weight, h.stages[i].bias} {
			b = b[:0]
			for _, x := range v {
				b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
			}
			fmt.Fprintln(sum, len(v))
			sum.Write(b)
			weighted = weighted || len(v) > 0
		}
	}
	if !weighted {
		return below
	}
	return [32]byte(sum.Sum(nil))
}

// normalize brings v to length 1; the zero vector stays as it is.
func normalize(v []float32) {
	var sum float64
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	if sum == 0 {
		return
	}
	scale := 1 / math.Sqrt(sum)
	for i, x := range v {
		v[i] = float32(float64(x) * scale)
	}
}

// finite reports whether no component of v is NaN or infinite.
func finite(v []float32) bool {
	for _, x := range v {
		if math.Float32bits(x)&0x7f800000 == 0x7f800000 {
			return false
		}
	}
	return true
}
