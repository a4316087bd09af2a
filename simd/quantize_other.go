//go:build !amd64 || noasm

package simd

func largestF32(src []float32) uint32 { return largestF32Generic(src) }

func rangeF32(src []float32) (low, high int32) { return rangeF32Generic(src) }

func quantizeF32I8(dst []int8, src []float32, scale float32) { quantizeF32I8Generic(dst, src, scale) }

func quantizeF32U8(dst []uint8, src []float32, scale, offset float32) {
	quantizeF32U8Generic(dst, src, scale, offset)
}

func dequantizeI8F32(dst []float32, src []int8, scale float32) {
	dequantizeI8F32Generic(dst, src, scale)
}

func dequantizeU8F32(dst []float32, src []uint8, scale, offset float32) {
	dequantizeU8F32Generic(dst, src, scale, offset)
}

func binarizeF32U64(dst []uint64, src []float32) uint32 { return binarizeF32U64Generic(dst, src) }
