// Package metrics says how alike two vectors are. It holds plain functions of vectors: what runs them
// as steps of a pipeline stands in steps/, and how vectors are made, in models/.
//
// All functions share their edges: a NaN in gives a NaN out, two empty vectors are those of no
// dimension and count as zero vectors, and vectors of different lengths are a panic with constant
// text, as in simd. Compare is the entry for vectors of unknown origin and returns errors instead.
package metrics

import (
	"math"

	"github.com/maida-ai/gomai/simd"
)

// Dot returns the dot product of a and b, (n,) each, in their units multiplied. The error against the
// real value is that of simd.DotF32; a product beyond the range of float32 is computed in float64.
// It allocates nothing and panics if the lengths differ.
func Dot(a, b []float32) float64 {
	if d := simd.DotF32(a, b); finite(d) {
		return float64(d)
	}
	return dot64(a, b)
}

// Cosine returns the cosine of the angle between a and b, (n,) each: 1 for one direction, 0 for a
// right angle, -1 for opposite directions. If one of them is the zero vector it is 0; an infinite
// component makes it NaN. The error is at most (n/64+8) * 2^-23, less than 2e-6 at 384 components, for
// tiny and huge vectors too. It allocates nothing and panics if the lengths differ.
func Cosine(a, b []float32) float64 {
	return simd.CosineF32(a, b)
}

// Euclidean returns the distance between a and b, (n,) each, in their units. The relative error is
// at most (n/64+10) * 2^-25, less than 5e-7 at 384 components, for tiny and huge vectors too. It
// allocates nothing and panics if the lengths differ.
func Euclidean(a, b []float32) float64 {
	if d := simd.L2F32(a, b); normalSquare(d) {
		return math.Sqrt(float64(d))
	}
	var sum float64
	for i := range a {
		d := float64(a[i]) - float64(b[i])
		sum += d * d
	}
	return math.Sqrt(sum)
}

// normalSquare says whether a sum of squares in float32 lost nothing to overflow or underflow. Below
// the threshold single squares may be denormal, down to zero for vectors that are not.
func normalSquare(s float32) bool {
	return s > 0x1p-80 && s <= math.MaxFloat32
}

func finite(x float32) bool {
	return x-x == 0
}

// dot64 is the dot product in float64, which holds every product of float32 values.
func dot64(a, b []float32) float64 {
	var sum float64
	for i := range a {
		sum += float64(a[i]) * float64(b[i])
	}
	return sum
}
