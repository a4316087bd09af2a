//go:build amd64 && !noasm

package simd

import (
	"unsafe"

	"github.com/maida-ai/gomai/internal/cpu"
)

// Before anything is packed for tiles they have to agree with plain Go once.
func init() {
	if gemmI8Code.Level() == cpu.AMX {
		adoptAMX(gemmI8AMX, gemmBF16AMX)
	}
}

// adoptAMX disables AMX if one of its products differs from plain Go's.
func adoptAMX(productI8 func(*gemmI8, *output), productBF16 func(dst []float32, a, w []BFloat16, m, n, k int)) {
	const n, k = 17, 65              // two panels, two steps
	for _, m := range []int{17, 1} { // a block and a strip of rows
		if !agreesI8(productI8, m, n, k) {
			cpu.Disable(cpu.AMX, "on this machine its int8 matrix product differs from plain Go's")
			return
		}
		if gemmBF16Code.Level() == cpu.AMX && !agreesBF16(productBF16, m, n, k) {
			cpu.Disable(cpu.AMX, "on this machine its bfloat16 matrix product differs from plain Go's")
			return
		}
	}
}

func agreesI8(product func(*gemmI8, *output), m, n, k int) bool {
	a, w := make([]uint8, m*k), make([]int8, n*k)
	for i := range a {
		a[i] = uint8(i * 151)
	}
	for i := range w {
		w[i] = int8(i * 107)
	}
	g := gemmI8{a: make([]uint8, PackedU8Size(m, k)), w: make([]int8, PackedI8Size(n, k)), m: m, n: n, k: k}
	PackU8(g.a, a, m, k)
	PackI8(g.w, w, n, k)
	got := make([]int32, m*n)
	product(&g, &output{kind: toI32, dst: unsafe.Pointer(&got[0]), n: n})
	for i, sum := range got {
		row, column := a[i/n*k:][:k], w[i%n*k:][:k]
		for l, v := range row {
			sum -= int32(v) * int32(column[l])
		}
		if sum != 0 {
			return false
		}
	}
	return true
}

// agreesBF16 multiplies small integers, whose sums every level has to give exactly.
func agreesBF16(product func(dst []float32, a, w []BFloat16, m, n, k int), m, n, k int) bool {
	a, w := make([]BFloat16, m*k), make([]BFloat16, n*k)
	for i := range a {
		a[i] = roundBF16(float32(i * 11 % 17))
	}
	for i := range w {
		w[i] = roundBF16(float32(i * 7 % 19))
	}
	packedA, packedW := make([]BFloat16, PackedBF16Size(m, k)), make([]BFloat16, PackedBF16Size(n, k))
	PackRowsBF16(packedA, a, m, k)
	PackWeightsBF16(packedW, w, n, k)
	got := make([]float32, m*n)
	product(got, packedA, packedW, m, n, k)
	for i, sum := range got {
		row, column := a[i/n*k:][:k], w[i%n*k:][:k]
		for l, v := range row {
			sum -= widenBF16(v) * widenBF16(column[l])
		}
		if sum != 0 {
			return false
		}
	}
	return true
}
