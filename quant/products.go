package quant

import (
	"context"
	"math"
)

// Project makes queries, keys and values of activations.
func (w *Workspace) Project(ctx context.Context, first, end int, l *Layer) error {
	h := w.shape.Hidden
	for b := first; b < end; b++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		for r := range blockRows {
			row := b*blockRows + r
			for j := range 3 * h {
				sum := dot(w.activations, h, b, r, &l.QKV, j)
				y := toInt(l.QKV.apply(j, sum, w.rowScale[row], w.rowLow[row]))
				switch part, c := j/h, j%h; part {
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
	return nil
}

// dot is the sum of products of row r of block b of bytes with column j of the weights.
func dot(a []uint8, columns, b, r int, l *Linear, j int) int32 {
	var sum int32
	panel := l.Weights[j/16*16*columns+j%16*4:]
	row := a[bytesAt(columns, b, r, 0):]
	for i := 0; i < columns; i += 4 {
		x, y := row[4*i:][:4], panel[16*i:][:4]
		sum += int32(x[0])*int32(y[0]) + int32(x[1])*int32(y[1]) + int32(x[2])*int32(y[2]) + int32(x[3])*int32(y[3])
	}
	return sum
}

// Out adds the output of attention to the states.
func (w *Workspace) Out(ctx context.Context, s *Scratch, first, end int, l *Layer) error {
	h := w.shape.Hidden
	for b := range end - first {
		if err := ctx.Err(); err != nil {
			return err
		}
		for r := range blockRows {
			row := b*blockRows + r
			for j := range h {
				sum := dot(s.contextBytes, h, b, r, &l.Out, j)
				w.state[w.stateAt(first+b, r, j)] += l.Out.apply(j, sum, s.contextScale[row], s.contextLow[row])
			}
		}
	}
	return nil
}

// Up makes the inner activations: 16-bit quanta, and then bytes in their place.
func (w *Workspace) Up(ctx context.Context, s *Scratch, first, end int, l *Layer) error {
	h, n := w.shape.Hidden, w.shape.Inner
	for b := range end - first {
		if err := ctx.Err(); err != nil {
			return err
		}
		for r := range blockRows {
			row := (first+b)*blockRows + r
			var greatest int16
			for j := range n {
				sum := dot(w.activations, h, first+b, r, &l.Up, j)
				y := l.Activation.apply(saturate16(toInt(l.Up.apply(j, sum, w.rowScale[row], w.rowLow[row]))))
				s.inner[innerAt(n, b, r, j)] = y
				greatest = max(greatest, y)
			}
			factor := byteFactor(greatest)
			s.innerScale[b*blockRows+r] = float32(32768/l.Activation.Units()) / float32(factor)
			// What follows would overwrite other rows' quanta, so each row's bytes wait in its own: the low
			// halves, until all rows are done.
			for j := range n {
				s.inner[innerAt(n, b, r, j)] = int16(toByte(s.inner[innerAt(n, b, r, j)], factor))
			}
		}
	}
	return nil
}

// Down adds the output of the inner network to the states.
func (w *Workspace) Down(ctx context.Context, s *Scratch, first, end int, l *Layer) error {
	h, n := w.shape.Hidden, w.shape.Inner
	for b := range end - first {
		if err := ctx.Err(); err != nil {
			return err
		}
		for r := range blockRows {
			scale := s.innerScale[b*blockRows+r]
			for j := range h {
				var sum int32
				for i := range n {
					sum += int32(s.inner[innerAt(n, b, r, i)]) * int32(l.Down.Weights[j/16*16*n+i/4*64+j%16*4+i%4])
				}
				w.state[w.stateAt(first+b, r, j)] += l.Down.apply(j, sum, scale, 0)
			}
		}
	}
	return nil
}
