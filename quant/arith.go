package quant

import (
	"math"

	"github.com/maida-ai/gomai/internal/fma"
)

// lanes is the number of partial sums of a reduction: element i goes to sum i%lanes.
const lanes = 16

// reduce adds partial sums pairwise: the upper half to the lower, until one is left.
func reduce(sum *[lanes]float32) float32 {
	for half := lanes / 2; half > 0; half /= 2 {
		for i := range half {
			sum[i] += sum[i+half]
		}
	}
	return sum[0]
}

// toInt rounds to the nearest integer, ties to even, as VCVTPS2DQ does: what is no int32 becomes the least.
func toInt(v float32) int32 {
	r := math.RoundToEven(float64(v))
	if !(r >= math.MinInt32 && r <= math.MaxInt32) {
		return math.MinInt32
	}
	return int32(r)
}

// apply returns y[j] of a Linear for a sum of products.
func (l *Linear) apply(j int, sum int32, scale, low float32) float32 {
	y := l.Bias[j]
	if l.Offset != nil {
		y = fma.F32(low, l.Offset[j], y)
	}
	return fma.F32(scale, float32(sum)*l.Scale[j], y)
}

// rowQuanta are how a row of reals between low and high becomes bytes: q = round(x*inverse + offset), x = scale*q + low.
type rowQuanta struct{ inverse, offset, scale, low float32 }

func newRowQuanta(low, high float32) rowQuanta {
	const least = 1e-8 // a row whose elements are all alike
	width := max(high-low, least)
	negative := 0 - low
	inverse := 255 / width
	return rowQuanta{
		inverse: inverse,
		offset:  float32(negative * inverse),
		scale:   float32(width * (1. / 255)),
		low:     0 - negative, // +0 for -0, which minima may or may not find
	}
}

func (q *rowQuanta) quantum(x float32) uint8 {
	return uint8(min(max(toInt(fma.F32(x, q.inverse, q.offset)), 0), 255))
}

// exp is e^x within 7e-6 of it, relatively, for -83 < x < 55, and half of that near 0; x is cut to about that.
func exp(x float32) float32 {
	x = min(max(float32(x*math.Log2E), -120), 80)
	n := float32(math.RoundToEven(float64(x)))
	f := x - n
	p := float32(1.3333558e-3)
	for _, c := range [...]float32{9.6181291e-3, 5.5504109e-2, 2.4022651e-1, 6.9314718e-1, 1} {
		p = fma.F32(p, f, c)
	}
	return p * math.Float32frombits(uint32(int32(n)+127)<<23)
}

// The table of exponentials: expTable[i] is 255*e^(-i*expRange/(expSteps-1)), rounded, and the last entry
// is zero.
const (
	expSteps = 128
	expRange = 6.25
)

var expTable = func() (table [expSteps]uint8) {
	for i := range expSteps - 1 {
		table[i] = uint8(math.RoundToEven(255 * math.Exp(-float64(i)*expRange/(expSteps-1))))
	}
	return table
}()
