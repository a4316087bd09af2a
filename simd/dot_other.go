//go:build !amd64 || noasm

package simd

func dotF32(a, b []float32) float32 { return dotF32Generic(a, b) }

func l2F32(a, b []float32) float32 { return l2F32Generic(a, b) }
