package fma

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
)

// exactly computes a*b + c with as many bits as it takes and rounds once.
func exactly(a, b, c float32) float32 {
	const enough = 700 // 2^-298 to 2^256
	x, y, z := new(big.Float).SetPrec(enough), new(big.Float).SetPrec(enough), new(big.Float).SetPrec(enough)
	x.SetFloat64(float64(a)).Mul(x, y.SetFloat64(float64(b)))
	x.Add(x, z.SetFloat64(float64(c)))
	f, _ := x.Float32()
	return f
}

func checkFMA(t *testing.T, a, b, c float32) {
	t.Helper()
	got, want := F32(a, b, c), exactly(a, b, c)
	if got != want {
		t.Errorf("F32(%b, %b, %b) = %b, want %b", a, b, c, got, want)
	}
}

func TestF32(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 12))
	finite := func() float32 {
		for {
			if f := math.Float32frombits(r.Uint32()); !math.IsNaN(float64(f)) && !math.IsInf(float64(f), 0) {
				return f
			}
		}
	}
	for range 200_000 {
		a, b := finite(), finite()
		checkFMA(t, a, b, finite())
		// Sums near half-way points: the product's lower bits are lost in float64 and decide.
		a, b = 1+float32(r.IntN(1<<12))*0x1p-23, 1+float32(r.IntN(1<<12))*0x1p-23
		c := float32(math.Ldexp(float64(r.IntN(2*64)-64), r.IntN(60)))
		checkFMA(t, a, b, c)
		checkFMA(t, a*0x1p-70, b*0x1p-70, float32(r.IntN(64)-32)*0x1p-149) // denormal
	}
	// Half-way between two float32 but for a bit that float64 has no room for: products of 2^36+1 and
	// 2^36-1, scaled so that their upper bit is half a unit of the last place of c.
	for i := range 100 {
		scale := float32(math.Ldexp(1, i-50))
		for _, sign := range []float32{1, -1} {
			for _, c := range []float32{1, 1 + 0x1p-23, 2 - 0x1p-23} {
				checkFMA(t, sign*(0x1p12+1), (0x1p24-0x1p12+1)*0x1p-60*scale, c*scale)
				checkFMA(t, sign*(0x1p18+1), (0x1p18-1)*0x1p-60*scale, c*scale)
				checkFMA(t, sign*(0x1p18+1), (0x1p18-1)*0x1p-60*scale, -c*scale)
			}
		}
	}
	checkFMA(t, math.MaxFloat32, 1, math.MaxFloat32)

	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	if got := F32(inf, 1, 3); got != inf {
		t.Errorf("of infinity: %v", got)
	}
	if got := F32(math.MaxFloat32, math.MaxFloat32, -inf); got != -inf {
		t.Errorf("of a large product and -infinity: %v", got)
	}
	for _, v := range []float32{F32(nan, 1, 1), F32(1, 1, nan), F32(inf, 0, 1), F32(inf, 1, -inf)} {
		if v == v {
			t.Errorf("%v, want NaN", v)
		}
	}
}
