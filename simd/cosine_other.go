//go:build !amd64 || noasm

package simd

func cosineF32(a, b []float32) float64 { return cosineOfThreeDots(a, b) }

func fusedDotF32(a, b []float32) float32 { return fusedDotF32Generic(a, b) }
