package simd

// PackedF32Size returns how many elements PackF32 and PackColumnsF32 fill.
//
//	16*ceil(n/16) * k
//
// Panics: if n or k is negative.
// Cost:   no allocation.
func PackedF32Size(n, k int) int {
	if n < 0 || k < 0 {
		panic("simd: PackedF32Size: negative size")
	}
	return roundUp(n, panelColumns) * k
}

// PackF32 orders weights, or any right operand of a product with the transposed of it, for GemmF32.
//
//	dst[j/16][i][j%16] = src[j*stride+i], zeros beyond n
//
// Shape:  dst (PackedF32Size(n, k)), src (n, k), rows stride >= k apart: one row an output channel, as
// models store them.
// Panics: if a length is not that of the shape.
// Cost:   no allocation; dst and src must not overlap.
// Exact:  the same on every level, so packed weights may be kept in files.
func PackF32(dst, src []float32, n, k, stride int) {
	if !isStrided(len(src), n, k, stride) || len(dst) != PackedF32Size(n, k) {
		panic("simd: PackF32: lengths do not match n, k and stride")
	}
	for j := 0; j < n; j += panelColumns {
		panel := dst[j*k:][:panelColumns*k]
		columns := min(panelColumns, n-j)
		if columns < panelColumns {
			clear(panel)
		}
		packPanelF32(panel, src[j*stride:], columns, k, stride)
	}
}

// packPanelF32 transposes columns rows of src into a panel. Eight rows at a time are read side by side, so
// that what is written lies together.
func packPanelF32(panel, src []float32, columns, k, stride int) {
	const side = 8
	c := 0
	for ; c+side <= columns; c += side {
		var rows [side][]float32
		for r := range rows {
			rows[r] = src[(c+r)*stride:][:k]
		}
		r0, r1, r2, r3 := rows[0], rows[1][:k], rows[2][:k], rows[3][:k]
		r4, r5, r6, r7 := rows[4][:k], rows[5][:k], rows[6][:k], rows[7][:k]
		for i := range r0 {
			to := (*[side]float32)(panel[i*panelColumns+c:])
			*to = [side]float32{r0[i], r1[i], r2[i], r3[i], r4[i], r5[i], r6[i], r7[i]}
		}
	}
	for ; c < columns; c++ {
		for i, v := range src[c*stride:][:k] {
			panel[i*panelColumns+c] = v
		}
	}
}

// PackColumnsF32 orders a right operand that lies in memory as it is multiplied, row after row of k, for
// GemmF32.
//
//	dst[j/16][i][j%16] = src[i*stride+j], zeros beyond n
//
// Shape:  dst (PackedF32Size(n, k)), src (k, n), rows stride >= n apart.
// Panics: if a length is not that of the shape.
// Cost:   no allocation; dst and src must not overlap.
// Exact:  the same on every level.
func PackColumnsF32(dst, src []float32, n, k, stride int) {
	if !isStrided(len(src), k, n, stride) || len(dst) != PackedF32Size(n, k) {
		panic("simd: PackColumnsF32: lengths do not match n, k and stride")
	}
	for j := 0; j < n; j += panelColumns {
		panel := dst[j*k:][:panelColumns*k]
		columns := min(panelColumns, n-j)
		if columns < panelColumns {
			clear(panel)
		}
		for i := range k {
			copy(panel[i*panelColumns:][:panelColumns], src[i*stride+j:][:columns])
		}
	}
}

// isStrided reports whether a slice of that length holds just rows of so many columns, stride apart: the
// last one may end where its columns end.
func isStrided(length, rows, columns, stride int) bool {
	if rows < 0 || columns < 0 || stride < columns {
		return false
	}
	if rows == 0 || columns == 0 {
		return true
	}
	return length >= (rows-1)*stride+columns
}
