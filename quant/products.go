package quant

import (
	"context"
	"math"
	"unsafe"
)

// Project makes queries, keys and values of activations.
func (w *Workspace) Project(ctx context.Context, first, end int, l *Layer) error {
	if w.hasProducts() {
		return w.projectFast(ctx, first, end, l)
	}
	for b := first; b < end; b++ {
		for j := 0; j < 3*w.shape.Hidden; j += lanes {
			if err := ctx.Err(); err != nil {
				return err
			}
			w.projectGeneric(b, j, l)
		}
	}
	return nil
}

// projectGeneric makes sixteen components, from column j of the weights on, of block b.
func (w *Workspace) projectGeneric(b, j int, l *Layer) {
	h := w.shape.Hidden
	sums := multiply(w.activations[bytesAt(h, b, 0, 0):], l.QKV.panel(j, h))
	for r := range blockRows {
		row := b*blockRows + r
		for i, sum := range sums[r] {
			y := toInt(l.QKV.apply(j+i, sum, w.rowScale[row], w.rowLow[row]))
			switch part, c := j/h, j%h+i; part {
			case 0:
				w.queries[bytesAt(h, b, r, c)] = uint8(min(max(y, 0), math.MaxUint8))
			case 1:
				w.keys[w.keyAt(b, r, c)] = int8(min(max(y, math.MinInt8), math.MaxInt8))
			default:
				w.values[w.valueAt(b, r, c)] = int8(min(max(y, math.MinInt8), math.MaxInt8))
			}
		}
	}
}

// panel returns the weights of the sixteen columns from j on, [k/4][16][4].
func (l *Linear) panel(j, k int) []int8 { return l.Weights[j*k:][:lanes*k] }

// multiply returns the sums of products of a block of rows, which a begins with, and a panel of columns.
func multiply(a []uint8, panel []int8) (sums [blockRows][lanes]int32) {
	// Two rows share a multiplication: the sum of the one stands 32 bits above that of the other, from
	// which it has borrowed 1 if that is negative.
	var pairs [blockRows / 2][lanes]int64
	for len(panel) > 0 {
		x, y := [blockRows * 4]uint8(a), [lanes * 4]int8(panel)
		for p := range pairs {
			x := x[2*4*p:][:2*4]
			x0, x1 := int64(x[0])|int64(x[4])<<32, int64(x[1])|int64(x[5])<<32
			x2, x3 := int64(x[2])|int64(x[6])<<32, int64(x[3])|int64(x[7])<<32
			for c := range lanes {
				pairs[p][c] += x0*int64(y[4*c]) + x1*int64(y[4*c+1]) + x2*int64(y[4*c+2]) + x3*int64(y[4*c+3])
			}
		}
		a, panel = a[blockRows*4:], panel[lanes*4:]
	}
	for p := range pairs {
		for c, v := range pairs[p] {
			low := int32(v)
			sums[2*p][c], sums[2*p+1][c] = low, int32((v-int64(low))>>32)
		}
	}
	return sums
}

// Out adds the output of attention to the states.
func (w *Workspace) Out(ctx context.Context, s *Scratch, first, end int, l *Layer) error {
	h := w.shape.Hidden
	if w.hasProducts() {
		return w.outFast(ctx, s, first, end, l)
	}
	for b := range end - first {
		for j := 0; j < h; j += lanes {
			if err := ctx.Err(); err != nil {
				return err
			}
			sums := multiply(s.contextBytes[bytesAt(h, b, 0, 0):], l.Out.panel(j, h))
			w.addGeneric(first+b, j, &sums, &l.Out, s.contextScale[b*blockRows:], s.contextLow[b*blockRows:])
		}
	}
	return nil
}

// addGeneric adds the outputs of a Linear, sixteen from j on, to the states of block b; low is nil where
// the Linear needs none.
func (w *Workspace) addGeneric(b, j int, sums *[blockRows][lanes]int32, l *Linear, scale, low []float32) {
	for r := range blockRows {
		var rowLow float32
		if low != nil {
			rowLow = low[r]
		}
		for i, sum := range sums[r] {
			w.state[w.stateAt(b, r, j+i)] += l.apply(j+i, sum, scale[r], rowLow)
		}
	}
}

// Up makes the inner activations: 16-bit quanta, and then bytes in their place.
func (w *Workspace) Up(ctx context.Context, s *Scratch, first, end int, l *Layer) error {
	if err := w.innerQuanta(ctx, s, first, end, l); err != nil {
		return err
	}
	for b := range end - first {
		w.innerBlock(s, b, l)
	}
	return nil
}

// innerQuanta makes the quanta of the inner activations and finds the greatest ones.
func (w *Workspace) innerQuanta(ctx context.Context, s *Scratch, first, end int, l *Layer) error {
	clear(s.innerMax[:(end-first)*blockRows*lanes])
	if w.hasProducts() {
		return w.innerQuantaFast(ctx, s, first, end, l)
	}
	for b := range end - first {
		for j := 0; j < w.shape.Inner; j += lanes {
			if err := ctx.Err(); err != nil {
				return err
			}
			w.upGeneric(s, first, b, j, l)
		}
	}
	return nil
}

// upGeneric makes sixteen quanta, from column j on, of block b of s, and finds the greatest ones.
func (w *Workspace) upGeneric(s *Scratch, first, b, j int, l *Layer) {
	h, n := w.shape.Hidden, w.shape.Inner
	sums := multiply(w.activations[bytesAt(h, first+b, 0, 0):], l.Up.panel(j, h))
	for r := range blockRows {
		row := (first+b)*blockRows + r
		for i, sum := range sums[r] {
			y := l.Activation.apply(saturate16(toInt(l.Up.apply(j+i, sum, w.rowScale[row], w.rowLow[row]))))
			s.inner[innerAt(n, b, r, j+i)] = y
			greatest := &s.innerMax[innerAt(lanes, b, r, i)]
			*greatest = max(*greatest, y)
		}
	}
}

// innerFactors says how the quanta of the rows of block b of s become bytes, and notes their scales.
func (s *Scratch) innerFactors(b int, l *Layer) (factor [blockRows]int32) {
	for r := range blockRows {
		var greatest int16
		for i := range lanes {
			greatest = max(greatest, s.innerMax[innerAt(lanes, b, r, i)])
		}
		factor[r] = byteFactor(greatest)
		s.innerScale[b*blockRows+r] = float32(32768/l.Activation.Units()) / float32(factor[r])
	}
	return factor
}

// innerBytesGeneric makes bytes of the quanta of block b of s, in their place.
func (w *Workspace) innerBytesGeneric(s *Scratch, b int, l *Layer) {
	n := w.shape.Inner
	factor := s.innerFactors(b, l)
	quanta, bytes := s.inner[innerAt(n, b, 0, 0):], s.innerBytes(n, b)
	for j := 0; j < n; j += lanes {
		// Sixteen columns become bytes where those before have been.
		group := [blockRows * lanes]int16(quanta[j*blockRows:])
		for r := range blockRows {
			for i := range lanes {
				bytes[bytesAt(n, 0, r, j+i)] = toByte(group[innerAt(lanes, 0, r, i)], factor[r])
			}
		}
	}
}

// innerBytes are the bytes that the quanta of block b become: in the first half of their memory.
func (s *Scratch) innerBytes(inner, b int) []uint8 {
	quanta := s.inner[b*blockRows*inner:][:blockRows*inner]
	return unsafe.Slice((*uint8)(unsafe.Pointer(unsafe.SliceData(quanta))), len(quanta))
}

// Down adds the output of the inner network to the states.
func (w *Workspace) Down(ctx context.Context, s *Scratch, first, end int, l *Layer) error {
	n := w.shape.Inner
	if w.hasProducts() {
		return w.downFast(ctx, s, first, end, l)
	}
	for b := range end - first {
		for j := 0; j < w.shape.Hidden; j += lanes {
			if err := ctx.Err(); err != nil {
				return err
			}
			sums := multiply(s.innerBytes(n, b), l.Down.panel(j, n))
			w.addGeneric(first+b, j, &sums, &l.Down, s.innerScale[b*blockRows:], nil)
		}
	}
	return nil
}
