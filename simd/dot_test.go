package simd

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"github.com/maida-ai/gomai/internal/cpu"
)

// A reduction, its terms in float32 and in float64.
type reduction struct {
	name   string
	code   *cpu.Primitive
	f      func(a, b []float32) float32
	term32 func(x, y float32) float32
	term64 func(x, y float64) float64
	extra  int                             // roundings of a term, beside the sum's
	add    func(x, y, sum float32) float32 // instead of adding term32
}

var reductions = []reduction{
	{"DotF32", dotF32Code, DotF32,
		func(x, y float32) float32 { return float32(x * y) },
		func(x, y float64) float64 { return x * y }, 8, nil},
	{"L2F32", l2F32Code, L2F32,
		func(x, y float32) float32 { d := x - y; return float32(d * d) },
		func(x, y float64) float64 { return (x - y) * (x - y) }, 10, nil},
}

// inOrder is the reduction as the package comment words it.
func (r reduction) inOrder(a, b []float32) float32 {
	if len(a) > chunk {
		cut := (len(a) - 1) / chunk * chunk
		return r.inOrder(a[:cut], b[:cut]) + r.inOrder(a[cut:], b[cut:])
	}
	sums := make([]float32, lanes)
	for i := range a {
		if r.add != nil {
			sums[i%lanes] = r.add(a[i], b[i], sums[i%lanes])
			continue
		}
		sums[i%lanes] += r.term32(a[i], b[i])
	}
	for len(sums) > 1 {
		lower, upper := sums[:len(sums)/2], sums[len(sums)/2:]
		for i := range lower {
			lower[i] += upper[i]
		}
		sums = lower
	}
	return sums[0]
}

// bound returns the reduction in float64 and how far the float32 one may be from it.
func (r reduction) bound(a, b []float32) (sum, tolerance float64) {
	var abs float64
	for i := range a {
		v := r.term64(float64(a[i]), float64(b[i]))
		sum += v
		abs += math.Abs(v)
	}
	n := len(a)
	return sum, float64(n/lanes+r.extra)*0x1p-24*abs + float64(n)*0x1p-149
}

func randomVector(r *rand.Rand, n int) []float32 {
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(r.NormFloat64() * math.Exp2(float64(r.IntN(40)-20)))
	}
	return v
}

func TestReductions(t *testing.T) { eachLevel(t, testReductions) }

func testReductions(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, red := range reductions {
		for n := range 4*lanes + 20 {
			// One element off the start of the array, as a slice of a larger matrix would be.
			a, b := randomVector(r, n+1)[1:], randomVector(r, n+1)[1:]
			a0, b0 := slices.Clone(a), slices.Clone(b)
			got := red.f(a, b)
			if want := red.inOrder(a, b); math.Float32bits(got) != math.Float32bits(want) {
				t.Errorf("%s, n=%d: got %v, the documented order gives %v", red.name, n, got, want)
			}
			want, tolerance := red.bound(a, b)
			if diff := math.Abs(float64(got) - want); !(diff <= tolerance) {
				t.Errorf("%s, n=%d: got %v, want %v within %v", red.name, n, got, want, tolerance)
			}
			if !slices.Equal(a, a0) || !slices.Equal(b, b0) {
				t.Errorf("%s, n=%d: changed its input", red.name, n)
			}
		}
	}
}

func TestReductionsOverlap(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	v := randomVector(r, 300)
	for _, red := range reductions {
		for shift := range 70 {
			a, b := v[:200], v[shift:shift+200]
			if got, want := red.f(a, b), red.f(slices.Clone(a), slices.Clone(b)); got != want {
				t.Errorf("%s, shift %d: got %v, want %v", red.name, shift, got, want)
			}
		}
	}
}

func TestReductionsNotFinite(t *testing.T) {
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	for _, red := range reductions {
		for n := 1; n < 2*lanes+3; n++ {
			for i := range n {
				a, b := make([]float32, n), make([]float32, n)
				a[i] = nan
				if got := red.f(a, b); !math.IsNaN(float64(got)) {
					t.Fatalf("%s, n=%d, NaN at %d: got %v", red.name, n, i, got)
				}
				a[i], b[i] = inf, 1
				if got := red.f(a, b); got != inf {
					t.Fatalf("%s, n=%d, infinity at %d: got %v", red.name, n, i, got)
				}
			}
		}
	}
}

func TestReductionsShape(t *testing.T) {
	for _, red := range reductions {
		if got := red.f(nil, []float32{}); got != 0 {
			t.Errorf("%s of nothing is %v, want 0", red.name, got)
		}
		func() {
			defer func() {
				if got, want := recover(), "simd: "+red.name+": lengths differ"; got != want {
					t.Errorf("%s of 3 and 4: panic %v, want %q", red.name, got, want)
				}
			}()
			red.f(make([]float32, 3), make([]float32, 4))
		}()
	}
}

func TestReductionsDoNotAllocate(t *testing.T) {
	a, b := make([]float32, 384), make([]float32, 384)
	for _, red := range reductions {
		if n := testing.AllocsPerRun(100, func() { red.f(a, b) }); n != 0 {
			t.Errorf("%s: %v allocations", red.name, n)
		}
	}
}

// same says whether a and b are the same float32 value, bit for bit, or both NaN.
func same(a, b float32) bool {
	return math.Float32bits(a) == math.Float32bits(b) || a != a && b != b
}

func TestReductionsLong(t *testing.T) { eachLevel(t, testReductionsLong) }

func testReductionsLong(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	for _, n := range []int{chunk - 1, chunk, chunk + 1, 2 * chunk, 3*chunk + 77} {
		a, b := randomVector(r, n), randomVector(r, n)
		for _, red := range reductions {
			if got, want := red.f(a, b), red.inOrder(a, b); !same(got, want) {
				t.Errorf("%s, n=%d: got %v, the documented order gives %v", red.name, n, got, want)
			}
		}
	}
}

// Pages before and behind the vectors cannot be touched, so whatever reads outside crashes.
func TestReductionsStayInside(t *testing.T) { eachLevel(t, testReductionsStayInside) }

func testReductionsStayInside(t *testing.T) {
	const most = 4*lanes + 20
	lastA, firstA := guarded[float32](t, most)
	lastB, firstB := guarded[float32](t, most)
	copy(lastA, randomVector(rand.New(rand.NewPCG(9, 10)), most))
	copy(lastB, randomVector(rand.New(rand.NewPCG(11, 12)), most))
	for _, red := range reductions {
		for n := range most + 1 {
			a, b := lastA[most-n:], lastB[most-n:]
			copy(firstA, a)
			copy(firstB, b)
			if x, y := red.f(a, b), red.f(firstA[:n], firstB[:n]); !same(x, y) {
				t.Errorf("%s, n=%d: %v before the page, %v behind it", red.name, n, x, y)
			}
		}
	}
}

// floats returns two vectors of the same length made of the bytes of data.
func floats(data []byte) (a, b []float32) {
	for ; len(data) >= 8; data = data[8:] {
		a = append(a, math.Float32frombits(binary.LittleEndian.Uint32(data)))
		b = append(b, math.Float32frombits(binary.LittleEndian.Uint32(data[4:])))
	}
	return a, b
}

func FuzzReductions(f *testing.F) {
	f.Add([]byte{})
	f.Add(bytes.Repeat([]byte{0, 0, 128, 63, 255, 255, 127, 127}, 75))
	f.Add(bytes.Repeat([]byte{1, 0, 0, 128, 0, 0, 128, 255, 3, 2, 1}, 100))
	f.Fuzz(func(t *testing.T, data []byte) {
		a, b := floats(data)
		dot, l2 := dotF32Generic(a, b), l2F32Generic(a, b)
		cosine, norm := 0.0, 0.0
		inPlainGo(func() { cosine, norm = CosineF32(a, b), NormF32(a) })
		eachLevel(t, func(t *testing.T) {
			if got := DotF32(a, b); !same(got, dot) {
				t.Errorf("DotF32: got %v, plain Go gives %v", got, dot)
			}
			if got := L2F32(a, b); !same(got, l2) {
				t.Errorf("L2F32: got %v, plain Go gives %v", got, l2)
			}
			if got := CosineF32(a, b); !(got == cosine || got != got && cosine != cosine) {
				t.Errorf("CosineF32: got %v, plain Go gives %v", got, cosine)
			}
			if got := NormF32(a); !(got == norm || got != got && norm != norm) {
				t.Errorf("NormF32: got %v, plain Go gives %v", got, norm)
			}
		})
	})
}

func BenchmarkReductions(b *testing.B) {
	r := rand.New(rand.NewPCG(5, 6))
	for _, red := range reductions {
		for _, n := range []int{384, 1536} {
			x, y := randomVector(r, n), randomVector(r, n)
			benchLevels(b, red.code, strconv.Itoa(n), func() { red.f(x, y) })
		}
	}
}
