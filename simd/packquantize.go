package simd

// QuantizePackF32U8 quantises each row of src as QuantizeF32U8 does and orders the quanta as PackU8 does,
// for the int8 matrix products at the level that runs. Scale and offset are what an Epilogue wants as
// RowScale and RowOffset.
//
//	for i := range m { scale[i], offset[i] = QuantizeF32U8(row, src[i*k:(i+1)*k]); row of dst = row, packed }
//
// Shape:  dst (PackedU8Size(m, k)), scale, offset (m,), src (m, k).
// Units:  scale and offset in those of src; dst in quanta, 0 to 255.
// Panics: if a length is not that of the shape.
// Cost:   no allocation; src is read twice, row by row; dst, scale and offset must not overlap src.
// Exact:  scale, offset and quanta are those of QuantizeF32U8, NaN included, bit-identical on every level.
// Source: the definition.
func QuantizePackF32U8(dst []uint8, scale, offset, src []float32, m, k int) {
	if m < 0 || k < 0 || len(src) != m*k || len(scale) != m || len(offset) != m || len(dst) != PackedU8Size(m, k) {
		panic("simd: QuantizePackF32U8: lengths do not match m and k")
	}
	l := activations()
	var quanta [16 * kMultiple]uint8
	clear(dst)
	for i := range m {
		row := src[i*k : (i+1)*k]
		scale[i], offset[i] = scaleU8(row)
		if !(scale[i] > 0) {
			continue
		}
		for at := 0; at < k; at += len(quanta) {
			part := quanta[:min(len(quanta), k-at)]
			quantizeF32U8(part, row[at:at+len(part)], scale[i], offset[i])
			l.packRow(dst[i/l.rows*l.blockBytes(k)+at*l.rows*l.elementBytes():], part, i%l.rows, 0)
		}
	}
}
