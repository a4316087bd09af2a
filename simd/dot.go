// Package simd holds the numeric primitives: loops over vectors and matrices of plain numbers. In
// this project "kernel" means the loop that runs a pipeline, so these are called primitives. They know
// nothing of models, files or pipelines, allocate nothing, and panic, with constant text, on a shape
// mistake. Each has a version in plain Go, which is the oracle for every faster one. Whatever returns
// an error or needs a goroutine belongs on a floor above.
package simd

import (
	"math"

	"github.com/maida-ai/gomai/internal/cpu"
)

var (
	dotF32Code = cpu.Implement("DotF32", cpu.Variant{Level: cpu.AVX512}, cpu.Variant{Level: cpu.AVX2})
	l2F32Code  = cpu.Implement("L2F32", cpu.Variant{Level: cpu.AVX512}, cpu.Variant{Level: cpu.AVX2})
)

// lanes is the number of partial sums that a float32 reduction keeps: four accumulators of 16 lanes.
// Term i goes to partial sum i % lanes, in order of i; then the upper half of the partial sums is
// added to the lower half until one is left. Products are rounded before they are added, never fused,
// so that all levels and architectures give the same bits: emulating a fused float32 step in plain Go
// costs four times as much, and with four accumulators in flight fusing gains nothing in assembly.
//
// A vector longer than chunk is reduced in pieces of chunk elements, whose sums are added in order.
const lanes = 64

// chunk is the most elements that one call of assembly gets: the garbage collector cannot stop it, so
// it must be short.
const chunk = 1 << 15

// lastChunk returns where the last piece of n > chunk elements begins.
func lastChunk(n int) int { return (n - 1) / chunk * chunk }

// DotF32 returns the sum of a[i]*b[i].
//
//	for i := range a { sum[i%64] += a[i] * b[i] }
//
// Shape:  a, b (n,), n >= 0; 0 for n = 0.
// Units:  those of a times those of b.
// Panics: if len(a) != len(b).
// Cost:   no allocation; a and b may overlap.
// Exact:  bit-identical on every level. The error against the real sum is at most
// (n/64+8) * 2^-24 * sum(|a[i]*b[i]|), plus n * 2^-149 where products underflow; a sum beyond the
// range of float32 is infinite or NaN.
// Source: the definition; the bound is Higham, Accuracy and Stability of Numerical Algorithms, 3.1.
func DotF32(a, b []float32) float32 {
	if len(a) != len(b) {
		panic("simd: DotF32: lengths differ")
	}
	return dotF32(a, b)
}

func dotF32Generic(a, b []float32) float32 {
	if len(a) > chunk {
		cut := lastChunk(len(a))
		return dotF32Generic(a[:cut], b[:cut]) + dotF32Generic(a[cut:], b[cut:])
	}
	var sum [lanes]float32
	for len(a) >= lanes {
		x, y := (*[lanes]float32)(a), (*[lanes]float32)(b)
		for l := range sum {
			sum[l] += float32(x[l] * y[l])
		}
		a, b = a[lanes:], b[lanes:]
	}
	for l := range a {
		sum[l] += float32(a[l] * b[l])
	}
	return fold(&sum)
}

// L2F32 returns the square of the Euclidean distance, the sum of (a[i]-b[i])^2.
//
//	for i := range a { d := a[i] - b[i]; sum[i%64] += d * d }
//
// Shape:  a, b (n,), n >= 0; 0 for n = 0.
// Units:  the square of those of a and b.
// Panics: if len(a) != len(b).
// Cost:   no allocation; a and b may overlap.
// Exact:  bit-identical on every level. The error against the real sum is at most
// (n/64+10) * 2^-24 times that sum, plus n * 2^-149 where squares underflow; a sum beyond the
// range of float32 is infinite.
// Source: the definition; the bound is Higham, Accuracy and Stability of Numerical Algorithms, 3.1.
func L2F32(a, b []float32) float32 {
	if len(a) != len(b) {
		panic("simd: L2F32: lengths differ")
	}
	return l2F32(a, b)
}

func l2F32Generic(a, b []float32) float32 {
	if len(a) > chunk {
		cut := lastChunk(len(a))
		return l2F32Generic(a[:cut], b[:cut]) + l2F32Generic(a[cut:], b[cut:])
	}
	var sum [lanes]float32
	for len(a) >= lanes {
		x, y := (*[lanes]float32)(a), (*[lanes]float32)(b)
		for l := range sum {
			d := x[l] - y[l]
			sum[l] += float32(d * d)
		}
		a, b = a[lanes:], b[lanes:]
	}
	for l := range a {
		d := a[l] - b[l]
		sum[l] += float32(d * d)
	}
	return fold(&sum)
}

// NormF32 returns the Euclidean norm of a, the square root of the sum of a[i]*a[i].
//
//	for i := range a { sum += a[i] * a[i] }; sqrt(sum)
//
// Shape:  a (n,), n >= 0; 0 for n = 0.
// Units:  those of a.
// Panics: never.
// Cost:   no allocation.
// Exact:  bit-identical on every level. The relative error is at most (n/64+8) * 2^-25, for tiny and
// huge vectors too: where the squares do not fit into float32, they are summed in float64. It is
// NaN if a component is, else infinite if a component is.
// Source: the definition.
func NormF32(a []float32) float64 {
	if s := dotF32(a, a); normalSquare(s) {
		return math.Sqrt(float64(s))
	}
	return math.Sqrt(dot64(a, a))
}

// normalSquare says whether a sum of squares in float32 lost nothing to overflow or underflow. Below
// the threshold single squares may be denormal, down to zero for vectors that are not.
func normalSquare(s float32) bool { return s > 0x1p-80 && s <= math.MaxFloat32 }

// dot64 is the dot product in float64, which holds every product of float32 values.
func dot64(a, b []float32) float64 {
	var sum float64
	for i := range a {
		sum += float64(a[i]) * float64(b[i])
	}
	return sum
}

// fold adds the partial sums up: 64 to 32, to 16, ... to 1.
func fold(sum *[lanes]float32) float32 {
	for w := lanes / 2; w > 0; w /= 2 {
		for l := range w {
			sum[l] += sum[l+w]
		}
	}
	return sum[0]
}
