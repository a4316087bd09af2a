//go:build amd64 && !noasm

package simd

import (
	"math/rand/v2"
	"strconv"
	"testing"
)

// BenchmarkLongestCall times one call of assembly of the shapes that take longest, of those that a call
// may have: it must stay below 200 us, because nothing can stop it.
func BenchmarkLongestCall(b *testing.B) {
	r := rand.New(rand.NewPCG(39, 40))
	for _, d := range []int{127, 255, 4095, chunk} {
		n := rowsPerCall(4 * d)
		q, rows, dst := randomVector(r, d), randomVector(r, n*d), make([]float32, n)
		benchLevels(b, dotRowsF32Code, shape(n, d), func() { DotRowsF32(dst, q, rows) })
		n = rowsPerCall(2 * d)
		halves, dst := randomHalves(r, n*d), make([]float32, n)
		benchLevels(b, dotRowsF16Code, shape(n, d), func() { DotRowsF16(dst, q, halves) })
	}
	for _, d := range []int{511, maxDotI8} {
		n := rowsPerCall(d)
		q, rows, dst := bytesOf(r, 0, d), bytesOf(r, 0, n*d), make([]int32, n)
		benchLevels(b, dotRowsI8Code, shape(n, d), func() { DotRowsI8(dst, q, rows) })
	}
	for _, d := range []int{65, callBytes / 64} {
		n := rowsPerCall(8 * d)
		q, rows, dst := randomWords(r, d), randomWords(r, n*d), make([]int32, n)
		benchLevels(b, hammingRowsU64Code, shape(n, d), func() { HammingRowsU64(dst, q, rows) })
	}
}

func shape(n, d int) string { return strconv.Itoa(n) + "x" + strconv.Itoa(d) }
