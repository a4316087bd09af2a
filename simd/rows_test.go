package simd

import (
	"math"
	"math/rand/v2"
	"testing"
)

func randomBytes(r *rand.Rand, n int) []int8 {
	v := make([]int8, n)
	for i := range v {
		v[i] = int8(r.Uint32())
	}
	return v
}

func randomWords(r *rand.Rand, n int) []uint64 {
	v := make([]uint64, n)
	for i := range v {
		v[i] = r.Uint64()
	}
	return v
}

func TestRowsEqualVectors(t *testing.T) { eachLevel(t, testRowsEqualVectors) }

func testRowsEqualVectors(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	for d := range 140 {
		for n := range 6 {
			q, rows := randomVector(r, d), randomVector(r, n*d)
			dot, l2 := make([]float32, n), make([]float32, n)
			DotRowsF32(dot, q, rows)
			L2RowsF32(l2, q, rows)
			q8, rows8 := randomBytes(r, d), randomBytes(r, n*d)
			dot8 := make([]int32, n)
			DotRowsI8(dot8, q8, rows8)
			q64, rows64 := randomWords(r, d), randomWords(r, n*d)
			ham := make([]int32, n)
			HammingRowsU64(ham, q64, rows64)
			for i := range n {
				at, end := i*d, (i+1)*d
				if want := DotF32(q, rows[at:end]); math.Float32bits(dot[i]) != math.Float32bits(want) {
					t.Errorf("DotRowsF32, d=%d, row %d of %d: got %v, want %v", d, i, n, dot[i], want)
				}
				if want := L2F32(q, rows[at:end]); math.Float32bits(l2[i]) != math.Float32bits(want) {
					t.Errorf("L2RowsF32, d=%d, row %d of %d: got %v, want %v", d, i, n, l2[i], want)
				}
				if want := DotI8(q8, rows8[at:end]); dot8[i] != want {
					t.Errorf("DotRowsI8, d=%d, row %d of %d: got %v, want %v", d, i, n, dot8[i], want)
				}
				if want := HammingU64(q64, rows64[at:end]); int(ham[i]) != want {
					t.Errorf("HammingRowsU64, d=%d, row %d of %d: got %v, want %v", d, i, n, ham[i], want)
				}
			}
		}
	}
}
