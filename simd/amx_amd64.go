//go:build amd64 && !noasm

package simd

import (
	"unsafe"
)

// Tiles of activations and of weights stand in memory one after the other: 16 rows or 16 columns by as
// many k as make 64 bytes. A step is the product of such tiles.
const tileBytes = 1024

// amxGemm is what the assembly of a product on tiles gets: fields of eight bytes, read in this order by
// the generator. The state of the tiles does not outlive a call: whoever calls may run on another thread
// next time.
type amxGemm struct {
	a        unsafe.Pointer // blocks of 16 rows
	w        unsafe.Pointer // panels of 16 columns
	out      unsafe.Pointer // result of the first row and column
	rows     int            // at most amxRows, the last block of 32 with more than 16; of a strip at most 16
	columns  int
	steps    int // of tileBytes
	chunk    int // steps after which weights would no longer stay in the L1 cache
	rowBytes int // from one row of the result to the next
	ahead    int // how much of the next weights is fetched in a step, in 8 cache lines

	start               *int32 // what the sums of each column start from
	scale, offset, bias *float32
	params              *amxRow
	limits              *[3]float32
	activation          int
}

// amxRow is what an epilogue needs of a row.
type amxRow struct {
	inverse, scale, offset float32
	_                      float32 // so that its size is a power of two
}

const (
	amxRows      = 128 // of a call at most: it has room to park so many sums
	amxStripRows = 16
	amxColumns   = 512 // of a call at most
	amxSteps     = 6   // of 32 columns of weights and 32 rows, which stay in the L1 cache

	// The scheduler cannot interrupt a call, so it has bounds that keep it below 200 us. A product of tiles
	// is 32768 operations, and the slowest tiles seen did 2 * 10^12 in a second; operands that come from the
	// L3 cache do so with 20 GB in a second at least.
	amxProducts = 12_000
	amxBytes    = 4 << 20
)

// amxCalls cuts a product of m rows and n columns into calls.
type amxCalls struct {
	m, n          int
	rows, columns int // of a call at most
}

func newAMXCalls(m, n, steps int) amxCalls {
	for rows := min(amxRows, roundUp(max(m, 1), 32)); ; rows -= 32 {
		columns := min(amxColumns, amxProducts/(rows/16*steps)*panelColumns, amxBytes/(64*steps)-rows) / 32 * 32
		if columns >= 32 || rows == 32 {
			return amxCalls{m, n, rows, max(columns, 32)}
		}
	}
}

// at returns the rows and columns of the call that begins at row i and column j.
func (c amxCalls) at(i, j int) (rows, columns int) {
	rows = min(c.rows, c.m-i)
	if left := rows % 32; left > 0 && left <= amxStripRows && rows > left {
		rows -= left // a strip follows
	}
	return rows, min(c.columns, c.n-j)
}

// place sets the fields that follow from the shape of a call,
func (g *amxGemm) place(rows, columns, steps int) {
	pairs := (rows + 31) / 32
	g.rows, g.columns, g.steps = rows, columns, steps
	g.chunk = steps
	if pairs > 1 {
		chunks := (steps + amxSteps - 1) / amxSteps
		g.chunk = (steps + chunks - 1) / chunks
	}
	g.ahead = (amxRows/32 + pairs - 1) / pairs
}

// gemmI8AMX computes the product.
func gemmI8AMX(g *gemmI8, out *output) {
	if g.zero == 0 {
		gemmI8FromAMX(g, out, &amxZeroSums)
		return
	}
	var start [amxColumns]int32
	gemmI8FromAMX(g, out, &start)
}

// gemmI8FromAMX computes the product with room for what the sums of each column start from.
func gemmI8FromAMX(g *gemmI8, out *output, start *[amxColumns]int32) {
	steps := roundUp(g.k, kMultiple) / kMultiple
	block := steps * tileBytes
	var params [amxRows]amxRow
	calls := newAMXCalls(g.m, g.n, steps)
	for j := 0; j < g.n; j += calls.columns {
		if g.zero != 0 {
			g.startFrom(start[:min(calls.columns, g.n-j)], j)
		}
		for i := 0; i < g.m; {
			rows, columns := calls.at(i, j)
			call := out.amxCall(params[:rows], i, j)
			call.a, call.w = unsafe.Pointer(&g.a[i/16*block]), unsafe.Pointer(&g.w[j/panelColumns*block])
			call.start = &start[0]
			call.place(rows, columns, steps)
			runGemmI8AMX(out.kind, &call)
			i += rows
		}
	}
}

// amxCall describes the result of a call from row i and column j on and what its epilogue needs, for
// which params is to be used.
func (o *output) amxCall(params []amxRow, i, j int) amxGemm {
	call := amxGemm{out: o.at(i, j), rowBytes: o.n * outputBytes[o.kind]}
	if o.kind == toI32 {
		return call
	}
	for r := range params {
		p := amxRow{scale: 1}
		if o.e.RowScale != nil {
			p.scale = o.e.RowScale[i+r]
		}
		if o.e.RowOffset != nil {
			p.offset = o.e.RowOffset[i+r]
		}
		if o.kind == toByte {
			p.inverse = o.q.Inverse[0]
			if len(o.q.Inverse) > 1 {
				p.inverse = o.q.Inverse[i+r]
			}
		}
		params[r] = p
	}
	call.params = &params[0]
	call.scale, call.offset, call.bias = &o.e.Scale[j], amxColumnsFrom(o.e.Offset, j), amxColumnsFrom(o.e.Bias, j)
	call.limits, call.activation = &o.limits, int(o.e.Activation)
	return call
}

// What stands for coefficients that are not given.
var (
	amxZeros    [amxColumns]float32
	amxZeroSums [amxColumns]int32
)

func amxColumnsFrom(v []float32, j int) *float32 {
	if v == nil {
		return &amxZeros[0]
	}
	return &v[j]
}

func runGemmI8AMX(kind outputKind, call *amxGemm) {
	strip := call.rows <= amxStripRows
	switch {
	case kind == toI32 && strip:
		gemmU8I8I32StripAMX(call)
	case kind == toI32:
		gemmU8I8I32BlocksAMX(call)
	case kind == toF32 && strip:
		gemmU8I8F32StripAMX(call)
	case kind == toF32:
		gemmU8I8F32BlocksAMX(call)
	case kind == toBF16 && strip:
		gemmU8I8BF16StripAMX(call)
	case kind == toBF16:
		gemmU8I8BF16BlocksAMX(call)
	case strip:
		gemmU8I8ByteStripAMX(call)
	default:
		gemmU8I8ByteBlocksAMX(call)
	}
}

// gemmBF16AMX computes the bfloat16 product into dst.
func gemmBF16AMX(dst []float32, a, w []BFloat16, m, n, k int) {
	steps := roundUp(k, stepBF16) / stepBF16
	block := steps * stepSizeBF16
	calls := newAMXCalls(m, n, steps)
	for j := 0; j < n; j += calls.columns {
		for i := 0; i < m; {
			rows, columns := calls.at(i, j)
			call := amxGemm{
				a: unsafe.Pointer(&a[i/16*block]), w: unsafe.Pointer(&w[j/panelColumns*block]),
				out: unsafe.Pointer(&dst[i*n+j]), rowBytes: 4 * n,
			}
			call.place(rows, columns, steps)
			if rows <= amxStripRows {
				gemmBF16StripAMX(&call)
			} else {
				gemmBF16BlocksAMX(&call)
			}
			i += rows
		}
	}
}

//go:noescape
func gemmU8I8I32BlocksAMX(call *amxGemm)

//go:noescape
func gemmU8I8I32StripAMX(call *amxGemm)

//go:noescape
func gemmU8I8F32BlocksAMX(call *amxGemm)

//go:noescape
func gemmU8I8F32StripAMX(call *amxGemm)

//go:noescape
func gemmU8I8BF16BlocksAMX(call *amxGemm)

//go:noescape
func gemmU8I8BF16StripAMX(call *amxGemm)

//go:noescape
func gemmU8I8ByteBlocksAMX(call *amxGemm)

//go:noescape
func gemmU8I8ByteStripAMX(call *amxGemm)

//go:noescape
func gemmBF16BlocksAMX(call *amxGemm)

//go:noescape
func gemmBF16StripAMX(call *amxGemm)
