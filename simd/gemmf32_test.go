package simd

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/maida-ai/gomai/internal/cpu"
)

// A caseF32 is a product of matrices that lie in memory that must not be left, with gaps between rows.
type caseF32 struct {
	m, n, k            int
	aStride, dstStride int
	a, b, w, bias, dst []float32 // b is (n, k), without gaps; w is b packed
}

const poisonF32 = 12345

func newCaseF32(t *testing.T, r *rand.Rand, m, n, k int) caseF32 {
	t.Helper()
	c := caseF32{m: m, n: n, k: k, aStride: k + r.IntN(3)*r.IntN(20), dstStride: n + r.IntN(3)*r.IntN(20)}
	random := func(n int) []float32 {
		if n == 0 {
			return nil
		}
		last, first := guarded[float32](t, n)
		v := last
		if r.IntN(2) == 0 {
			v = first
		}
		for i := range v {
			v[i] = float32(r.NormFloat64() * math.Exp2(float64(r.IntN(8))))
		}
		return v
	}
	c.a, c.b, c.bias = random(max(0, (m-1)*c.aStride+k)), random(n*k), random(n)
	if r.IntN(3) == 0 {
		c.bias = nil
	}
	c.w = random(PackedF32Size(n, k))
	PackF32(c.w, c.b, n, k, k)
	c.dst = random(max(0, (m-1)*c.dstStride+n))
	for i := range c.dst {
		c.dst[i] = poisonF32
	}
	return c
}

func (c caseF32) run() { GemmF32(c.dst, c.dstStride, c.a, c.aStride, c.w, c.m, c.n, c.k, c.bias) }

// check compares every element with the sum in float64 and the gaps with what was there.
func (c caseF32) check(t *testing.T) {
	t.Helper()
	for at, got := range c.dst {
		i, j := at/c.dstStride, at%c.dstStride
		if j >= c.n {
			if got != poisonF32 {
				t.Fatalf("m=%d, n=%d, k=%d: wrote %v beyond row %d", c.m, c.n, c.k, got, i)
			}
			continue
		}
		sum := float64(orElse(c.bias, j, 0))
		abs := math.Abs(sum)
		for l := range c.k {
			v := float64(c.a[i*c.aStride+l]) * float64(c.b[j*c.k+l])
			sum += v
			abs += math.Abs(v)
		}
		tolerance := float64(c.k+1)*0x1p-23*abs + float64(c.k)*0x1p-149
		if diff := math.Abs(float64(got) - sum); !(diff <= tolerance) {
			t.Fatalf("m=%d, n=%d, k=%d: element %d, %d is %v, want %v within %v", c.m, c.n, c.k, i, j, got, sum, tolerance)
		}
	}
}

func TestGemmF32(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(21, 22))
		for _, s := range [][3]int{{0, 3, 3}, {3, 0, 3}, {5, 3, 0}, {3, 50, 2*kCall + 3}, {1, 384, 384}} {
			c := newCaseF32(t, r, s[0], s[1], s[2])
			c.run()
			if c.n > 0 {
				c.check(t)
			}
		}
		for m := 1; m <= 20; m++ {
			for n := 1; n <= 100; n++ {
				if r.IntN(5) == 0 || n%16 < 2 {
					c := newCaseF32(t, r, m, n, 1+r.IntN(60))
					c.run()
					c.check(t)
				}
			}
		}
	})
}

// An element is the same whatever is computed beside it and wherever it lies, and at all levels of x86.
func TestGemmF32DependsOnRowAndColumnOnly(t *testing.T) {
	r := rand.New(rand.NewPCG(23, 24))
	const m, n, k = 23, 85, 70
	c := newCaseF32(t, r, m, n, k)
	var whole []float32
	eachLevel(t, func(t *testing.T) {
		c.run()
		got := slices.Clone(c.dst)
		if l, _ := cpu.Detect(); l == cpu.Generic || whole == nil {
			whole = got
		} else if !slices.Equal(got, whole) {
			t.Errorf("differs from a higher level")
		}
		for i := range m {
			for j := 0; j < n; j += 1 + r.IntN(40) {
				columns := 1 + r.IntN(min(60, n-j))
				w, dst := make([]float32, PackedF32Size(columns, k)+1)[1:], make([]float32, columns)
				PackF32(w, c.b[j*k:], columns, k, k)
				var bias []float32
				if c.bias != nil {
					bias = c.bias[j : j+columns]
				}
				GemmF32(dst, columns, c.a[i*c.aStride:][:k], k, w, 1, columns, k, bias)
				if want := got[i*c.dstStride+j:][:columns]; !slices.Equal(dst, want) {
					t.Fatalf("row %d, columns %d to %d alone: %v, in the product %v", i, j, j+columns, dst, want)
				}
			}
		}
	})
}

func TestPackF32(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(25, 26))
		for range 300 {
			n, k := 1+r.IntN(70), 1+r.IntN(70)
			stride := k + r.IntN(9)
			src, _ := guarded[float32](t, (n-1)*stride+k)
			for i := range src {
				src[i] = r.Float32()
			}
			dst, _ := guarded[float32](t, PackedF32Size(n, k))
			for i := range dst {
				dst[i] = poisonF32
			}
			PackF32(dst, src, n, k, stride)
			columns := make([]float32, n*k)
			for i, got := range dst {
				j, l := i/(16*k)*16+i%16, i/16%k
				want := float32(0)
				if j < n {
					want = src[j*stride+l]
					columns[l*n+j] = want
				}
				if got != want {
					t.Fatalf("n=%d, k=%d, stride %d: element %d is %v, want %v", n, k, stride, i, got, want)
				}
			}
			transposed := make([]float32, len(dst))
			PackColumnsF32(transposed, columns, n, k, n)
			if !slices.Equal(transposed, dst) {
				t.Fatalf("n=%d, k=%d: PackColumnsF32 of the transposed gives something else", n, k)
			}
		}
	})
}

func TestGemmF32Shape(t *testing.T) {
	const m, n, k = 3, 5, 7
	dst, a, w := make([]float32, m*n), make([]float32, m*k), make([]float32, PackedF32Size(n, k))
	const shape = "simd: GemmF32: lengths do not match m, n, k and strides"
	mustPanic(t, shape, func() { GemmF32(dst[1:], n, a, k, w, m, n, k, nil) })
	mustPanic(t, shape, func() { GemmF32(dst, n, a[1:], k, w, m, n, k, nil) })
	mustPanic(t, shape, func() { GemmF32(dst, n, a, k, w[1:], m, n, k, nil) })
	mustPanic(t, shape, func() { GemmF32(dst, n-1, a, k, w, m, n, k, nil) })
	mustPanic(t, shape, func() { GemmF32(dst, n, a, k-1, w, m, n, k, nil) })
	mustPanic(t, shape, func() { GemmF32(dst, n, a, k, w, m, n, k, make([]float32, n-1)) })
	mustPanic(t, shape, func() { GemmF32(dst, n, a, k, w, -1, n, k, nil) })
	mustPanic(t, "simd: PackF32: lengths do not match n, k and stride", func() { PackF32(w, a, n, k, k) })
	mustPanic(t, "simd: PackF32: lengths do not match n, k and stride", func() { PackF32(w[1:], make([]float32, n*k), n, k, k) })
	mustPanic(t, "simd: PackColumnsF32: lengths do not match n, k and stride", func() { PackColumnsF32(w, make([]float32, n*k), n, k, n-1) })
	mustPanic(t, "simd: PackedF32Size: negative size", func() { PackedF32Size(1, -1) })
}

func TestGemmF32DoesNotAllocate(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		c := newCaseF32(t, rand.New(rand.NewPCG(27, 28)), 9, 50, 40)
		if got := testing.AllocsPerRun(20, c.run); got != 0 {
			t.Errorf("%v allocations", got)
		}
	})
}
