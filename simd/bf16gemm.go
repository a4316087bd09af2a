package simd

import (
	"github.com/maida-ai/gomai/internal/cpu"
)

var gemmBF16Code = cpu.Implement("GemmBF16",
	cpu.Variant{Level: cpu.AMX, Needs: cpu.AMXBF16}, cpu.Variant{Level: cpu.AVX512, Needs: cpu.BF16},
	cpu.Variant{Level: cpu.AVX512}, cpu.Variant{Level: cpu.AVX2})

// Packed bfloat16 has one layout on all levels, for weights
//
//	[n/16] panels of [k/2] pairs of [16 columns][2 k]
//
// and for activations, which stand in blocks of 16 rows,
//
//	[m/16] blocks of [k/32] steps of [16 rows][32 k]
//
// filled up with zeros. A step of either is one AMX tile.
const (
	stepBF16      = 32 // k of a step
	blockRowsBF16 = 16
	stepSizeBF16  = 16 * stepBF16 // elements
)

// maxGemmBF16 is the largest k: a call on tiles, which the scheduler cannot interrupt, takes all of it.
const maxGemmBF16 = 32768

// GemmBF16 multiplies packed bfloat16 activations by packed weights.
//
//	for i := range m { for j := range n { for l := range k { dst[i*n+j] += float32(a[i*k+l]) * float32(w[j*k+l]) } } }
//
// where a and w stand for what was packed, the upper halves of float32, and dst starts from zero.
//
// Shape:  dst (m, n); a from PackRowsBF16 of (m, k), w from PackWeightsBF16 of (n, k); k <= 32768.
// Units:  those of a times those of w.
// Panics: if a length is not that of the shape, or k is too large.
// Cost:   no allocation; nothing may overlap dst.
// Exact:  levels differ. The error against the real sum is at most k * 2^-23 * sum(|a*w|), plus
// k * 2^-125 because AVX512_BF16 and AMX replace denormal sums by zero, plus |a*w| of each term with a
// denormal factor, which they take for zero. A sum beyond the range of float32 is infinite or NaN. Products
// are exact, and so is a sum that float32 holds exactly in any order.
// Source: the definition; the bound is Higham, Accuracy and Stability of Numerical Algorithms, 3.1.
func GemmBF16(dst []float32, a, w []BFloat16, m, n, k int) {
	if m < 0 || n < 0 || k < 0 || len(dst) != m*n || len(a) != PackedBF16Size(m, k) || len(w) != PackedBF16Size(n, k) {
		panic("simd: GemmBF16: lengths do not match m, n and k")
	}
	if k > maxGemmBF16 {
		panic("simd: GemmBF16: k too large")
	}
	if k == 0 {
		clear(dst)
		return
	}
	gemmBF16(dst, a, w, m, n, k)
}

// HasBF16 reports whether GemmBF16 runs on instructions for bfloat16, and not on those for float32: AMX_BF16
// or AVX512_BF16.
//
// Cost:   no allocation.
func HasBF16() bool { return gemmBF16Code.Variant().Needs != 0 }

// PackedBF16Size returns how many elements PackRowsBF16 and PackWeightsBF16 fill.
//
//	16*ceil(rows/16) * 32*ceil(k/32)
//
// Panics: if rows or k is negative.
// Cost:   no allocation.
func PackedBF16Size(rows, k int) int {
	if rows < 0 || k < 0 {
		panic("simd: PackedBF16Size: negative size")
	}
	return roundUp(rows, blockRowsBF16) * roundUp(k, stepBF16)
}

// PackWeightsBF16 orders bfloat16 weights for GemmBF16.
//
//	dst[j/16][i/2][j%16][i%2] = src[j*k+i], zeros beyond n and k
//
// Shape:  dst (PackedBF16Size(n, k)), src (n, k): one row an output channel, as models store them.
// Panics: if a length is not that of the shape.
// Cost:   no allocation; dst and src must not overlap.
// Exact:  the same elements on every level, so packed weights may be kept in files.
func PackWeightsBF16(dst, src []BFloat16, n, k int) {
	if n < 0 || k < 0 || len(src) != n*k || len(dst) != PackedBF16Size(n, k) {
		panic("simd: PackWeightsBF16: lengths do not match n and k")
	}
	clear(dst)
	for j := range n {
		first := j/panelColumns*panelColumns*roundUp(k, stepBF16) + j%panelColumns*2
		for i, v := range src[j*k : (j+1)*k] {
			dst[first+i/2*2*panelColumns+i%2] = v
		}
	}
}

// PackRowsBF16 orders bfloat16 activations for GemmBF16.
//
//	dst[j/16][i/32][j%16][i%32] = src[j*k+i], zeros beyond m and k
//
// Shape:  dst (PackedBF16Size(m, k)), src (m, k).
// Panics: if a length is not that of the shape.
// Cost:   no allocation; dst and src must not overlap.
func PackRowsBF16(dst, src []BFloat16, m, k int) {
	if m < 0 || k < 0 || len(src) != m*k || len(dst) != PackedBF16Size(m, k) {
		panic("simd: PackRowsBF16: lengths do not match m and k")
	}
	clear(dst)
	for j := range m {
		row := src[j*k : (j+1)*k]
		to := j/blockRowsBF16*blockRowsBF16*roundUp(k, stepBF16) + j%blockRowsBF16*stepBF16
		for len(row) > 0 {
			n := copy(dst[to:to+stepBF16], row)
			row, to = row[n:], to+stepSizeBF16
		}
	}
}

func gemmBF16Generic(dst []float32, a, w []BFloat16, m, n, k int) {
	steps := roundUp(k, stepBF16) / stepBF16
	for i := range m {
		for j := 0; j < n; j += panelColumns {
			panel := w[j/panelColumns*steps*stepSizeBF16:][:steps*stepSizeBF16]
			row := a[i/blockRowsBF16*steps*stepSizeBF16+i%blockRowsBF16*stepBF16:]
			var sums [panelColumns]float32
			for s := range steps {
				for l := range stepBF16 / 2 {
					x := row[s*stepSizeBF16+2*l:][:2]
					x0, x1 := widenBF16(x[0]), widenBF16(x[1])
					y := panel[(s*stepBF16/2+l)*2*panelColumns:][:2*panelColumns]
					for c := range sums {
						sums[c] += float32(x0 * widenBF16(y[2*c]))
						sums[c] += float32(x1 * widenBF16(y[2*c+1]))
					}
				}
			}
			copy(dst[i*n+j:(i+1)*n], sums[:])
		}
	}
}
