package bert

import (
	"context"
	"crypto/sha256"
	"unsafe"

	"github.com/maida-ai/gomai/quant"
	"github.com/maida-ai/gomai/simd"
)

const (
	// halfWork bounds the multiplications between two looks at ctx, about: 0.1 ms with AVX-512-BF16.
	halfWork = 16 << 20
	// Multiples of the sides of simd's tiles, of 16 rows and of 48 or 32 columns.
	halfRows, halfColumns = 16, 96
)

// LoadBF16 is Load for an encoder whose layers multiply in bfloat16: their weights are rounded once, and
// what they are multiplied by each time. Sums, attention and all that is not a product with a weight stay
// in float32. The matrices of layers take half the memory.
// Exact:  simd.GemmBF16 adds up in an order of each level, so states differ between levels in what rounds
// to another bfloat16.
func LoadBF16(c Config, s Source) (*Encoder, error) {
	e, err := loadPacked(c, s, packBF16)
	if err == nil {
		e.sum = sha256.Sum256(append([]byte("bf16"), e.sum[:]...))
	}
	return e, err
}

func packBF16(m *quant.Matrix) linear {
	n := len(m.Bias)
	k := len(m.Weight) / n
	rounded := make([]simd.BFloat16, n*k)
	simd.ConvertF32BF16(rounded, m.Weight)
	half := alignedHalves(simd.PackedBF16Size(n, k))
	simd.PackWeightsBF16(half, rounded, n, k)
	return linear{weight: packed{half: half, n: n, k: k}, bias: m.Bias}
}

// read makes x (tokens, in) the input of l and of others of the same format and width.
func (w *workspace) read(ctx context.Context, l *linear, x []float32) error {
	w.input = x
	if l.weight.half == nil {
		return nil
	}
	k := l.weight.k
	w.rounded = growHalves(w.rounded, min(halfRows, w.tokens)*k)
	w.rows = growHalves(w.rows, simd.PackedBF16Size(w.tokens, k))
	for i := 0; i < w.tokens; i += halfRows {
		if err := ctx.Err(); err != nil {
			return err
		}
		m := min(halfRows, w.tokens-i)
		rounded := w.rounded[:m*k]
		simd.ConvertF32BF16(rounded, x[i*k:][:m*k])
		size := simd.PackedBF16Size(m, k)
		simd.PackRowsBF16(w.rows[i/halfRows*size:][:size], rounded, m, k)
	}
	return nil
}

// gemmBF16 computes c (tokens, b.n) = what w has read, times b^T, plus bias. See gemm.
func gemmBF16(ctx context.Context, w *workspace, b packed, bias, c []float32) error {
	m, k := w.tokens, b.k
	rows := min(m, max(halfRows, halfWork/(halfColumns*k)/halfRows*halfRows))
	columns := max(halfColumns, halfWork/(rows*k)/halfColumns*halfColumns)
	// As much as any number of tokens up to this one needs, so that fewer never need more.
	w.sums = growFloats(w.sums, min(m*b.n, max(halfWork/k, halfRows*halfColumns)))
	block := simd.PackedBF16Size(halfRows, k)
	for j := 0; j < b.n; j += columns {
		n := min(columns, b.n-j)
		weights := b.half[j/halfRows*block:][:simd.PackedBF16Size(n, k)]
		for i := 0; i < m; i += rows {
			if err := ctx.Err(); err != nil {
				return err
			}
			count := min(rows, m-i)
			sums := w.sums[:count*n]
			simd.GemmBF16(sums, w.rows[i/halfRows*block:][:simd.PackedBF16Size(count, k)], weights, count, n, k)
			for r := range count {
				to := c[(i+r)*b.n+j:][:n]
				copy(to, sums[r*n:])
				simd.AxpyF32(1, bias[j:j+n], to)
			}
		}
	}
	return nil
}

func growHalves(v []simd.BFloat16, n int) []simd.BFloat16 {
	if cap(v) < n {
		v = alignedHalves(n)
	}
	return v[:n]
}

func growFloats(v []float32, n int) []float32 {
	if cap(v) < n {
		v = aligned(n)
	}
	return v[:n]
}

// alignedHalves makes a slice, not empty, that starts on a cache line.
func alignedHalves(n int) []simd.BFloat16 {
	return unsafe.Slice((*simd.BFloat16)(unsafe.Pointer(&aligned((n + 1) / 2)[0])), n)
}
