//go:build !amd64 || noasm

package simd

func gemmBF16(dst []float32, a, w []BFloat16, m, n, k int) { gemmBF16Generic(dst, a, w, m, n, k) }
