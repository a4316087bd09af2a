// Package fma is float32 arithmetic with one rounding in plain Go: the oracle of the fused instructions.
package fma

import "math"

// F32 returns a*b + c, rounded once, as the fused instructions do. The product is exact in float64;
// their sum there may not be.
func F32(a, b, c float32) float32 {
	if sum := float64(a)*float64(b) + float64(c); RoundsAgain(sum) {
		return float32(sum)
	}
	return Exact(a, b, c)
}

// RoundsAgain says whether a rounded sum can be rounded to float32 as if it had not been. That goes wrong
// only where it lies half-way between two float32, which have 29 bits less, or is too small for all bits
// of a float32.
func RoundsAgain(sum float64) bool {
	const less, least = 1<<29 - 1, (1023 - 126) << 52
	bits := math.Float64bits(sum)
	return bits&less != 1<<28 && bits&^(1<<63) > least
}

// Exact is F32 without its short cut: it rounds the sum to odd, which keeps it off the half-way points.
func Exact(a, b, c float32) float32 {
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
