package simd

import (
	"math"
	"unsafe"

	"github.com/maida-ai/gomai/internal/cpu"
	"github.com/maida-ai/gomai/internal/fma"
)

var epilogueCode = cpu.Implement("Epilogue", cpu.Variant{Level: cpu.AVX512}, cpu.Variant{Level: cpu.AVX2})

// Activation is a function that an epilogue applies last.
type Activation uint8

const (
	Identity Activation = iota
	Relu                // max(y, 0)
	Gelu                // y times the normal distribution's share below y, within 7e-5
)

// Epilogue says what becomes of the int32 sums of a matrix product, of which row i and column j is
//
//	y = RowScale[i]*(sum*Scale[j]) + (RowOffset[i]*Offset[j] + Bias[j])
//
// and then Activation of it. Each multiplication and addition outside the inner brackets is fused, one
// rounding. With activations x = RowScale[i]*q + RowOffset[i], Offset[j] is the sum of column j's weights,
// in reals. It is read only, so one may serve any number of goroutines.
type Epilogue struct {
	Scale     []float32 // (n,)
	Offset    []float32 // (n,), nil for 0
	Bias      []float32 // (n,), nil for 0
	RowScale  []float32 // (m,), nil for 1
	RowOffset []float32 // (m,), nil for 0

	// Zero is the integer that stands for an activation of 0. It is taken off exactly: sums become those
	// of (q-Zero)*w. For activations from PackI8U8 it is 128. ColumnSums, from ColumnSumsI8, is needed if
	// it is not 0.
	Zero       int32
	ColumnSums []int32 // (n,)

	Activation Activation
}

// fits reports whether e is for a product of that shape.
func (e *Epilogue) fits(m, n int) bool {
	return len(e.Scale) == n && isNilOr(e.Offset, n) && isNilOr(e.Bias, n) && isNilOr(e.RowScale, m) &&
		isNilOr(e.RowOffset, m) && (e.Zero == 0 || len(e.ColumnSums) == n) && e.Activation <= Gelu
}

func isNilOr(v []float32, n int) bool { return v == nil || len(v) == n }

// Quanta says how reals become integers: q = round(y*Inverse + Zero), to the nearest, ties to even, cut to
// the range of the type; NaN becomes the least number of it.
type Quanta struct {
	Inverse []float32 // quanta in a unit, one for all rows or one for each: (1,) or (m,)
	Zero    int32     // what 0 becomes
}

// outputKind is what the sums become.
type outputKind uint8

const (
	toI32 outputKind = iota
	toF32
	toBF16
	toByte // U8 or I8
)

var outputBytes = [...]int{toI32: 4, toF32: 4, toBF16: 2, toByte: 1}

// output is where the tiles of a product of n columns go, and as what.
type output struct {
	kind   outputKind
	dst    unsafe.Pointer
	n      int
	e      *Epilogue  // nil for toI32
	q      *Quanta    // toByte
	limits [3]float32 // toByte: q.Zero, the least and the greatest number of the type

	inverse [maxTileRows]float32 // toByte: q.Inverse if it is one for all rows
}

// at returns the address of an element.
func (o *output) at(i, j int) unsafe.Pointer {
	return unsafe.Add(o.dst, (i*o.n+j)*outputBytes[o.kind])
}

// epilogueTile is what the assembly of an epilogue gets: fields of eight bytes, read in this order by
// the generator.
type epilogueTile struct {
	lastColumns         int // of the last panel, 1 to 16
	scale, offset, bias *float32

	sums          *int32
	sumsStep      int // bytes from one row to the next, as all steps
	rows          int // at least 1
	rowScale      *float32
	rowScaleStep  int
	rowOffset     *float32
	rowOffsetStep int
	inverse       *float32
	inverseStep   int
	limits        *[3]float32
	activation    int
	dst           unsafe.Pointer
	dstStep       int
}

// What stands for coefficients that are not given.
var (
	oneF32   float32 = 1
	zerosF32 [maxTileCols]float32
)

// store turns a tile of sums, maxTileCols apart, into elements of the output.
func (o *output) store(sums *int32, i, j, rows, columns int) {
	if o.kind == toI32 {
		for r := range rows {
			from := unsafe.Slice((*int32)(unsafe.Add(unsafe.Pointer(sums), 4*maxTileCols*r)), columns)
			copy(unsafe.Slice((*int32)(o.at(i+r, j)), columns), from)
		}
		return
	}
	t := epilogueTile{
		lastColumns: (columns-1)%panelColumns + 1,
		scale:       &o.e.Scale[j], offset: columnsFrom(o.e.Offset, j), bias: columnsFrom(o.e.Bias, j),
		sums: sums, sumsStep: 4 * maxTileCols, rows: rows,
		rowScale: &oneF32, rowOffset: &zerosF32[0],
		limits: &o.limits, activation: int(o.e.Activation),
		dst: o.at(i, j), dstStep: o.n * outputBytes[o.kind],
	}
	if o.e.RowScale != nil {
		t.rowScale, t.rowScaleStep = &o.e.RowScale[i], 4
	}
	if o.e.RowOffset != nil {
		t.rowOffset, t.rowOffsetStep = &o.e.RowOffset[i], 4
	}
	if o.kind == toByte {
		t.inverse = &o.q.Inverse[0]
		if len(o.q.Inverse) > 1 {
			t.inverse, t.inverseStep = &o.q.Inverse[i], 4
		}
	}
	runEpilogue(o.kind, &t, columns)
}

func columnsFrom(v []float32, j int) *float32 {
	if v == nil {
		return &zerosF32[0]
	}
	return &v[j]
}

func epilogueGeneric(kind outputKind, t *epilogueTile, columns int) {
	scale, offset, bias := unsafe.Slice(t.scale, columns), unsafe.Slice(t.offset, columns), unsafe.Slice(t.bias, columns)
	for r := range t.rows {
		sums := unsafe.Slice((*int32)(unsafe.Add(unsafe.Pointer(t.sums), r*t.sumsStep)), columns)
		rowScale := *(*float32)(unsafe.Add(unsafe.Pointer(t.rowScale), r*t.rowScaleStep))
		rowOffset := *(*float32)(unsafe.Add(unsafe.Pointer(t.rowOffset), r*t.rowOffsetStep))
		row := unsafe.Add(t.dst, r*t.dstStep)
		for c, sum := range sums {
			y := fma.F32(rowScale, float32(float32(sum)*scale[c]), fma.F32(rowOffset, offset[c], bias[c]))
			switch Activation(t.activation) {
			case Relu:
				if y < 0 {
					y = 0
				}
			case Gelu:
				y = gelu(y)
			}
			to := unsafe.Add(row, c*outputBytes[kind])
			switch kind {
			case toF32:
				*(*float32)(to) = y
			case toBF16:
				*(*BFloat16)(to) = roundBF16(y)
			case toByte:
				inverse := *(*float32)(unsafe.Add(unsafe.Pointer(t.inverse), r*t.inverseStep))
				*(*uint8)(to) = uint8(toQuantum(fma.F32(y, inverse, t.limits[0]), t.limits[1], t.limits[2]))
			}
		}
	}
}

// geluCoefficients are those of a polynomial P, to the powers of y^2, for which y*(0.5 + y*P(y^2)), the
// factor in brackets cut to 0 and 1, is nearest to GELU.
var geluCoefficients = [...]float32{
	0.39876186, -0.06607691, 0.009643338, -0.0010550887, 8.430932e-05,
	-4.726461e-06, 1.7417411e-07, -3.7567254e-09, 3.572741e-11,
}

func gelu(y float32) float32 {
	square := float32(y * y)
	p := geluCoefficients[len(geluCoefficients)-1]
	for i := len(geluCoefficients) - 2; i >= 0; i-- {
		p = fma.F32(square, p, geluCoefficients[i])
	}
	share := fma.F32(y, p, 0.5)
	if !(share > 0) {
		share = 0
	}
	if !(share < 1) {
		share = 1
	}
	return float32(y * share)
}

func toQuantum(v, least, greatest float32) int32 {
	if !(v > least) {
		v = least
	}
	if !(v < greatest) {
		v = greatest
	}
	return int32(math.RoundToEven(float64(v)))
}
