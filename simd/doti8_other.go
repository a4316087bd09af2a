//go:build !amd64 || noasm

package simd

func dotI8(a, b []int8) int32 { return dotI8Generic(a, b) }

func l2I8(a, b []int8) int32 { return l2I8Generic(a, b) }

func cosineI8(a, b []int8) (ab, aa, bb int32) { return cosineI8Generic(a, b) }
