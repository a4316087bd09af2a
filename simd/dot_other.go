//go:build !amd64 || noasm

package simd

func dotF32(a, b []float32) float32 { return dotF32Generic(a, b) }
