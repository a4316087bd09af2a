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

// quantizable are kinds of rows, of n elements, that have a vector.
var quantizable = map[string]func(r *rand.Rand, i int) float32{
	"normal": func(r *rand.Rand, _ int) float32 { return float32(r.NormFloat64()) },
	"wide": func(r *rand.Rand, _ int) float32 {
		return float32(r.NormFloat64() * math.Exp2(float64(r.IntN(200)-100)))
	},
	"ties":        func(r *rand.Rand, _ int) float32 { return float32(r.IntN(511)-255) / 2 },
	"subnormal":   func(r *rand.Rand, _ int) float32 { return math.Float32frombits(r.Uint32N(1<<23) | r.Uint32()<<31) },
	"smallest":    func(r *rand.Rand, _ int) float32 { return float32(r.IntN(380)-190) * 0x1p-149 },
	"near normal": func(r *rand.Rand, _ int) float32 { return float32(r.NormFloat64() * 0x1p-119) },
	"large":       func(r *rand.Rand, i int) float32 { return 0x1.fffffep125 * float32(1-2*(i%2)) },
	"largest":     func(r *rand.Rand, i int) float32 { return math.MaxFloat32 * float32(1-2*(i%2)) },
	"zeros":       func(_ *rand.Rand, i int) float32 { return float32(math.Copysign(0, float64(i%2)-1)) },
	"equal":       func(*rand.Rand, int) float32 { return -1.7 },
	"above":       func(r *rand.Rand, _ int) float32 { return 1000 + r.Float32() },
}

// row returns n elements of a kind, one element off the start of an array.
func row(r *rand.Rand, n int, f func(r *rand.Rand, i int) float32) []float32 {
	v := make([]float32, n+1)[1:]
	for i := range v {
		v[i] = f(r, i)
	}
	return v
}

// poisoned returns n cells, with 16 cells of v after them, and what says whether those are still there.
func poisoned[T comparable](n int, v T) (cells []T, intact func() bool) {
	all := make([]T, n+16)
	for i := range all {
		all[i] = v
	}
	return all[:n:n], func() bool { return !slices.ContainsFunc(all[n:], func(x T) bool { return x != v }) }
}

func TestQuantize(t *testing.T) { eachLevel(t, testQuantize) }

func testQuantize(t *testing.T) {
	r := rand.New(rand.NewPCG(21, 22))
	for kind, f := range quantizable {
		for n := range 300 {
			src := row(r, n, f)
			before := slices.Clone(src)
			checkI8(t, kind, src)
			if kind != "largest" {
				checkU8(t, kind, src)
			}
			checkBits(t, kind, src, true)
			if !slices.Equal(src, before) {
				t.Fatalf("%s, n=%d: changed its input", kind, n)
			}
		}
	}
}

func checkI8(t *testing.T, kind string, src []float32) {
	t.Helper()
	n := len(src)
	dst, intact := poisoned(n, int8(-128))
	scale := QuantizeF32I8(dst, src)
	var largest float32
	for _, x := range src {
		largest = max(largest, x, -x)
	}
	want := max(largest/127, 0x1p-126)
	if math.IsInf(float64(127*want), 0) {
		want = math.Nextafter32(want, 0)
	}
	if largest == 0 {
		want = 0
	}
	if scale != want || !intact() {
		t.Fatalf("QuantizeF32I8, %s, n=%d: scale %v, want %v; beyond the end intact: %v", kind, n, scale, want, intact())
	}
	back, backIntact := poisoned(n, float32(77))
	DequantizeI8F32(back, dst, scale)
	for i, x := range src {
		q := 0.0
		if scale > 0 {
			q = math.RoundToEven(float64(x / scale))
		}
		if float64(dst[i]) != q || dst[i] == -128 {
			t.Fatalf("QuantizeF32I8, %s, n=%d: %v/%v became %d, want %v", kind, n, x, scale, dst[i], q)
		}
		if e := math.Abs(float64(x) - float64(scale)*q); e > float64(scale)*(0.5+0x1p-16) {
			t.Fatalf("QuantizeF32I8, %s, n=%d: %v is %v away", kind, n, x, e)
		}
		if back[i] != float32(float64(scale)*q) || math.IsInf(float64(back[i]), 0) {
			t.Fatalf("DequantizeI8F32, %s, n=%d: %v*%d is %v", kind, n, scale, dst[i], back[i])
		}
	}
	if !backIntact() {
		t.Fatalf("DequantizeI8F32, n=%d: wrote beyond its end", n)
	}
}

func checkU8(t *testing.T, kind string, src []float32) {
	t.Helper()
	n := len(src)
	dst, intact := poisoned(n, uint8(0xa5))
	scale, offset := QuantizeF32U8(dst, src)
	var wantOffset, wantScale float32
	if n > 0 {
		wantOffset = slices.Min(src)
		if width := slices.Max(src) - wantOffset; width > 0 {
			wantScale = max(width/255, 0x1p-126)
		}
	}
	if scale != wantScale || offset != wantOffset || !intact() {
		t.Fatalf("QuantizeF32U8, %s, n=%d: scale %v offset %v, want %v and %v; beyond the end intact: %v",
			kind, n, scale, offset, wantScale, wantOffset, intact())
	}
	back, backIntact := poisoned(n, float32(77))
	DequantizeU8F32(back, dst, scale, offset)
	for i, x := range src {
		q := 0.0
		if scale > 0 {
			q = math.RoundToEven(float64((x - offset) / scale))
		}
		if float64(dst[i]) != q {
			t.Fatalf("QuantizeF32U8, %s, n=%d: (%v-%v)/%v became %d, want %v", kind, n, x, offset, scale, dst[i], q)
		}
		if e := math.Abs(float64(x) - (float64(scale)*q + float64(offset))); e > float64(scale)*(0.5+0x1p-15) {
			t.Fatalf("QuantizeF32U8, %s, n=%d: %v is %v away", kind, n, x, e)
		}
		product := float32(float64(scale) * q)
		if back[i] != product+offset || math.IsInf(float64(back[i]), 0) {
			t.Fatalf("DequantizeU8F32, %s, n=%d: %v*%d+%v is %v", kind, n, scale, dst[i], offset, back[i])
		}
	}
	if !backIntact() {
		t.Fatalf("DequantizeU8F32, n=%d: wrote beyond its end", n)
	}
}

func checkBits(t *testing.T, kind string, src []float32, finite bool) {
	t.Helper()
	n := len(src)
	dst, intact := poisoned((n+63)/64, ^uint64(0))
	if got := BinarizeF32U64(dst, src); got != finite {
		t.Fatalf("BinarizeF32U64, %s, n=%d: finite is %v, want %v", kind, n, got, finite)
	}
	for i := range 64 * len(dst) {
		want := uint64(0)
		if i < n && src[i] > 0 {
			want = 1
		}
		if got := dst[i/64] >> (i % 64) & 1; got != want {
			t.Fatalf("BinarizeF32U64, %s, n=%d: bit %d is %d, want %d", kind, n, i, got, want)
		}
	}
	if !intact() {
		t.Fatalf("BinarizeF32U64, n=%d: wrote beyond its end", n)
	}
}

// A row that is not finite must not become a vector that looks valid.
func TestQuantizeNotFinite(t *testing.T) { eachLevel(t, testQuantizeNotFinite) }

func testQuantizeNotFinite(t *testing.T) {
	r := rand.New(rand.NewPCG(23, 24))
	nan := math.Float32frombits
	for n := 1; n < 140; n++ {
		for _, bad := range []float32{nan(0x7fc00000), nan(0xffc00000), nan(0x7f800001), nan(0xffffffff), nan(0x7f800000), nan(0xff800000)} {
			src := row(r, n, quantizable["normal"])
			src[r.IntN(n)] = bad
			i8, u8 := bytesOf(r, 5, n), bytes.Repeat([]byte{5}, n)
			if scale := QuantizeF32I8(i8, src); !isNaN32(scale) || slices.Max(i8) != 0 || slices.Min(i8) != 0 {
				t.Fatalf("QuantizeF32I8, n=%d, with %v: scale %v, quanta %v", n, bad, scale, i8)
			}
			if scale, offset := QuantizeF32U8(u8, src); !isNaN32(scale) || !isNaN32(offset) || slices.Max(u8) != 0 {
				t.Fatalf("QuantizeF32U8, n=%d, with %v: scale %v, offset %v, quanta %v", n, bad, scale, offset, u8)
			}
			checkBits(t, "not finite", src, false)
			back := make([]float32, n)
			DequantizeI8F32(back, i8, nan(0x7fc00000))
			if i := slices.IndexFunc(back, func(x float32) bool { return !isNaN32(x) }); i >= 0 {
				t.Fatalf("DequantizeI8F32, n=%d, scale NaN: element %d is %v", n, i, back[i])
			}
		}
	}
	for _, src := range [][]float32{{0, 0x1p126}, {0, -0x1p126}, {math.MaxFloat32, -math.MaxFloat32}} {
		if scale, offset := QuantizeF32U8(make([]uint8, 2), src); !isNaN32(scale) || !isNaN32(offset) {
			t.Errorf("QuantizeF32U8 of %v: scale %v, offset %v, want NaN", src, scale, offset)
		}
	}
}

func isNaN32(x float32) bool { return x != x }

// The scale of the largest numbers is rounded so that 127 quanta of it are finite.
func TestQuantizeLargest(t *testing.T) {
	for below := range uint32(1000) {
		x := math.Float32frombits(0x7f7fffff - below)
		src, dst, back := []float32{x, -x}, make([]int8, 2), make([]float32, 2)
		DequantizeI8F32(back, dst, QuantizeF32I8(dst, src))
		if dst[0] != 127 || dst[1] != -127 || math.IsInf(float64(back[0]), 0) {
			t.Fatalf("%v: quanta %v, back %v", x, dst, back)
		}
	}
}

// More elements than one call of assembly takes.
func TestQuantizeInParts(t *testing.T) { eachLevel(t, testQuantizeInParts) }

func testQuantizeInParts(t *testing.T) {
	src := row(rand.New(rand.NewPCG(25, 26)), 1<<18+77, quantizable["normal"])
	src[len(src)-1], src[0] = 50, -49
	checkI8(t, "long", src)
	checkU8(t, "long", src)
	checkBits(t, "long", src, true)
}

func TestQuantizeShape(t *testing.T) {
	f, i8, u8 := make([]float32, 3), make([]int8, 4), make([]uint8, 4)
	wantPanic(t, "simd: QuantizeF32I8: lengths differ", func() { QuantizeF32I8(i8, f) })
	wantPanic(t, "simd: QuantizeF32U8: lengths differ", func() { QuantizeF32U8(u8, f) })
	wantPanic(t, "simd: DequantizeI8F32: lengths differ", func() { DequantizeI8F32(f, i8, 1) })
	wantPanic(t, "simd: DequantizeU8F32: lengths differ", func() { DequantizeU8F32(f, u8, 1, 0) })
	wantPanic(t, "simd: BinarizeF32U64: dst is not one word for 64 elements", func() { BinarizeF32U64(make([]uint64, 2), f) })
}

func TestQuantizeDoesNotAllocate(t *testing.T) { eachLevel(t, testQuantizeDoesNotAllocate) }

func testQuantizeDoesNotAllocate(t *testing.T) {
	f, i8, u8, bits := make([]float32, 384), make([]int8, 384), make([]uint8, 384), make([]uint64, 6)
	f[0] = 1
	if n := testing.AllocsPerRun(100, func() {
		DequantizeI8F32(f, i8, QuantizeF32I8(i8, f))
		scale, offset := QuantizeF32U8(u8, f)
		DequantizeU8F32(f, u8, scale, offset)
		BinarizeF32U64(bits, f)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestQuantizeStaysInside(t *testing.T) { eachLevel(t, testQuantizeStaysInside) }

func testQuantizeStaysInside(t *testing.T) {
	const most = 200
	lastF, firstF := guarded[float32](t, most)
	lastI, firstI := guarded[int8](t, most)
	lastU, firstU := guarded[uint8](t, most)
	lastB, firstB := guarded[uint64](t, most/64+1)
	for n := 1; n <= most; n++ {
		words := (n + 63) / 64
		for _, at := range []struct {
			f    []float32
			i8   []int8
			u8   []uint8
			bits []uint64
		}{
			{lastF[most-n:], lastI[most-n:], lastU[most-n:], lastB[len(lastB)-words:]},
			{firstF[:n], firstI[:n], firstU[:n], firstB[:words]},
		} {
			for i := range at.f {
				at.f[i] = float32(i + 1)
			}
			scale := QuantizeF32I8(at.i8, at.f)
			DequantizeI8F32(at.f, at.i8, scale)
			if at.i8[n-1] != 127 {
				t.Fatalf("QuantizeF32I8, n=%d: the largest became %d", n, at.i8[n-1])
			}
			if !BinarizeF32U64(at.bits, at.f) {
				t.Fatalf("BinarizeF32U64, n=%d: not finite", n)
			}
			scale, offset := QuantizeF32U8(at.u8, at.f)
			DequantizeU8F32(at.f, at.u8, scale, offset)
			if n > 1 && at.u8[n-1] != 255 {
				t.Fatalf("QuantizeF32U8, n=%d: the largest became %d", n, at.u8[n-1])
			}
		}
	}
}

func FuzzQuantize(f *testing.F) {
	f.Add([]byte("\x00\x00\x80\x3f\x00\x00\x80\xbf and some more, so that a whole vector is there, and another"))
	f.Add(bytes.Repeat([]byte{1, 0, 0, 0x80}, 70))
	f.Fuzz(func(t *testing.T, data []byte) {
		src := make([]float32, min(len(data)/4, 1000))
		for i := range src {
			src[i] = math.Float32frombits(binary.LittleEndian.Uint32(data[4*i:]))
		}
		type result struct {
			i8     []int8
			u8     []uint8
			bits   []uint64
			finite bool
			back   []float32
			scales [3]uint32
		}
		quantize := func(l cpu.Level) (res result) {
			defer cpu.Use(l, 0)()
			n := len(src)
			res.i8, res.u8, res.bits, res.back = make([]int8, n), make([]uint8, n), make([]uint64, (n+63)/64), make([]float32, 2*n)
			scale := QuantizeF32I8(res.i8, src)
			width, offset := QuantizeF32U8(res.u8, src)
			res.finite = BinarizeF32U64(res.bits, src)
			DequantizeI8F32(res.back[:n], res.i8, scale)
			DequantizeU8F32(res.back[n:], res.u8, width, offset)
			res.scales = [3]uint32{math.Float32bits(scale), math.Float32bits(width), math.Float32bits(offset)}
			return res
		}
		want := quantize(cpu.Generic)
		for _, l := range cpu.Levels() {
			got := quantize(l)
			if !slices.Equal(got.i8, want.i8) || !slices.Equal(got.u8, want.u8) || !slices.Equal(got.bits, want.bits) ||
				got.finite != want.finite || got.scales != want.scales || !slices.EqualFunc(got.back, want.back, same) {
				t.Errorf("%v: got %v, want %v", l, got, want)
			}
		}
	})
}

func BenchmarkQuantize(b *testing.B) {
	const n = 384
	src := randomVector(rand.New(rand.NewPCG(27, 28)), n)
	i8, u8, bits, back := make([]int8, n), make([]uint8, n), make([]uint64, n/64), make([]float32, n)
	size := strconv.Itoa(n)
	benchLevels(b, quantizeF32I8Code, size, func() { QuantizeF32I8(i8, src) })
	benchLevels(b, quantizeF32U8Code, size, func() { QuantizeF32U8(u8, src) })
	benchLevels(b, dequantizeI8F32Code, size, func() { DequantizeI8F32(back, i8, 0.01) })
	benchLevels(b, dequantizeU8F32Code, size, func() { DequantizeU8F32(back, u8, 0.01, -1) })
	benchLevels(b, binarizeF32U64Code, size, func() { BinarizeF32U64(bits, src) })
}
