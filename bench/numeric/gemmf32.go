package numeric

import (
	"fmt"
	"runtime"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas32"

	"github.com/maida-ai/gomai/bench"
	"github.com/maida-ai/gomai/internal/cpu"
	"github.com/maida-ai/gomai/internal/peak"
	"github.com/maida-ai/gomai/simd"
)

// floatProducts are matrix products of float32 at one level, and the limits that they are held to.
type floatProducts struct {
	level cpu.Level
	peak  float64 // the share of the peak loop's speed that they reach at least
	gonum float64 // how many times as fast as gonum's they are at least
}

var floatLevels = []floatProducts{{cpu.AVX512, 0.8, 9}, {cpu.AVX2, 0.75, 5}}

var floatShapes = []Shape{{128, 384, 1536}, {128, 1536, 384}}

func (p floatProducts) group() bench.Group {
	g := bench.Group{
		Name: fmt.Sprintf("GEMM f32, %v", p.level),
		About: fmt.Sprintf("Products M x K x N of float32 by packed weights, at the level %v, on one core. Packing is not timed. "+
			"The peak loop is nothing but the level's multiply-add on registers.", p.level),
		Rounds: 40,
		Rate:   "GFLOPS",
	}
	g.Cases = append(g.Cases, peakCase(loop, p.level, peak.F32))
	for _, s := range floatShapes {
		own, gonum := OfShape(Gomai, s), OfShape("gonum", s)
		g.Cases = append(g.Cases,
			atLevel(p.level, "GemmF32", bench.Case{Name: own, Work: s.Operations(), Open: s.openF32}),
			bench.Case{Name: gonum, Work: s.Operations(), Open: s.openGonum})
		g.Limits = append(g.Limits,
			bench.Limit{Case: own, Of: loop, Stat: bench.Min, Bound: p.peak, AtLeast: true},
			bench.Limit{Case: own, Of: gonum, Stat: bench.Min, Bound: p.gonum, AtLeast: true})
	}
	return g
}

// callsF32 are those of a round.
func (s Shape) callsF32() int { return int(max(1, 1.5e8/s.Operations())) }

// openF32 prepares a product at the level that is active.
func (s Shape) openF32() (bench.Round, func(), error) {
	a, w, dst := floats(7, s.M*s.K), make([]float32, simd.PackedF32Size(s.N, s.K)), make([]float32, s.M*s.N)
	simd.PackColumnsF32(w, floats(8, s.K*s.N), s.N, s.K, s.N)
	return opened(s.callsF32(), func() { simd.GemmF32(dst, s.N, a, s.K, w, s.M, s.N, s.K, nil) })()
}

// openGonum prepares gonum's product, which would use all cores.
func (s Shape) openGonum() (bench.Round, func(), error) {
	a := blas32.General{Rows: s.M, Cols: s.K, Stride: s.K, Data: floats(7, s.M*s.K)}
	w := blas32.General{Rows: s.K, Cols: s.N, Stride: s.N, Data: floats(8, s.K*s.N)}
	dst := blas32.General{Rows: s.M, Cols: s.N, Stride: s.N, Data: make([]float32, s.M*s.N)}
	round, done, err := opened(s.callsF32(), func() { blas32.Gemm(blas.NoTrans, blas.NoTrans, 1, a, w, 0, dst) })()
	return func(sample func(float64)) error {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
		return round(sample)
	}, done, err
}
