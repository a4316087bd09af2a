package static

import (
	"math"
	"math/rand/v2"
	"testing"
)

// unpack reads the layout as Load documents it, value by value.
func unpack(packed []byte, scale float32, j int) float32 {
	q := int(packed[j%16])
	if j < 16 {
		q &= 15
	} else {
		q >>= 4
	}
	return float32(q-8) * scale
}

func TestInt4(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, dim := range []int{32, 64, 192, 384} {
		const rows = 50
		x := make([]float32, rows*dim)
		for i := range x {
			size := math.Exp2(float64(i/dim) - 36) // from where float16 has no normal numbers to where it ends
			x[i] = float32(rng.NormFloat64() * size)
		}
		clear(x[3*dim : 4*dim])
		tensors := PackInt4(x, dim)
		scales, err := tensors[1].Float32s()
		if err != nil {
			t.Fatal(err)
		}
		for g, scale := range scales {
			packed := tensors[0].Data[g*groupBytes:][:groupBytes]
			group := x[g*Group:][:Group]
			largest, errors, plain := 0.0, 0.0, 0.0
			for _, v := range group {
				largest = max(largest, math.Abs(float64(v)))
			}
			step := largest / 7
			got := make([]float32, Group)
			addInt4(got, packed, scales[g:g+1], 1)
			for j, v := range group {
				if got[j] != unpack(packed, scale, j) {
					t.Fatalf("dim %d, group %d, value %d: %g, by the description %g", dim, g, j, got[j], unpack(packed, scale, j))
				}
				errors += math.Pow(float64(v)-float64(got[j]), 2)
				if step > 0 {
					plain += math.Pow(float64(v)-math.RoundToEven(float64(v)/step)*step, 2)
				}
			}
			// Below 2^-14 a float16 loses digits, so the scale cannot be chosen as well.
			slack := 1.02
			if step < 0x1p-14 {
				slack = 4
			}
			if step > 0x1p-23 && errors > slack*plain {
				t.Errorf("dim %d, group %d of size %g: squared error %g, rounding at largest/7 has %g", dim, g, largest, errors, plain)
			}
			if largest == 0 && errors != 0 {
				t.Errorf("dim %d, group %d: zeros became %v", dim, g, got)
			}
		}
	}
}

// TestHalf: every float16 survives the way to float32 and back, and what lies between two goes to
// the nearer.
func TestHalf(t *testing.T) {
	const infinity = 0x7c00
	for h := range uint16(infinity) {
		v := halfToFloat(h)
		if got := floatToHalf(v); got != h {
			t.Fatalf("%#x is %g, which becomes %#x", h, v, got)
		}
		exp, frac := int(h>>10), float64(h&0x3ff)
		want := math.Ldexp(frac/1024+1, exp-15)
		if exp == 0 {
			want = math.Ldexp(frac, -24)
		}
		if float64(v) != want || halfToFloat(h|0x8000) != -v {
			t.Fatalf("%#x is %g and %g, want %g", h, v, halfToFloat(h|0x8000), want)
		}
		if h+1 < infinity {
			middle := (v + halfToFloat(h+1)) / 2
			if got, even := floatToHalf(middle), h+h&1; got != even {
				t.Fatalf("the middle of %#x and the next becomes %#x, want the even one", h, got)
			}
			if got := floatToHalf(math.Nextafter32(middle, 0)); got != h {
				t.Fatalf("just below the middle of %#x and the next: %#x", h, got)
			}
		}
	}
	if got := floatToHalf(1e9); got != infinity-1 {
		t.Errorf("1e9 becomes %#x, want the largest number", got)
	}
}

func TestPackInt4Panics(t *testing.T) {
	for _, c := range []struct{ n, dim int }{{64, 0}, {64, 16}, {64, 48}, {64, -32}, {65, 32}, {32, 64}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%d values in rows of %d are accepted", c.n, c.dim)
				}
			}()
			PackInt4(make([]float32, c.n), c.dim)
		}()
	}
}

func BenchmarkEmbed(b *testing.B) {
	for _, f := range fixtures {
		b.Run(f.name, func(b *testing.B) {
			table := loadFixture(b, f.name)
			ids := []int32{2, 9, 10, 12, 18, 14, 4, 5, 21}
			dst := make([]float32, table.Dim())
			for b.Loop() {
				if _, err := table.EmbedIDsInto(ids, dst); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
