package simd

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/maida-ai/gomai/internal/cpu"
)

// fenced returns a copy of v in memory that must not be left, at one end or the other.
func fenced[T any](t testing.TB, r *rand.Rand, v []T) []T {
	t.Helper()
	if len(v) == 0 {
		return v
	}
	last, first := guarded[T](t, len(v))
	if r.IntN(2) == 0 {
		last = first
	}
	copy(last, v)
	return last
}

// Int8 products and their packers touch nothing beyond their arguments and do not change their inputs.
func TestGemmI8StaysWithin(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(41, 42))
		for range 120 {
			m, n, k := 1+r.IntN(20), 1+r.IntN(100), 1+r.IntN(200)
			c := newEpilogueCase(r, m, n, k)
			plain, weights := randomU8(r, m*k), randomI8(r, n*k)
			a, w := fenced(t, r, make([]uint8, PackedU8Size(m, k))), fenced(t, r, make([]int8, PackedI8Size(n, k)))
			PackU8(a, fenced(t, r, plain), m, k)
			PackI8(w, fenced(t, r, weights), n, k)
			if !slices.Equal(a, packedU8(plain, m, k)) || !slices.Equal(w, packedI8(weights, n, k)) {
				t.Fatalf("m=%d, n=%d, k=%d: packed differently in fenced memory", m, n, k)
			}
			sums := fenced(t, r, make([]int32, n))
			ColumnSumsI8(sums, fenced(t, r, weights), n, k)
			i32 := fenced(t, r, make([]int32, m*n))
			GemmI8I8(i32, a, w, sums, m, n, k)

			c.a, c.w = fenced(t, r, c.a), fenced(t, r, c.w)
			for _, v := range []*[]float32{&c.e.Scale, &c.e.Offset, &c.e.Bias, &c.e.RowScale, &c.e.RowOffset, &c.q.Inverse} {
				*v = fenced(t, r, *v)
			}
			c.e.ColumnSums = fenced(t, r, c.e.ColumnSums)
			before := [...]any{slices.Clone(c.a), slices.Clone(c.w), slices.Clone(c.e.Scale), slices.Clone(c.e.RowOffset)}
			GemmU8I8(i32, c.a, c.w, m, n, k)
			GemmU8I8F32(fenced(t, r, make([]float32, m*n)), c.a, c.w, m, n, k, c.e)
			GemmU8I8BF16(fenced(t, r, make([]BFloat16, m*n)), c.a, c.w, m, n, k, c.e)
			GemmU8I8U8(fenced(t, r, make([]uint8, m*n)), c.a, c.w, m, n, k, c.e, c.q)
			GemmU8I8I8(fenced(t, r, make([]int8, m*n)), c.a, c.w, m, n, k, c.e, c.q)
			if !slices.Equal(before[0].([]uint8), c.a) || !slices.Equal(before[1].([]int8), c.w) ||
				!slices.Equal(before[2].([]float32), c.e.Scale) || !slices.Equal(before[3].([]float32), c.e.RowOffset) {
				t.Fatalf("m=%d, n=%d, k=%d: changed an input", m, n, k)
			}
			scale, offset := fenced(t, r, make([]float32, m)), fenced(t, r, make([]float32, m))
			QuantizePackF32U8(a, scale, offset, fenced(t, r, randomVector(r, m*k)), m, k)
		}
	})
}

// FuzzGemmI8 compares each level with plain Go: sums, reals and bytes.
func FuzzGemmI8(f *testing.F) {
	f.Add(uint64(1), uint8(8), uint8(48), uint16(64))
	f.Add(uint64(2), uint8(13), uint8(101), uint16(77))
	f.Fuzz(func(t *testing.T, seed uint64, rows, columns uint8, depth uint16) {
		m, n, k := int(rows)%40, int(columns), int(depth)%600
		type result struct {
			i32  []int32
			f32  []uint32
			bf16 []BFloat16
			u8   []uint8
			i8   []int8
		}
		at := func(l cpu.Level) (x result) {
			defer cpu.Use(l, 0)()
			c := newEpilogueCase(rand.New(rand.NewPCG(seed, 0)), m, n, k) // packed for the level
			f32 := make([]float32, m*n)
			x = result{make([]int32, m*n), make([]uint32, m*n), make([]BFloat16, m*n), make([]uint8, m*n), make([]int8, m*n)}
			GemmU8I8(x.i32, c.a, c.w, m, n, k)
			GemmU8I8F32(f32, c.a, c.w, m, n, k, c.e)
			GemmU8I8BF16(x.bf16, c.a, c.w, m, n, k, c.e)
			GemmU8I8U8(x.u8, c.a, c.w, m, n, k, c.e, c.q)
			GemmU8I8I8(x.i8, c.a, c.w, m, n, k, c.e, c.q)
			for i, v := range f32 {
				if x.f32[i] = math.Float32bits(v); v != v { // all NaN are the same
					x.f32[i], x.bf16[i] = 0x7fc00000, 0x7fc0
				}
			}
			return x
		}
		want := at(cpu.Generic)
		for _, l := range cpu.Levels() {
			got := at(l)
			if !slices.Equal(got.i32, want.i32) || !slices.Equal(got.f32, want.f32) || !slices.Equal(got.bf16, want.bf16) ||
				!slices.Equal(got.u8, want.u8) || !slices.Equal(got.i8, want.i8) {
				t.Errorf("m=%d, n=%d, k=%d: %v differs from plain Go", m, n, k, l)
			}
		}
	})
}

// FuzzPack packs and looks every element up again, by the documented places of weights and, for
// activations, by a product with the unit matrix.
func FuzzPack(f *testing.F) {
	f.Add(uint64(1), uint8(3), uint8(70))
	f.Add(uint64(2), uint8(17), uint8(4))
	f.Fuzz(func(t *testing.T, seed uint64, rows, columns uint8) {
		m, k := 1+int(rows)%40, 1+int(columns)%150
		r := rand.New(rand.NewPCG(seed, 1))
		src := randomI8(r, m*k)
		w := make([]int8, PackedI8Size(m, k))
		PackI8(w, src, m, k)
		for j := range m {
			for i := range k {
				if got := w[j/16*roundUp(k, 64)*16+i/4*64+j%16*4+i%4]; got != src[j*k+i] {
					t.Fatalf("n=%d, k=%d: weight %d, %d is %d, want %d", m, k, j, i, got, src[j*k+i])
				}
			}
		}
		unit := make([]int8, k*k)
		for i := range k {
			unit[i*k+i] = 1
		}
		for _, l := range cpu.Levels() {
			restore := cpu.Use(l, 0)
			a, sums, got := make([]uint8, PackedU8Size(m, k)), make([]int32, k), make([]int32, m*k)
			PackI8U8(a, src, m, k)
			ColumnSumsI8(sums, unit, k, k)
			GemmI8I8(got, a, packedI8(unit, k, k), sums, m, k, k)
			restore()
			for i, v := range got {
				if v != int32(src[i]) {
					t.Fatalf("m=%d, k=%d, %v: activation %d is %d, want %d", m, k, l, i, v, src[i])
				}
			}
		}
	})
}

// FuzzGemmF32 holds the documented bound at each level, and the levels of assembly to the same bits.
func FuzzGemmF32(f *testing.F) {
	f.Add(uint64(1), uint8(8), uint8(48), uint8(64))
	f.Add(uint64(2), uint8(13), uint8(101), uint8(77))
	f.Fuzz(func(t *testing.T, seed uint64, rows, columns, depth uint8) {
		var first []float32
		for _, l := range cpu.Levels() {
			restore := cpu.Use(l, 0)
			c := newCaseF32(t, rand.New(rand.NewPCG(seed, 2)), 1+int(rows)%30, 1+int(columns)%120, int(depth))
			c.run()
			restore()
			c.check(t)
			if l == cpu.Generic {
				continue
			}
			if first == nil {
				first = c.dst
			} else if !slices.Equal(c.dst, first) {
				t.Errorf("m=%d, n=%d, k=%d: %v differs from a higher level", c.m, c.n, c.k, l)
			}
		}
	})
}
