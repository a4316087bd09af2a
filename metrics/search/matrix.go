package search

import (
	"fmt"
	"math"

	"github.com/maida-ai/gomai/internal/cpu"
	"github.com/maida-ai/gomai/simd"
	"github.com/maida-ai/gomai/types"
)

// Kind is how the components of a matrix are stored.
type Kind uint8

// The kinds.
const (
	F32    Kind = 1 + iota // float32
	F16                    // IEEE 754 half precision
	I8                     // int8, with a scale for each row
	Binary                 // signs, bit i%64 of word i/64 is component i
)

var kindNames = [...]string{F32: "f32", F16: "f16", I8: "i8", Binary: "binary"}

func (k Kind) String() string {
	if k.known() {
		return kindNames[k]
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

func (k Kind) known() bool { return k >= F32 && k <= Binary }

// MaxDim is the highest number of components of a row. It keeps sums of int8 products within int32, and
// the time between two looks at ctx within reason.
const MaxDim = 1 << 16

// Matrix is rows of one kind and of one vector space, the texts of a corpus for instance. It does not
// change, and is safe for concurrent use until Close.
//
// Space is the space of the vectors that the rows were made from: storing them as another kind does
// not change it, since a query is brought to that kind too; but for F16, whose rows are compared with
// the float32 query.
type Matrix struct {
	kind      Kind
	rows, dim int
	space     types.SpaceID

	// One of these holds the components, row after row.
	f32  []float32
	f16  []simd.Float16
	i8   []int8
	bits []uint64

	// Per row, where the kind has it.
	inverse []float32 // not Binary: 1/|row|, of I8 in quanta; 0 for a zero vector, Inf for a length too far from 1, NaN for a lost row
	scale   []float32 // I8: what the quanta are multiplied by
	square  []int32   // I8: |row|^2 in quanta
	lost    []uint64  // Binary: a bit for each row whose vector held a NaN; nil without one

	wide   []float32    // scratch of append
	unmap  func() error // nil when the components are ordinary memory
	closed bool
}

// Kind says how the components are stored.
func (m *Matrix) Kind() Kind { return m.kind }

// Rows is the number of rows.
func (m *Matrix) Rows() int { return m.rows }

// Dim is the number of components of a row.
func (m *Matrix) Dim() int { return m.dim }

// Space names the space of the vectors that the rows were made from.
func (m *Matrix) Space() types.SpaceID { return m.space }

// All is the range of all rows.
func (m *Matrix) All() Range { return Range{0, m.rows} }

// FromF32 makes a matrix of rows, (n, dim), which it keeps and which may not change any more. It
// reads each row once, for its length.
func FromF32(space types.SpaceID, dim int, rows []float32) (*Matrix, error) {
	m, err := newMatrix(F32, space, dim, len(rows), dim)
	if err != nil {
		return nil, err
	}
	m.f32 = rows
	m.inverse = make([]float32, m.rows)
	for i := range m.inverse {
		m.inverse[i] = inverseNorm(rows[i*dim:][:dim])
	}
	return m, nil
}

// FromF16 is FromF32 for rows of half precision.
func FromF16(space types.SpaceID, dim int, rows []simd.Float16) (*Matrix, error) {
	m, err := newMatrix(F16, space, dim, len(rows), dim)
	if err != nil {
		return nil, err
	}
	m.f16 = rows
	m.inverse = make([]float32, m.rows)
	wide := make([]float32, dim)
	for i := range m.inverse {
		simd.ConvertF16F32(wide, rows[i*dim:][:dim])
		m.inverse[i] = inverseNorm(wide)
	}
	return m, nil
}

// FromI8 is FromF32 for quanta, with the scale of each row: rows[i*dim+j]*scales[i] is component j of
// row i. A scale of NaN or infinity makes a lost row; a negative one is an *ArgumentError.
func FromI8(space types.SpaceID, dim int, rows []int8, scales []float32) (*Matrix, error) {
	m, err := newMatrix(I8, space, dim, len(rows), dim)
	if err != nil {
		return nil, err
	}
	if len(scales) != m.rows {
		return nil, badArgument("scales", "%d of %d rows", len(scales), m.rows)
	}
	m.i8, m.scale = rows, scales
	m.inverse, m.square = make([]float32, m.rows), make([]int32, m.rows)
	for i, s := range scales {
		if s < 0 {
			return nil, badArgument("scales", "row %d has the scale %v", i, s)
		}
		row := rows[i*dim:][:dim]
		m.square[i] = simd.DotI8(row, row)
		m.inverse[i] = inverseNormI8(m.square[i], s)
	}
	return m, nil
}

// FromBits is FromF32 for signs, (n, dim/64) rounded up. Bits beyond dim must be zero; if they are not
// it is an *ArgumentError.
func FromBits(space types.SpaceID, dim int, rows []uint64) (*Matrix, error) {
	m, err := newMatrix(Binary, space, dim, len(rows), words(dim))
	if err != nil {
		return nil, err
	}
	m.bits = rows
	if i := m.strayBits(); i >= 0 {
		return nil, badArgument("rows", "row %d has bits beyond dimension %d", i, dim)
	}
	return m, nil
}

// newMatrix makes a matrix without content for so many elements, stride of them a row.
func newMatrix(kind Kind, space types.SpaceID, dim, elements, stride int) (*Matrix, error) {
	if _, err := cpu.Detect(); err != nil {
		return nil, err // a wrong MAI_CPU, at the first call that can say so
	}
	if !kind.known() {
		return nil, badArgument("kind", "%v is unknown", kind)
	}
	if dim < 1 || dim > MaxDim {
		return nil, badArgument("dim", "%d, must be 1 to %d", dim, MaxDim)
	}
	if elements%stride != 0 {
		return nil, badArgument("rows", "%d elements are no multiple of %d", elements, stride)
	}
	if len(space) > maxSpace {
		return nil, badArgument("space", "%d bytes, at most %d", len(space), maxSpace)
	}
	return &Matrix{kind: kind, rows: elements / stride, dim: dim, space: space}, nil
}

// words is the number of uint64 that hold dim bits.
func words(dim int) int { return (dim + 63) / 64 }

// stride is the number of elements of a row.
func (m *Matrix) stride() int {
	if m.kind == Binary {
		return words(m.dim)
	}
	return m.dim
}

// strayBits returns the first row of a Binary matrix with bits beyond its dimension, or -1.
func (m *Matrix) strayBits() int {
	if m.dim%64 == 0 {
		return -1
	}
	n := m.stride()
	for i := range m.rows {
		if m.bits[(i+1)*n-1]>>(m.dim%64) != 0 {
			return i
		}
	}
	return -1
}

// isLost says whether the row's vector held a NaN.
func (m *Matrix) isLost(row int) bool {
	if m.kind == Binary {
		return word64(m.lost, row)&1 != 0
	}
	return m.inverse[row] != m.inverse[row]
}

// Lengths between these are kept as float32; products of such with others stay clear of the ends of
// its range. The score of a row of another length is computed in float64.
const (
	shortest = 0x1p-60
	longest  = 0x1p60
)

func inverseNorm(v []float32) float32 {
	n := norm(v)
	switch {
	case n == 0:
		return 0
	case n >= shortest && n <= longest:
		return float32(1 / n)
	case n != n:
		return float32(math.NaN())
	}
	return float32(math.Inf(1))
}

func inverseNormI8(square int32, scale float32) float32 {
	switch {
	case scale-scale != 0:
		return float32(math.NaN())
	case scale == 0 || square == 0:
		return 0
	}
	return float32(1 / math.Sqrt(float64(square)))
}

// norm is the length of v, NaN if v holds a NaN. Where float32 lost something to overflow or underflow
// it is computed in float64.
func norm(v []float32) float64 {
	if s := simd.DotF32(v, v); s > 0x1p-80 && s <= math.MaxFloat32 {
		return math.Sqrt(float64(s))
	}
	var sum float64
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	return math.Sqrt(sum)
}
