//go:build !amd64 || noasm

package simd

func dotF16(a, b []Float16) float32 { return dotF16Generic(a, b) }

func dotBF16(a, b []BFloat16) float32 { return dotBF16Generic(a, b) }

func dotF16F32(a []Float16, b []float32) float32 { return dotF16F32Generic(a, b) }

func convertF16F32(dst []float32, src []Float16) { convertF16F32Generic(dst, src) }

func convertF32F16(dst []Float16, src []float32) { convertF32F16Generic(dst, src) }

func convertBF16F32(dst []float32, src []BFloat16) { convertBF16F32Generic(dst, src) }

func convertF32BF16(dst []BFloat16, src []float32) { convertF32BF16Generic(dst, src) }
