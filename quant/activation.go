package quant

import "math"

// Activation is a function f with f(x) = max(x, 0) - lack(|x|), where lack is zero from 4 on: GELU in its
// forms, and ReLU. It works on int16 quanta of which 32<<Shift are 1, and adds Zero so that none of its
// values is negative.
type Activation struct {
	Shift uint8
	Zero  uint8      // quanta
	Table [128]uint8 // Zero - lack, in quanta, in the middle of i/32 <= |x| < (i+1)/32; Zero for the last, which stands for all beyond
}

// maxShift is that of the finest quanta: 1024 to 1, with which values reach 32.
const maxShift = 5

// NewActivation makes the table of f, for values up to limit.
func NewActivation(f func(x float64) float64, limit float64) (a Activation, ok bool) {
	a.Shift = maxShift
	for ; limit > 32767/float64(a.Units()); a.Shift-- {
		if a.Shift == 0 {
			return a, false
		}
	}
	units := float64(a.Units())
	var least float64
	for i := range a.Table {
		least = min(least, f(-(float64(i)+0.5)/32))
	}
	zero := math.Ceil(-least*units) + 4 // some room for the rounding of the ends
	if zero > 255 {
		return a, false
	}
	a.Zero = uint8(zero)
	for i := range a.Table {
		x := (float64(i) + 0.5) / 32
		if math.Abs(f(x)-x-f(-x)) > 1e-6 { // not of this form
			return a, false
		}
		a.Table[i] = uint8(math.RoundToEven(zero + units*f(-x)))
	}
	if math.Abs(f(-4)) > 1e-3 {
		return a, false
	}
	a.Table[127] = a.Zero
	return a, true
}

// Units is how many quanta are 1.
func (a *Activation) Units() int { return 32 << a.Shift }

// Low is what a byte 0 of the activation's output stands for, in reals.
func (a *Activation) Low() float32 { return -float32(a.Zero) / float32(a.Units()) }

// apply returns f(x) + Zero.
func (a *Activation) apply(x int16) int16 {
	magnitude := uint16(x)
	if x < 0 {
		magnitude = -magnitude
	}
	return saturate16(int32(max(x, 0)) + int32(a.Table[min(magnitude>>a.Shift, 127)]))
}

// leastRange is the least that the greatest value of a row counts as, in quanta: below it a byte would
// stand for less than a quantum.
const leastRange = 260

// byteFactor returns the factor that brings a row with this greatest value to bytes, in 1/32768.
func byteFactor(greatest int16) int32 { return 255 * 32768 / int32(max(greatest, leastRange)) }

// toByte is a quantum times the factor, rounded.
func toByte(v int16, factor int32) uint8 {
	return uint8(min(max((int32(v)*factor+1<<14)>>15, 0), 255))
}

func saturate16(v int32) int16 { return int16(min(max(v, math.MinInt16), math.MaxInt16)) }
