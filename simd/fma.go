package simd

import "math"

// fma32 returns a*b + c, rounded once, as the fused instructions do. The product is exact in float64;
// their sum there may not be.
func fma32(a, b, c float32) float32 {
	if sum := float64(a)*float64(b) + float64(c); roundsAgain(sum) {
		return float32(sum)
	}
	return fma32Exact(a, b, c)
}

// roundsAgain says whether a rounded sum can be rounded to float32 as if it had not been. That goes wrong
// only where it lies half-way between two float32, which have 29 bits less, or is too small for all bits
// of a float32.
func roundsAgain(sum float64) bool {
	const less, least = 1<<29 - 1, (1023 - 126) << 52
	bits := math.Float64bits(sum)
	return bits&less != 1<<28 && bits&^(1<<63) > least
}

// fma32Exact rounds the sum to odd, which keeps it off the half-way points.
func fma32Exact(a, b, c float32) float32 {
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
