package simd

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestQuantizePackF32U8(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(31, 32))
		for _, k := range []int{0, 1, 3, 4, 63, 64, 65, 384, 1023, 1024, 1025, 2100} {
			for m := range 20 {
				testQuantizePack(t, r, m, k)
			}
		}
	})
}

func testQuantizePack(t *testing.T, r *rand.Rand, m, k int) {
	t.Helper()
	src := randomVector(r, m*k)
	for i := range src {
		switch r.IntN(5 * (k + 1)) { // some rows in five
		case 0:
			src[i] = float32(math.NaN())
		case 1:
			src[i] = 2e38
		}
	}
	quanta, scales, offsets := make([]uint8, m*k), make([]float32, m), make([]float32, m)
	for i := range m {
		if r.IntN(8) == 0 { // equal numbers
			for l := range k {
				src[i*k+l] = 3
			}
		}
		scales[i], offsets[i] = QuantizeF32U8(quanta[i*k:(i+1)*k], src[i*k:(i+1)*k])
	}
	want := packedU8(quanta, m, k)
	got, scale, offset := make([]uint8, len(want)), make([]float32, m), make([]float32, m)
	for i := range got {
		got[i] = 0x55
	}
	before := slices.Clone(src)
	QuantizePackF32U8(got, scale, offset, src, m, k)
	if !slices.EqualFunc(scale, scales, sameF32) || !slices.EqualFunc(offset, offsets, sameF32) {
		t.Fatalf("m=%d, k=%d: scales %v, offsets %v, want %v, %v", m, k, scale, offset, scales, offsets)
	}
	if !slices.Equal(got, want) {
		t.Fatalf("m=%d, k=%d: other quanta than QuantizeF32U8 and PackU8 give", m, k)
	}
	if !slices.EqualFunc(src, before, sameF32) {
		t.Fatalf("m=%d, k=%d: changed its input", m, k)
	}
}

// A real product through quantised activations stays near the one in float64.
func TestQuantisedProduct(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(33, 34))
		const m, n, k = 9, 50, 130
		x, weights := make([]float32, m*k), make([]float32, n*k)
		for i := range x {
			x[i] = float32(r.NormFloat64())
		}
		w, e := make([]int8, n*k), &Epilogue{Scale: make([]float32, n), Offset: make([]float32, n), Bias: make([]float32, n)}
		sums := make([]int32, n)
		for j := range n {
			for l := range k {
				weights[j*k+l] = float32(r.NormFloat64())
			}
			e.Scale[j] = QuantizeF32I8(w[j*k:(j+1)*k], weights[j*k:(j+1)*k])
			e.Bias[j] = float32(r.NormFloat64())
		}
		ColumnSumsI8(sums, w, n, k)
		for j := range n {
			e.Offset[j] = e.Scale[j] * float32(sums[j])
		}
		a := make([]uint8, PackedU8Size(m, k))
		e.RowScale, e.RowOffset = make([]float32, m), make([]float32, m)
		QuantizePackF32U8(a, e.RowScale, e.RowOffset, x, m, k)
		got := make([]float32, m*n)
		GemmU8I8F32(got, a, packedI8(w, n, k), m, n, k, e)
		var worst float64
		for i := range m {
			for j := range n {
				want := float64(e.Bias[j])
				for l := range k {
					want += float64(x[i*k+l]) * float64(weights[j*k+l])
				}
				worst = max(worst, math.Abs(want-float64(got[i*n+j])))
			}
		}
		// The errors of a product, about 0.01 of one, add up like the root of k.
		if worst > 0.06*math.Sqrt(k) {
			t.Errorf("off by %v", worst)
		}
	})
}

func TestQuantizePackShape(t *testing.T) {
	const m, k = 3, 5
	dst, scale, offset, src := make([]uint8, PackedU8Size(m, k)), make([]float32, m), make([]float32, m), make([]float32, m*k)
	const shape = "simd: QuantizePackF32U8: lengths do not match m and k"
	mustPanic(t, shape, func() { QuantizePackF32U8(dst[1:], scale, offset, src, m, k) })
	mustPanic(t, shape, func() { QuantizePackF32U8(dst, scale[1:], offset, src, m, k) })
	mustPanic(t, shape, func() { QuantizePackF32U8(dst, scale, offset[1:], src, m, k) })
	mustPanic(t, shape, func() { QuantizePackF32U8(dst, scale, offset, src[1:], m, k) })
	if n := testing.AllocsPerRun(20, func() { QuantizePackF32U8(dst, scale, offset, src, m, k) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
