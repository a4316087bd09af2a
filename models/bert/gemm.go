package bert

import (
	"context"

	"github.com/maida-ai/gomai/simd"
)

// rowTile is how many rows of scores attention computes at a time: those of 512 tokens stay in the first
// level cache.
const rowTile = 16

const (
	// callWork bounds the multiplications between two looks at ctx, about: 15 us with AVX-512, 0.7 ms in
	// plain Go.
	callWork = 2 << 20
	// rowStep and columnStep divide what a call computes: multiples of the sides of simd's tiles.
	rowStep, columnStep = 24, 48
)

// A packed matrix is the right operand of a product, transposed, as simd wants it.
type packed struct {
	w    []float32
	half []simd.BFloat16 // instead of w, in bfloat16
	n, k int             // what was packed is (n, k)
}

// gemm computes c = a b^T + bias.
//
// Shape:  a (m, b.k), c (m, b.n), rows lda and ldc apart; bias (b.n,), nil for 0.
// Errors: ctx.Err(), asked before each call of simd; c is then undefined.
// Cost:   no allocation.
func gemm(ctx context.Context, m int, a []float32, lda int, b packed, bias, c []float32, ldc int) error {
	rows := min(m, max(rowStep, callWork/(columnStep*b.k)/rowStep*rowStep))
	columns := max(columnStep, callWork/(rows*b.k)/columnStep*columnStep)
	for j := 0; j < b.n; j += columns {
		n := min(columns, b.n-j)
		w := b.w[j*b.k:][:simd.PackedF32Size(n, b.k)]
		var part []float32
		if bias != nil {
			part = bias[j : j+n]
		}
		for i := 0; i < m; i += rows {
			if err := ctx.Err(); err != nil {
				return err
			}
			simd.GemmF32(c[i*ldc+j:], ldc, a[i*lda:], lda, w, min(rows, m-i), n, b.k, part)
		}
	}
	return nil
}

// apply computes y (tokens, out) from the input that w has read for l, or for another one of its format and
// width.
func (l *linear) apply(ctx context.Context, w *workspace, y []float32) error {
	if l.weight.half != nil {
		return gemmBF16(ctx, w, l.weight, l.bias, y)
	}
	return gemm(ctx, w.tokens, w.input, l.weight.k, l.weight, l.bias, y, l.weight.n)
}
