//go:build !amd64 || noasm

package simd

func axpyF32(alpha float32, x, y []float32) { axpyF32Generic(alpha, x, y) }
