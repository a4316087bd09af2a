package numeric

import (
	"fmt"

	"gonum.org/v1/gonum/blas/blas32"

	"github.com/maida-ai/gomai/bench"
	"github.com/maida-ai/gomai/internal/cpu"
	"github.com/maida-ai/gomai/simd"
)

// VectorPair is a function of two vectors, and the limits that it is held to.
type VectorPair struct {
	Name      string // of the group
	N         int
	A, B      []float32 // or
	AI8, BI8  []int8
	Gonum     float64 // how many times as fast as gonum's it is at least; 0: gonum has none
	SimSIMD   float64 // the same for SimSIMD's
	Primitive string
	calls     func(v *VectorPair, n int) // n in a row, with nothing between them
	levels    []cpu.Level
}

// Vectors are the functions of two vectors.
var Vectors = []*VectorPair{
	dotF32(384, 1.2),
	dotF32(1536, 2),
	cosineF32(384, 1.15),
	dotI8(384, 1.35),
	dotI8(1536, 2.5),
}

// result keeps the compiler from leaving calls out.
var result struct {
	f32 float32
	f64 float64
	i32 int32
}

func dotF32(n int, simsimd float64) *VectorPair {
	return &VectorPair{
		Name: fmt.Sprintf("dot f32, %d", n), N: n, A: floats(1, n), B: floats(2, n),
		Gonum: 2.7, SimSIMD: simsimd, Primitive: "DotF32", levels: []cpu.Level{cpu.AVX512, cpu.AVX2, cpu.Generic},
		calls: func(v *VectorPair, n int) {
			for range n {
				result.f32 = simd.DotF32(v.A, v.B)
			}
		},
	}
}

func cosineF32(n int, simsimd float64) *VectorPair {
	return &VectorPair{
		Name: fmt.Sprintf("cosine f32, %d", n), N: n, A: floats(1, n), B: floats(2, n),
		SimSIMD: simsimd, Primitive: "CosineF32", levels: []cpu.Level{cpu.AVX512, cpu.AVX2, cpu.Generic},
		calls: func(v *VectorPair, n int) {
			for range n {
				result.f64 = simd.CosineF32(v.A, v.B)
			}
		},
	}
}

func dotI8(n int, simsimd float64) *VectorPair {
	return &VectorPair{
		Name: fmt.Sprintf("dot i8, %d", n), N: n, AI8: integers(1, n), BI8: integers(2, n),
		SimSIMD: simsimd, Primitive: "DotI8", levels: []cpu.Level{cpu.AVX512VNNI, cpu.AVX512, cpu.AVXVNNI, cpu.AVX2, cpu.Generic},
		calls: func(v *VectorPair, n int) {
			for range n {
				result.i32 = simd.DotI8(v.AI8, v.BI8)
			}
		},
	}
}

// Call runs the function once and returns its result.
func (v *VectorPair) Call() float64 {
	result.f32, result.f64, result.i32 = 0, 0, 0
	v.calls(v, 1)
	return float64(result.f32) + result.f64 + float64(result.i32)
}

// VectorCalls are those of a round.
const VectorCalls = 10_000

func (v *VectorPair) group() bench.Group {
	g := bench.Group{
		Name:   v.Name,
		About:  fmt.Sprintf("Two vectors of %d elements, in the first-level cache. A round is %d calls.", v.N, VectorCalls),
		Rounds: 200,
		Rate:   "G elements/s",
	}
	open := inARow(VectorCalls, func(n int) { v.calls(v, n) })
	add := func(c bench.Case) {
		c.Work = float64(v.N)
		g.Cases = append(g.Cases, c)
	}
	add(bench.Case{Name: Gomai, Code: code(v.Primitive), Open: open})
	for _, l := range v.levels {
		add(atLevel(l, v.Primitive, bench.Case{Name: fmt.Sprintf("%s, %s", Gomai, l), Open: open}))
	}
	if v.Gonum > 0 {
		a, b := blas32.Vector{N: v.N, Data: v.A, Inc: 1}, blas32.Vector{N: v.N, Data: v.B, Inc: 1}
		add(bench.Case{Name: "gonum", Open: inARow(VectorCalls, func(n int) {
			for range n {
				result.f32 = blas32.Dot(a, b)
			}
		})})
		g.Limits = append(g.Limits, bench.Limit{Case: Gomai, Of: "gonum", Stat: bench.Min, Bound: v.Gonum, AtLeast: true})
	}
	return g
}
