//go:build !amd64 || noasm

package simd

func notAtMostF32(set []uint64, x []float32, t float32) { notAtMostF32Generic(set, x, t) }

func notAtLeastF32(set []uint64, x []float32, t float32) { notAtLeastF32Generic(set, x, t) }

func belowI32(set []uint64, x []int32, t int32) { belowI32Generic(set, x, t) }

func scaleF32(dst, x, factors []float32, factor float32) { scaleF32Generic(dst, x, factors, factor) }

func scaleI32F32(dst []float32, x []int32, factors []float32, factor float32) {
	scaleI32F32Generic(dst, x, factors, factor)
}

func maxLanesF32(dst *[16]float32, x []float32) { maxLanesF32Generic(dst, x) }

func minLanesI32(dst *[16]int32, x []int32) { minLanesI32Generic(dst, x) }
