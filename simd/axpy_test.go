package simd

import (
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"github.com/maida-ai/gomai/internal/cpu"
)

// inPlainGo runs f with the generic code.
func inPlainGo(f func()) {
	defer cpu.Use(cpu.Generic, 0)()
	f()
}

// sameResults runs f, which makes dst of src element by element or as a whole, at every length up to
// most: before and behind pages that cannot be touched, in place, on memory beyond which nothing may
// change. It compares with plain Go.
func sameResults[T comparable](t *testing.T, most int, src func(n int) []T, same func(a, b T) bool, f func(dst, src []T)) {
	t.Helper()
	lastSrc, firstSrc := guarded[T](t, most)
	lastDst, firstDst := guarded[T](t, most)
	for n := range most + 1 {
		values, want := src(n), make([]T, n)
		inPlainGo(func() { f(want, values) })
		for _, place := range [][2][]T{{lastSrc, lastDst}, {firstSrc, firstDst}, {lastSrc, lastSrc}, {firstSrc, firstSrc}} {
			from, to := place[0][most-n:], place[1][most-n:]
			if &place[0][0] == &firstSrc[0] {
				from, to = place[0][:n], place[1][:n]
			}
			poison := src(most)
			copy(place[1], poison)
			copy(from, values)
			f(to, from)
			if !slices.EqualFunc(to, want, same) {
				t.Fatalf("n=%d: %v becomes %v, in plain Go %v", n, values, to, want)
			}
			if &place[0][0] != &place[1][0] && !slices.EqualFunc(from, values, same) {
				t.Fatalf("n=%d: changed its input", n)
			}
			copy(place[1][most-n:], poison[most-n:])
			if &place[0][0] == &firstSrc[0] {
				copy(place[1], poison)
			}
			if !slices.EqualFunc(place[1], poison, same) {
				t.Fatalf("n=%d: wrote outside", n)
			}
		}
	}
}

// specials are n random values among which the ones that need care stand.
func specials(r *rand.Rand, n int) []float32 {
	inf := float32(math.Inf(1))
	odd := []float32{0, float32(math.Copysign(0, -1)), inf, -inf, float32(math.NaN()), 0x1p-149, -0x1p-126, math.MaxFloat32, -math.MaxFloat32, 1, -1}
	v := randomVector(r, n)
	for i := range v {
		if r.IntN(3) == 0 {
			v[i] = odd[r.IntN(len(odd))]
		}
	}
	return v
}

func TestAxpyF32(t *testing.T) { eachLevel(t, testAxpyF32) }

func testAxpyF32(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, alpha := range []float32{0, 1, -0.3, 0x1p-140, float32(math.Inf(1)), float32(math.NaN())} {
		x := specials(r, 70)
		// y is src, whose sum with alpha*x goes to dst.
		sameResults(t, 70, func(n int) []float32 { return specials(r, n) }, same, func(dst, y []float32) {
			copy(dst, y)
			AxpyF32(alpha, x[:len(y)], dst)
		})
	}
	for _, n := range []int{1, 100, chunk + 1, 2*chunk + 77} {
		x, y := randomVector(r, n), randomVector(r, n)
		got := slices.Clone(y)
		AxpyF32(0.7, x, got)
		for i := range got {
			if want := y[i] + float32(0.7*x[i]); !same(got[i], want) {
				t.Fatalf("n=%d: [%d] is %v, want %v", n, i, got[i], want)
			}
		}
		AxpyF32(1, got, got) // twice itself
		for i := range got {
			if want := 2 * (y[i] + float32(0.7*x[i])); !same(got[i], want) {
				t.Fatalf("n=%d, in place: [%d] is %v, want %v", n, i, got[i], want)
			}
		}
	}
}

// x may end right before a page that cannot be touched too.
func TestAxpyF32StaysInside(t *testing.T) { eachLevel(t, testAxpyF32StaysInside) }

func testAxpyF32StaysInside(t *testing.T) {
	last, first := guarded[float32](t, 70)
	for n := range 71 {
		y := make([]float32, n)
		AxpyF32(1, last[70-n:], y)
		AxpyF32(1, first[:n], y)
	}
}

// wrongLengths checks the panic of f with the lengths in constant text.
func wrongLengths(t *testing.T, name string, f func()) {
	t.Helper()
	defer func() {
		t.Helper()
		if got, want := recover(), "simd: "+name+": lengths differ"; got != want {
			t.Errorf("panic %v, want %q", got, want)
		}
	}()
	f()
}

func TestElementwiseShape(t *testing.T) {
	three, four := make([]float32, 3), make([]float32, 4)
	wrongLengths(t, "AxpyF32", func() { AxpyF32(1, three, four) })
	wrongLengths(t, "SoftmaxF32", func() { SoftmaxF32(three, four) })
	wrongLengths(t, "GeluF32", func() { GeluF32(three, four) })
	wrongLengths(t, "GeluI16", func() { GeluI16(make([]int16, 3), make([]int16, 4)) })
	wrongLengths(t, "LayerNormF32", func() { LayerNormF32(three, four, four, four, 1) })
	wrongLengths(t, "LayerNormF32", func() { LayerNormF32(four, four, three, four, 1) })
	wrongLengths(t, "LayerNormF32", func() { LayerNormF32(four, four, four, three, 1) })
}

func TestElementwiseDoesNotAllocate(t *testing.T) {
	x, y, words := make([]float32, 100), make([]float32, 100), make([]int16, 100)
	n := testing.AllocsPerRun(100, func() {
		AxpyF32(1, x, y)
		SoftmaxF32(y, x)
		LayerNormF32(y, x, x, x, 1)
		GeluF32(y, x)
		GeluI16(words, words)
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzElementwise(f *testing.F) {
	f.Add([]byte{0, 0, 128, 127, 0, 0, 128, 255, 1, 2, 3, 4, 5, 6, 7, 8})
	f.Add(make([]byte, 700))
	f.Fuzz(func(t *testing.T, data []byte) {
		x, y := floats(data)
		words := make([]int16, len(x))
		for i := range x {
			words[i] = int16(math.Float32bits(x[i]) >> 8)
		}
		results := func() (all [][]float32, w []int16) {
			softmax, norm, gelu, axpy := make([]float32, len(x)), make([]float32, len(x)), make([]float32, len(x)), slices.Clone(y)
			SoftmaxF32(softmax, x)
			LayerNormF32(norm, x, y, x, 1e-5)
			GeluF32(gelu, x)
			AxpyF32(-1.5, x, axpy)
			w = make([]int16, len(words))
			GeluI16(w, words)
			return [][]float32{softmax, norm, gelu, axpy}, w
		}
		var want [][]float32
		var wantWords []int16
		inPlainGo(func() { want, wantWords = results() })
		eachLevel(t, func(t *testing.T) {
			got, w := results()
			for i, name := range []string{"SoftmaxF32", "LayerNormF32", "GeluF32", "AxpyF32"} {
				if !slices.EqualFunc(got[i], want[i], same) {
					t.Errorf("%s: got %v, plain Go gives %v", name, got[i], want[i])
				}
			}
			if !slices.Equal(w, wantWords) {
				t.Errorf("GeluI16: got %v, plain Go gives %v", w, wantWords)
			}
		})
	})
}

func BenchmarkElementwise(b *testing.B) {
	r := rand.New(rand.NewPCG(5, 6))
	for _, n := range []int{128, 384, 1536} {
		size := strconv.Itoa(n)
		x, y, gain, words := make([]float32, n), make([]float32, n), randomVector(r, n), make([]int16, n)
		for i := range x {
			x[i], words[i] = float32(r.NormFloat64()), int16(1024*r.NormFloat64())
		}
		wordsOut := make([]int16, n)
		benchLevels(b, axpyF32Code, size, func() { AxpyF32(1e-9, x, y) })
		benchLevels(b, softmaxF32Code, size, func() { SoftmaxF32(y, x) })
		benchLevels(b, layerNormF32Code, size, func() { LayerNormF32(y, x, gain, gain, 1e-5) })
		benchLevels(b, geluF32Code, size, func() { GeluF32(y, x) })
		benchLevels(b, geluI16Code, size, func() { GeluI16(wordsOut, words) })
	}
}
