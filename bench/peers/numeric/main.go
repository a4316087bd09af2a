// Command numeric runs what package bench/numeric measures in other libraries too, all in one run and in
// turns, and prints the tables. The libraries are not linked: setup.sh compiles a program that measures
// them on request.
package main

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/maida-ai/gomai/bench"
	"github.com/maida-ai/gomai/bench/numeric"
	"github.com/maida-ai/gomai/bench/peers/child"
	"github.com/maida-ai/gomai/internal/cpu"
	"github.com/maida-ai/gomai/metrics/search"
)

func main() {
	groups, done, err := groups("numeric/build/peers")
	if err != nil {
		fmt.Fprintln(os.Stderr, "numeric:", err)
		os.Exit(1)
	}
	defer done()
	bench.Program{Section: "numeric", Command: "cd bench/peers && numeric/setup.sh && go run ./numeric", Groups: groups}.Main()
}

// isa is what oneDNN may use at most, by the level that it is compared with.
var isa = map[cpu.Level]string{
	cpu.AMX:        "DEFAULT",
	cpu.AVX512VNNI: "AVX512_CORE_VNNI",
	cpu.AVXVNNI:    "AVX2_VNNI",
	cpu.AVX2:       "AVX2",
}

// groups returns those of the suite that a library has something for, with the libraries' cases. program
// is that of setup.sh.
func groups(program string) ([]bench.Group, func(), error) {
	libraries, err := child.Start(program, nil)
	if err != nil {
		return nil, nil, err
	}
	running := []*child.Child{libraries}
	done := func() {
		for _, c := range running {
			c.Stop()
		}
	}
	suite := map[string]bench.Group{}
	for _, g := range numeric.Groups() {
		suite[g.Name] = g
	}
	var groups []bench.Group
	for _, v := range numeric.Vectors {
		groups = append(groups, withSimSIMD(libraries, suite[v.Name], v))
	}
	for _, s := range numeric.Searches {
		groups = append(groups, withUSearch(libraries, suite[s.Name], s))
	}
	for _, p := range numeric.IntegerProducts {
		onednn, err := child.Start(program, nil, "ONEDNN_MAX_CPU_ISA="+isa[p.Level])
		if err != nil {
			done()
			return nil, nil, err
		}
		running = append(running, onednn)
		groups = append(groups, withOneDNN(onednn, suite[p.Name], p))
	}
	return groups, done, nil
}

// atLeast is the limit that the suite's case is bound times as fast as a library's.
func atLeast(bound float64, name, library string) bench.Limit {
	return bench.Limit{Case: name, Of: library, Stat: bench.Min, Bound: bound, AtLeast: true}
}

func withSimSIMD(c *child.Child, g bench.Group, v *numeric.VectorPair) bench.Group {
	const name = "SimSIMD"
	what := map[string]string{"DotF32": "dot_f32", "CosineF32": "cos_f32", "DotI8": "dot_i8"}[v.Primitive]
	data := child.Raw(v.A, v.B)
	if v.A == nil {
		data = child.Raw(v.AI8, v.BI8)
	}
	g.Cases = append(g.Cases, c.Open(bench.Case{Name: name, Work: float64(v.N)}, numeric.VectorCalls, data, "simsimd", what, v.N))
	g.Limits = append(g.Limits, atLeast(v.SimSIMD, numeric.Gomai, name))
	return g
}

func withUSearch(c *child.Child, g bench.Group, s *numeric.Search) bench.Group {
	d := s.Data()
	what, data := "f32", child.Raw(d.F32, d.RowsF32)
	switch s.Kind {
	case search.I8:
		what, data = "i8", child.Raw(d.I8, d.RowsI8)
	case search.Binary:
		what, data = "b1", child.Raw(d.Bits, d.RowsBits)
	}
	for _, m := range s.Metrics() {
		metric := map[search.Metric]string{search.Cosine: "cos", search.Dot: "ip", search.Hamming: "hamming"}[m]
		for _, kernels := range []string{"SimSIMD", "NumKong"} {
			name := numeric.By("USearch, "+kernels, m)
			g.Cases = append(g.Cases, c.Open(bench.Case{Name: name, Work: s.Bytes()}, s.Calls(), data,
				"usearch", what, metric, strings.ToLower(kernels), s.Rows, numeric.Dim, numeric.K))
			g.Limits = append(g.Limits, atLeast(s.USearch, numeric.By(numeric.Gomai, m), name))
		}
	}
	return g
}

func withOneDNN(c *child.Child, g bench.Group, p *numeric.Products) bench.Group {
	for _, s := range p.Shapes {
		name := numeric.OfShape("oneDNN", s)
		k := bench.Case{Name: name, Work: s.Operations(), Absent: bench.NoLevel}
		if slices.Contains(cpu.Levels(), p.Level) {
			k = openOneDNN(c, name, s, s.Operands())
		}
		g.Cases = append(g.Cases, k)
		if p.OneDNN > 0 {
			g.Limits = append(g.Limits, atLeast(p.OneDNN, numeric.OfShape(numeric.Gomai, s), name))
		}
	}
	return g
}

func openOneDNN(c *child.Child, name string, s numeric.Shape, o numeric.Operands) bench.Case {
	return c.Open(bench.Case{Name: name, Work: s.Operations()}, s.Calls(), child.Raw(o.Activations, o.Weights, o.Scales, o.Bias),
		"onednn", "f32", s.M, s.N, s.K)
}
