//go:build !amd64 || noasm

package simd

func cosineF32(a, b []float32) (ab, aa, bb float32) { return cosineF32Generic(a, b) }
