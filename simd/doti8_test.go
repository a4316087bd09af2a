package simd

import (
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"github.com/maida-ai/gomai/internal/cpu"
)

// bytesOf returns n bytes: random ones, or the value of kind all over.
func bytesOf(r *rand.Rand, kind, n int) []int8 {
	v := make([]int8, n)
	for i := range v {
		if kind == 0 {
			v[i] = int8(r.Uint32())
		} else {
			v[i] = int8(kind)
		}
	}
	return v
}

// kindsI8 are pairs of what bytesOf makes: those that saturate, or that have no negative, come first.
var kindsI8 = [][2]int{{0, 0}, {-128, -128}, {-128, 127}, {127, -128}, {127, 127}, {-127, 127}, {0, -128}, {-128, 0}}

func TestReductionsI8(t *testing.T) { eachLevel(t, testReductionsI8) }

func testReductionsI8(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 12))
	for n := range 4*128 + 40 {
		for _, kind := range kindsI8 {
			a, b := bytesOf(r, kind[0], n+1)[1:], bytesOf(r, kind[1], n+1)[1:]
			a0, b0 := slices.Clone(a), slices.Clone(b)
			var dot, l2, aa, bb int64
			for i := range a {
				x, y := int64(a[i]), int64(b[i])
				dot, l2, aa, bb = dot+x*y, l2+(x-y)*(x-y), aa+x*x, bb+y*y
			}
			if got := DotI8(a, b); int64(got) != dot {
				t.Fatalf("DotI8, n=%d, kind %v: got %d, want %d", n, kind, got, dot)
			}
			if got := L2I8(a, b); int64(got) != l2 {
				t.Fatalf("L2I8, n=%d, kind %v: got %d, want %d", n, kind, got, l2)
			}
			cosine := 0.0
			if n > 0 {
				cosine = max(-1, min(1, float64(dot)/math.Sqrt(float64(aa*bb))))
			}
			if got := CosineI8(a, b); got != cosine {
				t.Fatalf("CosineI8, n=%d, kind %v: got %v, want %v", n, kind, got, cosine)
			}
			if !slices.Equal(a, a0) || !slices.Equal(b, b0) {
				t.Fatalf("n=%d: changed its input", n)
			}
		}
	}
}

// The longest vectors, all of the largest terms: the sums reach the end of int32 and no further.
func TestReductionsI8Longest(t *testing.T) { eachLevel(t, testReductionsI8Longest) }

func testReductionsI8Longest(t *testing.T) {
	low, high := bytesOf(nil, -128, maxDotI8), bytesOf(nil, 127, maxDotI8)
	if got, want := DotI8(low, low), int32(128*128*maxDotI8); got != want {
		t.Errorf("DotI8 of -128 and -128: got %d, want %d", got, want)
	}
	if got, want := DotI8(low, high), int32(-128*127*maxDotI8); got != want {
		t.Errorf("DotI8 of -128 and 127: got %d, want %d", got, want)
	}
	if got, want := L2I8(low[:maxL2I8], high[:maxL2I8]), int32(255*255*maxL2I8); got != want {
		t.Errorf("L2I8 of -128 and 127: got %d, want %d", got, want)
	}
	if got := CosineI8(low, low); got != 1 {
		t.Errorf("CosineI8 of -128 and -128: got %v, want 1", got)
	}
	if got := CosineI8(low, high); got != -1 {
		t.Errorf("CosineI8 of -128 and 127: got %v, want -1", got)
	}
}

func TestCosineI8OfZeros(t *testing.T) { eachLevel(t, testCosineI8OfZeros) }

func testCosineI8OfZeros(t *testing.T) {
	zero, one := make([]int8, 100), bytesOf(nil, 1, 100)
	if a, b, c := CosineI8(zero, one), CosineI8(one, zero), CosineI8(zero, zero); a != 0 || b != 0 || c != 0 {
		t.Errorf("a vector of zeros: got %v, %v, %v, want 0", a, b, c)
	}
}

func TestReductionsI8Shape(t *testing.T) {
	dot := func(a, b []int8) { DotI8(a, b) }
	l2 := func(a, b []int8) { L2I8(a, b) }
	cosine := func(a, b []int8) { CosineI8(a, b) }
	for _, c := range []struct {
		f      func(a, b []int8)
		na, nb int
		want   string
	}{
		{dot, 3, 4, "simd: DotI8: lengths differ"},
		{l2, 4, 3, "simd: L2I8: lengths differ"},
		{cosine, 3, 4, "simd: CosineI8: lengths differ"},
		{dot, 131072, 131072, "simd: DotI8: too long, the sum may overflow"},
		{l2, 33026, 33026, "simd: L2I8: too long, the sum may overflow"},
		{cosine, 131072, 131072, "simd: CosineI8: too long, the sums may overflow"},
	} {
		wantPanic(t, c.want, func() { c.f(make([]int8, c.na), make([]int8, c.nb)) })
	}
}

func wantPanic(t *testing.T, want string, f func()) {
	t.Helper()
	defer func() {
		if got := recover(); got != want {
			t.Errorf("panic %v, want %q", got, want)
		}
	}()
	f()
}

func TestReductionsI8DoNotAllocate(t *testing.T) { eachLevel(t, testReductionsI8DoNotAllocate) }

func testReductionsI8DoNotAllocate(t *testing.T) {
	a, b := make([]int8, 384), make([]int8, 384)
	if n := testing.AllocsPerRun(100, func() { DotI8(a, b); L2I8(a, b); CosineI8(a, b) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestReductionsI8StayInside(t *testing.T) { eachLevel(t, testReductionsI8StayInside) }

func testReductionsI8StayInside(t *testing.T) {
	const most = 300
	r := rand.New(rand.NewPCG(37, 38))
	lastA, firstA := guarded[int8](t, most)
	lastB, firstB := guarded[int8](t, most)
	for n := range most + 1 {
		for _, v := range [][2][]int8{{lastA[most-n:], lastB[most-n:]}, {firstA[:n], firstB[:n]}} {
			a, b := v[0], v[1]
			copy(a, bytesOf(r, 0, n))
			copy(b, bytesOf(r, 0, n))
			ab, aa, bb := cosineI8(a, b)
			ab0, aa0, bb0 := cosineI8Generic(a, b)
			if DotI8(a, b) != ab0 || L2I8(a, b) != l2I8Generic(a, b) || ab != ab0 || aa != aa0 || bb != bb0 {
				t.Fatalf("n=%d: not what the plain versions give", n)
			}
		}
	}
}

func FuzzReductionsI8(f *testing.F) {
	f.Add([]byte("sixteen and more, and more"), byte(3))
	f.Fuzz(func(t *testing.T, data []byte, shift byte) {
		v := make([]int8, min(len(data), 30000))
		for i := range v {
			v[i] = int8(data[i])
		}
		// Two windows of one array, so that they overlap.
		at := min(int(shift), len(v))
		a, b := v[at:], v[:len(v)-at]
		dot, l2 := dotI8Generic(a, b), l2I8Generic(a, b)
		ab, aa, bb := cosineI8Generic(a, b)
		for _, l := range cpu.Levels() {
			restore := cpu.Use(l, 0)
			if got := DotI8(a, b); got != dot {
				t.Errorf("DotI8, %v: got %d, want %d", l, got, dot)
			}
			if got := L2I8(a, b); got != l2 {
				t.Errorf("L2I8, %v: got %d, want %d", l, got, l2)
			}
			if x, y, z := cosineI8(a, b); x != ab || y != aa || z != bb {
				t.Errorf("CosineI8, %v: sums %d %d %d, want %d %d %d", l, x, y, z, ab, aa, bb)
			}
			restore()
		}
	})
}

// benchLevels runs f with all code that the primitive has, and says which it is.
func benchLevels(b *testing.B, p *cpu.Primitive, size string, f func()) {
	ran := map[cpu.Variant]bool{}
	for _, l := range cpu.Levels() {
		for _, hide := range []cpu.Feature{0, cpu.Available()} {
			restore := cpu.Use(l, hide)
			v := p.Variant()
			name := p.Name + "/" + v.Level.String()
			if v.Needs != 0 {
				name += "+" + v.Needs.String()
			}
			if !ran[v] {
				b.Run(name+"/"+size, func(b *testing.B) {
					for b.Loop() {
						f()
					}
				})
			}
			ran[v] = true
			restore()
		}
	}
}

func BenchmarkReductionsI8(b *testing.B) {
	r := rand.New(rand.NewPCG(13, 14))
	for _, n := range []int{384, 1536} {
		x, y := bytesOf(r, 0, n), bytesOf(r, 0, n)
		size := strconv.Itoa(n)
		benchLevels(b, dotI8Code, size, func() { DotI8(x, y) })
		benchLevels(b, l2I8Code, size, func() { L2I8(x, y) })
		benchLevels(b, cosineI8Code, size, func() { CosineI8(x, y) })
	}
}
