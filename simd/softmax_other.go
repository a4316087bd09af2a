//go:build !amd64 || noasm

package simd

func maxF32(a []float32, least float32) float32 { return maxF32Generic(a, least) }

func expSumF32(dst, src []float32, greatest float32) float32 {
	return expSumF32Generic(dst, src, greatest)
}

func shareF32(x []float32, factor float32) { shareF32Generic(x, factor) }
