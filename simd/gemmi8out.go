package simd

import "unsafe"

// GemmU8I8F32 multiplies packed activations by packed weights and makes reals of the sums.
//
//	for i := range m { for j := range n { dst[i*n+j] = e of the exact sum over l of a[i*k+l]*w[j*k+l] } }
//
// Shape:  dst (m, n); a from PackU8 or PackI8U8 of (m, k), w from PackI8 of (n, k), e for m and n;
// k <= 65536.
// Units:  those of e.
// Panics: if a length is not that of the shape, or k is too large.
// Cost:   no allocation; nothing may overlap dst.
// Exact:  bit-identical on every level.
// Source: the definition; see Epilogue.
func GemmU8I8F32(dst []float32, a []uint8, w []int8, m, n, k int, e *Epilogue) {
	g := e.product("simd: GemmU8I8F32: lengths do not match m, n and k", "simd: GemmU8I8F32: k too large, the sum may overflow",
		len(dst), a, w, m, n, k)
	g.run(&output{kind: toF32, dst: unsafe.Pointer(unsafe.SliceData(dst)), n: n, e: e})
}

// GemmU8I8BF16 is GemmU8I8F32 whose results are rounded once more, to the nearest bfloat16, ties to even.
//
//	for i := range m { for j := range n { dst[i*n+j] = e of the exact sum over l of a[i*k+l]*w[j*k+l] } }
//
// Shape:  dst (m, n); a from PackU8 or PackI8U8 of (m, k), w from PackI8 of (n, k), e for m and n;
// k <= 65536.
// Units:  those of e.
// Panics: if a length is not that of the shape, or k is too large.
// Cost:   no allocation; nothing may overlap dst.
// Exact:  bit-identical on every level.
// Source: the definition; see Epilogue.
func GemmU8I8BF16(dst []BFloat16, a []uint8, w []int8, m, n, k int, e *Epilogue) {
	g := e.product("simd: GemmU8I8BF16: lengths do not match m, n and k", "simd: GemmU8I8BF16: k too large, the sum may overflow",
		len(dst), a, w, m, n, k)
	g.run(&output{kind: toBF16, dst: unsafe.Pointer(unsafe.SliceData(dst)), n: n, e: e})
}

// GemmU8I8U8 multiplies packed activations by packed weights, makes reals of the sums and quantises them.
//
//	for i := range m { for j := range n { dst[i*n+j] = q of e of the exact sum over l of a[i*k+l]*w[j*k+l] } }
//
// Shape:  dst (m, n); a from PackU8 or PackI8U8 of (m, k), w from PackI8 of (n, k), e and q for m and n;
// k <= 65536.
// Units:  quanta of q.
// Panics: if a length is not that of the shape, or k is too large.
// Cost:   no allocation; nothing may overlap dst.
// Exact:  bit-identical on every level.
// Source: the definition; see Epilogue and Quanta.
func GemmU8I8U8(dst []uint8, a []uint8, w []int8, m, n, k int, e *Epilogue, q *Quanta) {
	const shape = "simd: GemmU8I8U8: lengths do not match m, n and k"
	g := e.product(shape, "simd: GemmU8I8U8: k too large, the sum may overflow", len(dst), a, w, m, n, k)
	out := q.output(shape, unsafe.Pointer(unsafe.SliceData(dst)), m, n, e, 0, 255)
	g.run(&out)
}

// GemmU8I8I8 is GemmU8I8U8 with signed results.
//
//	for i := range m { for j := range n { dst[i*n+j] = q of e of the exact sum over l of a[i*k+l]*w[j*k+l] } }
//
// Shape:  dst (m, n); a from PackU8 or PackI8U8 of (m, k), w from PackI8 of (n, k), e and q for m and n;
// k <= 65536.
// Units:  quanta of q.
// Panics: if a length is not that of the shape, or k is too large.
// Cost:   no allocation; nothing may overlap dst.
// Exact:  bit-identical on every level.
// Source: the definition; see Epilogue and Quanta.
func GemmU8I8I8(dst []int8, a []uint8, w []int8, m, n, k int, e *Epilogue, q *Quanta) {
	const shape = "simd: GemmU8I8I8: lengths do not match m, n and k"
	g := e.product(shape, "simd: GemmU8I8I8: k too large, the sum may overflow", len(dst), a, w, m, n, k)
	out := q.output(shape, unsafe.Pointer(unsafe.SliceData(dst)), m, n, e, -128, 127)
	g.run(&out)
}

// product returns the product that e is for, or panics with one of the texts.
func (e *Epilogue) product(shape, large string, dst int, a []uint8, w []int8, m, n, k int) gemmI8 {
	if !isGemmI8(dst, a, w, m, n, k) || !e.fits(m, n) {
		panic(shape)
	}
	if k > maxGemmI8 {
		panic(large)
	}
	return gemmI8{a: a, w: w, m: m, n: n, k: k, columnSums: e.ColumnSums, zero: e.Zero}
}

// output returns where and as what bytes of that range go, or panics with the text.
func (q *Quanta) output(shape string, dst unsafe.Pointer, m, n int, e *Epilogue, least, greatest float32) output {
	if len(q.Inverse) != 1 && len(q.Inverse) != m {
		panic(shape)
	}
	o := output{kind: toByte, dst: dst, n: n, e: e, q: q, limits: [3]float32{float32(q.Zero), least, greatest}}
	if len(q.Inverse) > 0 {
		for i := range o.inverse {
			o.inverse[i] = q.Inverse[0]
		}
	}
	return o
}
