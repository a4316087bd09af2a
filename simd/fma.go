package simd

import "math"

// fma32 returns a*b + c, rounded once, as the fused instructions do. The product is exact in float64.
// Their sum there may not be, and rounding it a second time could go wrong where it lies half-way between
// two float32: so it is rounded to odd, which keeps it off the half-way points.
func fma32(a, b, c float32) float32 {
	product, addend := float64(a)*float64(b), float64(c)
	sum := product + addend
	// What the sum lost, exactly (Knuth's TwoSum).
	back := sum - product
	lost := (product - (sum - back)) + (addend - back)
	if bits := math.Float64bits(sum); lost != 0 && bits&1 == 0 && lost-lost == 0 {
		if (lost > 0) == (sum > 0) {
			bits++
		} else {
			bits--
		}
		sum = math.Float64frombits(bits)
	}
	return float32(sum)
}
