package numeric

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/maida-ai/gomai/bench"
	"github.com/maida-ai/gomai/internal/cpu"
	"github.com/maida-ai/gomai/internal/peak"
	"github.com/maida-ai/gomai/simd"
)

// Products are matrix products of u8 by s8 at one level, and the limits that they are held to.
type Products struct {
	Name   string // of the group
	Level  cpu.Level
	Shapes []Shape
	Peak   float64 // the share of the peak loop's speed that they reach at least; 0: no limit
	OneDNN float64 // how many times as fast as oneDNN's they are at least; 0: no limit
}

// Shape is that of a product: of (M, K) by (K, N).
type Shape struct{ M, K, N int }

func (s Shape) String() string { return fmt.Sprintf("%d x %d x %d", s.M, s.K, s.N) }

// Operations are the multiplications and additions of a product, counted apart.
func (s Shape) Operations() float64 { return 2 * float64(s.M) * float64(s.K) * float64(s.N) }

// OfShape names the case of a library and a shape.
func OfShape(library string, s Shape) string { return fmt.Sprintf("%s, %v", library, s) }

// Those of an encoder with 384 components, for as many tokens as it has rows.
var (
	shapes = []Shape{
		{32, 384, 1536}, {128, 384, 1536}, {512, 384, 1536},
		{32, 1536, 384}, {128, 1536, 384}, {512, 1536, 384},
	}
	shapesOf8 = []Shape{{8, 384, 1536}, {8, 1536, 384}}
)

// IntegerProducts are all products of u8 by s8 in the suite.
var IntegerProducts = []*Products{
	{"GEMM u8 s8, amx", cpu.AMX, shapes, 0.8, 1.5},
	{"GEMM u8 s8, amx, 8 rows", cpu.AMX, shapesOf8, 0, 1.1},
	{"GEMM u8 s8, avx512-vnni", cpu.AVX512VNNI, shapes, 0.88, 1},
	{"GEMM u8 s8, avx-vnni", cpu.AVXVNNI, shapes, 0.85, 0},
	{"GEMM u8 s8, avx2", cpu.AVX2, shapes, 0.75, 1},
}

// Operands are those of a product, with one row of weights for each column of the result.
type Operands struct {
	Activations  []uint8   // (M, K)
	Weights      []int8    // (N, K)
	Scales, Bias []float32 // (N,)
}

// Operands are random, always the same ones.
func (s Shape) Operands() Operands {
	r := rand.New(rand.NewPCG(3, 3))
	o := Operands{Activations: make([]uint8, s.M*s.K), Weights: integers(4, s.N*s.K), Scales: floats(5, s.N), Bias: floats(6, s.N)}
	for i := range o.Activations {
		o.Activations[i] = uint8(r.Uint32())
	}
	return o
}

func (p *Products) group() bench.Group {
	g := bench.Group{
		Name:   p.Name,
		About:  p.about(),
		Rounds: 40,
		Rate:   "GOPS",
	}
	g.Cases = append(g.Cases, peakCase(loop, p.Level, peak.I8))
	for _, s := range p.Shapes {
		name := OfShape(Gomai, s)
		g.Cases = append(g.Cases, atLevel(p.Level, "GemmU8I8", bench.Case{Name: name, Work: s.Operations(), Open: s.open}))
		if p.Peak > 0 {
			g.Limits = append(g.Limits, bench.Limit{Case: name, Of: loop, Stat: bench.Min, Bound: p.Peak, AtLeast: true})
		}
	}
	return g
}

// Calls are those of a round, which takes half a millisecond or so.
func (s Shape) Calls() int { return int(max(1, 5e8/s.Operations())) }

// about says what is measured.
func (p *Products) about() string {
	return fmt.Sprintf("Products M x K x N of packed activations, u8, by packed weights, s8, at the level %v. A scale for each column and "+
		"a bias turn the sums into float32 before they are stored. Packing is not timed. The peak loop is nothing but the level's multiply-add on registers.", p.Level)
}

// open prepares a product at the level that is active.
func (s Shape) open() (bench.Round, func(), error) {
	o := s.Operands()
	a, w := make([]uint8, simd.PackedU8Size(s.M, s.K)), make([]int8, simd.PackedI8Size(s.N, s.K))
	simd.PackU8(a, o.Activations, s.M, s.K)
	simd.PackI8(w, o.Weights, s.N, s.K)
	dst := make([]float32, s.M*s.N)
	e := simd.Epilogue{Scale: o.Scales, Bias: o.Bias}
	return opened(s.Calls(), func() { simd.GemmU8I8F32(dst, a, w, s.M, s.N, s.K, &e) })()
}

// loop is the case of a peak loop.
const loop = "peak loop"

// peakCase is a round of a peak loop. Its time is that of a million operations.
func peakCase(name string, level cpu.Level, of func(cpu.Level) (peak.Loop, bool)) bench.Case {
	const million = 1e6
	loop, ok := of(level)
	c := bench.Case{Name: name, Code: loop.Instructions, Work: million, Open: func() (bench.Round, func(), error) {
		return func(sample func(float64)) error { sample(million / loop.Rate(1)); return nil }, nil, nil
	}}
	if !ok || !slices.Contains(cpu.Levels(), level) {
		c.Code, c.Absent, c.Open = "", bench.NoLevel, nil
	}
	return c
}
