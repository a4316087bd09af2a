package search

import (
	"slices"

	"github.com/maida-ai/gomai/simd"
)

// Quantize makes a matrix of another kind of the rows of m, which must be F32. F16 rounds to the
// nearest, and a component beyond its range becomes infinite; I8 has the scale max|x|/127 for each
// row; Binary keeps the signs. A row that holds a NaN keeps a NaN score; in I8, where it has no scale,
// an infinity has that effect too.
func (m *Matrix) Quantize(kind Kind) (*Matrix, error) {
	if m.kind != F32 {
		return nil, badArgument("matrix", "rows of kind %v; only f32 can be quantised", m.kind)
	}
	q, err := newMatrix(kind, m.space, m.dim, 0, 1)
	if err != nil {
		return nil, err
	}
	q.grow(m.rows)
	q.append(m.f32)
	return q, nil
}

// grow makes room for n more rows.
func (m *Matrix) grow(n int) {
	switch m.kind {
	case F32:
		m.f32 = slices.Grow(m.f32, n*m.dim)
	case F16:
		m.f16 = slices.Grow(m.f16, n*m.dim)
	case I8:
		m.i8 = slices.Grow(m.i8, n*m.dim)
		m.scale, m.square = slices.Grow(m.scale, n), slices.Grow(m.square, n)
	case Binary:
		m.bits = slices.Grow(m.bits, n*m.stride())
		return
	}
	m.inverse = slices.Grow(m.inverse, n)
}

// append adds rows, (n, dim), to a matrix that nobody else knows yet.
func (m *Matrix) append(rows []float32) {
	n := len(rows) / m.dim
	m.grow(n)
	for i := range n {
		row := rows[i*m.dim:][:m.dim]
		switch m.kind {
		case F32:
			m.f32 = append(m.f32, row...)
			m.inverse = append(m.inverse, inverseNorm(row))
		case F16:
			m.appendF16(row)
		case I8:
			m.appendI8(row)
		case Binary:
			m.appendBits(row)
		}
		m.rows++
	}
}

func (m *Matrix) appendF16(row []float32) {
	at := len(m.f16)
	m.f16 = m.f16[:at+m.dim]
	simd.ConvertF32F16(m.f16[at:], row)
	m.wide = slices.Grow(m.wide[:0], m.dim)[:m.dim]
	simd.ConvertF16F32(m.wide, m.f16[at:])
	m.inverse = append(m.inverse, inverseNorm(m.wide))
}

func (m *Matrix) appendI8(row []float32) {
	at := len(m.i8)
	m.i8 = m.i8[:at+m.dim]
	quanta := m.i8[at:]
	scale := simd.QuantizeF32I8(quanta, row)
	m.scale = append(m.scale, scale)
	m.square = append(m.square, simd.DotI8(quanta, quanta))
	m.inverse = append(m.inverse, inverseNormI8(m.square[m.rows], scale))
}

func (m *Matrix) appendBits(row []float32) {
	at := len(m.bits)
	m.bits = m.bits[:at+m.stride()]
	simd.BinarizeF32U64(m.bits[at:], row)
	if hasNaN(row) {
		m.lost = append(m.lost, make([]uint64, m.rows/64+1-len(m.lost))...)
		m.lost[m.rows/64] |= 1 << (m.rows % 64)
	}
}

func hasNaN(v []float32) bool {
	// Squares are not negative, so nothing but a NaN makes their sum one.
	s := simd.DotF32(v, v)
	return s != s
}
