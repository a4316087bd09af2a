//go:build !amd64 || noasm

package simd

func geluF32(dst, src []float32) { geluF32Generic(dst, src) }

func geluI16(dst, src []int16) { geluI16Generic(dst, src) }
