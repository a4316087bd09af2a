package simd

import (
	"unsafe"

	"github.com/maida-ai/gomai/internal/cpu"
	"github.com/maida-ai/gomai/internal/fma"
)

var gemmF32Code = cpu.Implement("GemmF32", cpu.Variant{Level: cpu.AVX512}, cpu.Variant{Level: cpu.AVX2})

// GemmF32 multiplies a matrix by a packed one and adds a bias to every row.
//
//	for i := range m { for j := range n {
//		dst[i*dstStride+j] = bias[j]
//		for l := range k { dst[i*dstStride+j] += a[i*aStride+l] * w[j*k+l] }
//	} }
//
// where w stands for what PackF32 packed. An activation is a call of its own: those of float32 are more
// exact than what would be fused here.
//
// Shape:  dst (m, n), rows dstStride >= n apart; a (m, k), rows aStride >= k apart; w from PackF32 or
// PackColumnsF32 for n and k; bias (n,), nil for 0.
// Units:  those of a times those of w.
// Panics: if a length is not that of the shape.
// Cost:   no allocation; nothing may overlap dst.
// Exact:  bit-identical on every level. An element depends only on its row of a, its column of w and its
// bias: not on m, n, where it lies or what is computed beside it. Terms are added in the order of k, fused
// with one rounding each. The error against the real sum is at most (k+1) * 2^-23 * (|bias[j]| + sum(|a*w|)), plus k * 2^-149 where products
// underflow.
// Source: the definition; the bound is Higham, Accuracy and Stability of Numerical Algorithms, 3.1.
func GemmF32(dst []float32, dstStride int, a []float32, aStride int, w []float32, m, n, k int, bias []float32) {
	if !isStrided(len(dst), m, n, dstStride) || !isStrided(len(a), m, k, aStride) || len(w) != PackedF32Size(n, k) || !isNilOr(bias, n) {
		panic("simd: GemmF32: lengths do not match m, n, k and strides")
	}
	level := gemmF32Code.Level()
	var start [maxTileCols]float32
	var memory [maxTileRows*maxTileCols + lineBytes/4]float32
	scratch := &memory[toLine(unsafe.Pointer(&memory))/4]
	for j := 0; j < n; {
		panels := min(tilePanelsF32(level), (n-j+panelColumns-1)/panelColumns)
		columns := min(panels*panelColumns, n-j)
		if bias != nil {
			copy(start[:], bias[j:j+columns])
		}
		for i := 0; i < m; {
			rows := tileRowsF32(level, m-i)
			t := tileF32{
				a: unsafe.SliceData(a[min(i*aStride, len(a)):]), aStep: 4 * aStride,
				w: unsafe.SliceData(w[j*k:]), wStep: 4 * panelColumns * k,
				start: &start[0], sums: scratch, sumsStep: 4 * maxTileCols,
			}
			whole := columns == panels*panelColumns
			if whole {
				t.sums, t.sumsStep = &dst[i*dstStride+j], 4*dstStride
			}
			runCallsF32(level, t, rows, panels, k)
			if !whole {
				for r := range rows {
					from := unsafe.Slice((*float32)(unsafe.Add(unsafe.Pointer(scratch), 4*maxTileCols*r)), columns)
					copy(dst[(i+r)*dstStride+j:], from)
				}
			}
			i += rows
		}
		j += columns
	}
}

// tileF32 is what the assembly of a tile gets: fields of eight bytes, read in this order by the generator.
type tileF32 struct {
	a         *float32
	aStep     int      // bytes from one row to the next
	w         *float32 // first panel
	wStep     int      // bytes from one panel to the next
	start     *float32 // what the sums start from
	startStep int      // bytes from one row of it to the next; 0: all rows start alike
	sums      *float32
	sumsStep  int // bytes from one row to the next
	k         int
}

// runCallsF32 computes one tile, in as many calls as k needs.
func runCallsF32(level cpu.Level, t tileF32, rows, panels, k int) {
	for {
		t.k = min(kCall, k)
		runTileF32(level, &t, rows, panels)
		if k -= t.k; k == 0 {
			return
		}
		t.a = (*float32)(unsafe.Add(unsafe.Pointer(t.a), 4*kCall))
		t.w = (*float32)(unsafe.Add(unsafe.Pointer(t.w), 4*kCall*panelColumns))
		t.start, t.startStep = t.sums, t.sumsStep
	}
}

// genericRowsF32 is the number of rows of the largest tile in plain Go: with four columns at a time its
// sums fit the registers of amd64.
const genericRowsF32 = 2

func tileF32Generic(t *tileF32, rows int) {
	w := unsafe.Slice(t.w, t.k*panelColumns)
	row := func(p *float32, r, step int) unsafe.Pointer { return unsafe.Add(unsafe.Pointer(p), r*step) }
	a0 := unsafe.Slice(t.a, t.k)
	start0, sums0 := (*[panelColumns]float32)(unsafe.Pointer(t.start)), (*[panelColumns]float32)(unsafe.Pointer(t.sums))
	if rows == 1 {
		for c := 0; c < panelColumns; c += 4 {
			x, y, z, u := start0[c], start0[c+1], start0[c+2], start0[c+3]
			for i, v := range a0 {
				b := w[i*panelColumns+c:][:4]
				x, y, z, u = fma.F32(v, b[0], x), fma.F32(v, b[1], y), fma.F32(v, b[2], z), fma.F32(v, b[3], u)
			}
			sums0[c], sums0[c+1], sums0[c+2], sums0[c+3] = x, y, z, u
		}
		return
	}
	a1 := unsafe.Slice((*float32)(row(t.a, 1, t.aStep)), t.k)
	start1, sums1 := (*[panelColumns]float32)(row(t.start, 1, t.startStep)), (*[panelColumns]float32)(row(t.sums, 1, t.sumsStep))
	for c := 0; c < panelColumns; c += 4 {
		x0, y0, z0, u0 := start0[c], start0[c+1], start0[c+2], start0[c+3]
		x1, y1, z1, u1 := start1[c], start1[c+1], start1[c+2], start1[c+3]
		for i, v := range a0 {
			b, s := w[i*panelColumns+c:][:4], a1[i]
			x0, y0, z0, u0 = fma.F32(v, b[0], x0), fma.F32(v, b[1], y0), fma.F32(v, b[2], z0), fma.F32(v, b[3], u0)
			x1, y1, z1, u1 = fma.F32(s, b[0], x1), fma.F32(s, b[1], y1), fma.F32(s, b[2], z1), fma.F32(s, b[3], u1)
		}
		sums0[c], sums0[c+1], sums0[c+2], sums0[c+3] = x0, y0, z0, u0
		sums1[c], sums1[c+1], sums1[c+2], sums1[c+3] = x1, y1, z1, u1
	}
}
