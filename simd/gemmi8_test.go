package simd

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// randomBytes mixes random numbers with the extremes that saturate 16 bits.
func randomI8(r *rand.Rand, n int) []int8 {
	v := make([]int8, n)
	for i := range v {
		v[i] = int8(r.IntN(256) - 128)
		if r.IntN(4) == 0 {
			v[i] = []int8{-128, 127}[r.IntN(2)]
		}
	}
	return v
}

func randomU8(r *rand.Rand, n int) []uint8 {
	v := make([]uint8, n)
	for i, x := range randomI8(r, n) {
		v[i] = uint8(x) ^ 0x80
	}
	return v
}

// naiveI8 is the product as the documentation words it.
func naiveI8[T uint8 | int8](a []T, w []int8, m, n, k int) []int32 {
	dst := make([]int32, m*n)
	for i := range m {
		for j := range n {
			for l := range k {
				dst[i*n+j] += int32(a[i*k+l]) * int32(w[j*k+l])
			}
		}
	}
	return dst
}

func packedI8(w []int8, n, k int) []int8 {
	p := make([]int8, PackedI8Size(n, k))
	PackI8(p, w, n, k)
	return p
}

func packedU8(a []uint8, m, k int) []uint8 {
	p := make([]uint8, PackedU8Size(m, k))
	PackU8(p, a, m, k)
	return p
}

// shapesI8 returns shapes with every remainder of the tiles.
func shapesI8(r *rand.Rand) [][3]int {
	shapes := [][3]int{{0, 5, 7}, {5, 0, 7}, {3, 4, 0}, {1, 1, 1}, {9, 50, 2*kCall + 5}, {1, 384, 384}}
	for m := 1; m <= 20; m++ {
		for _, n := range []int{1, 15, 16, 17, 31, 33, 48, 49, 1 + r.IntN(100), 1 + r.IntN(100)} {
			shapes = append(shapes, [3]int{m, n, 1 + r.IntN(200)})
		}
	}
	for k := 1; k <= 140; k++ {
		shapes = append(shapes, [3]int{1 + r.IntN(20), 1 + r.IntN(100), k})
	}
	return shapes
}

func TestGemmI8(t *testing.T) { eachLevel(t, testGemmI8) }

func testGemmI8(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	for _, s := range shapesI8(r) {
		m, n, k := s[0], s[1], s[2]
		w, sums := randomI8(r, n*k), make([]int32, n)
		packed := packedI8(w, n, k)
		ColumnSumsI8(sums, w, n, k)

		a := randomU8(r, m*k)
		got := make([]int32, m*n)
		GemmU8I8(got, packedU8(a, m, k), packed, m, n, k)
		if !slices.Equal(got, naiveI8(a, w, m, n, k)) {
			t.Errorf("GemmU8I8, %v: differs from the definition", s)
		}

		signed, b := randomI8(r, m*k), make([]uint8, PackedU8Size(m, k))
		PackI8U8(b, signed, m, k)
		GemmI8I8(got, b, packed, sums, m, n, k)
		if !slices.Equal(got, naiveI8(signed, w, m, n, k)) {
			t.Errorf("GemmI8I8, %v: differs from the definition", s)
		}
	}
}

// The sums that are the farthest from zero, at the largest k.
func TestGemmI8Extremes(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		const m, n, k = 3, 17, maxGemmI8
		a, w := make([]uint8, m*k), make([]int8, n*k)
		for i := range a {
			a[i] = 255
		}
		for i := range w {
			w[i] = -128
		}
		got := make([]int32, m*n)
		GemmU8I8(got, packedU8(a, m, k), packedI8(w, n, k), m, n, k)
		for i, v := range got {
			if v != -128*255*k {
				t.Fatalf("element %d: %d, want %d", i, v, -128*255*k)
			}
		}
	})
}

func TestGemmI8Shape(t *testing.T) {
	type call = func(dst []int32, a []uint8, w []int8, m, n, k int)
	calls := map[string]call{
		"GemmU8I8": GemmU8I8,
		"GemmI8I8": func(dst []int32, a []uint8, w []int8, m, n, k int) {
			GemmI8I8(dst, a, w, make([]int32, max(n, 0)), m, n, k)
		},
	}
	const m, n, k = 3, 5, 7
	dst, a, w := make([]int32, m*n), make([]uint8, PackedU8Size(m, k)), make([]int8, PackedI8Size(n, k))
	for name, f := range calls {
		shape := "simd: " + name + ": lengths do not match m, n and k"
		mustPanic(t, shape, func() { f(dst[1:], a, w, m, n, k) })
		mustPanic(t, shape, func() { f(dst, a[1:], w, m, n, k) })
		mustPanic(t, shape, func() { f(dst, a, w[1:], m, n, k) })
		mustPanic(t, shape, func() { f(dst, a, w, -m, n, k) })
		mustPanic(t, "simd: "+name+": k too large, the sum may overflow", func() {
			const k = maxGemmI8 + 1
			f(make([]int32, 1), make([]uint8, PackedU8Size(1, k)), make([]int8, PackedI8Size(1, k)), 1, 1, k)
		})
	}
	mustPanic(t, "simd: GemmI8I8: lengths do not match m, n and k", func() { GemmI8I8(dst, a, w, make([]int32, n-1), m, n, k) })
	mustPanic(t, "simd: PackedI8Size: negative size", func() { PackedI8Size(-1, 3) })
	mustPanic(t, "simd: PackedU8Size: negative size", func() { PackedU8Size(1, -3) })
	mustPanic(t, "simd: PackI8: lengths do not match n and k", func() { PackI8(w, make([]int8, n*k-1), n, k) })
	mustPanic(t, "simd: PackI8: lengths do not match n and k", func() { PackI8(w[1:], make([]int8, n*k), n, k) })
	mustPanic(t, "simd: PackU8: lengths do not match m and k", func() { PackU8(a, make([]uint8, m*k+1), m, k) })
	mustPanic(t, "simd: PackU8: lengths do not match m and k", func() { PackU8(a[1:], make([]uint8, m*k), m, k) })
	mustPanic(t, "simd: PackI8U8: lengths do not match m and k", func() { PackI8U8(a, make([]int8, m*k+1), m, k) })
	mustPanic(t, "simd: ColumnSumsI8: lengths do not match n and k", func() { ColumnSumsI8(make([]int32, n+1), make([]int8, n*k), n, k) })
}

func mustPanic(t *testing.T, text string, f func()) {
	t.Helper()
	defer func() {
		t.Helper()
		if got := recover(); got != text {
			t.Errorf("panic %v, want %q", got, text)
		}
	}()
	f()
}

// The layout of packed weights is the same everywhere: files hold it.
func TestPackI8(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 10))
	for _, s := range [][2]int{{0, 0}, {0, 3}, {3, 0}, {1, 1}, {16, 64}, {17, 65}, {33, 130}, {48, 384}} {
		n, k := s[0], s[1]
		w := randomI8(r, n*k)
		dst := make([]int8, PackedI8Size(n, k))
		for i := range dst {
			dst[i] = 99
		}
		PackI8(dst, w, n, k)
		steps := roundUp(k, 64) / 4
		for i, got := range dst {
			kk, column := i%4+i/64%max(steps, 1)*4, i/4%16+i/64/max(steps, 1)*16
			want := int8(0)
			if column < n && kk < k {
				want = w[column*k+kk]
			}
			if got != want {
				t.Fatalf("n=%d, k=%d: byte %d, column %d, k %d: got %d, want %d", n, k, i, column, kk, got, want)
			}
		}
	}
}
