package metrics

import (
	"errors"
	"math"
	"math/rand/v2"
	"testing"

	"gonum.org/v1/gonum/floats"

	"github.com/maida-ai/gomai/types"
)

var inf, nan = float32(math.Inf(1)), float32(math.NaN())

func randomVector(r *rand.Rand, n int, scale float64) []float32 {
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(r.NormFloat64() * scale)
	}
	return v
}

func wide(v []float32) []float64 {
	w := make([]float64, len(v))
	for i, x := range v {
		w[i] = float64(x)
	}
	return w
}

// Gonum computes in float64, so it is the oracle at every length and at magnitudes whose squares
// float32 cannot hold.
func TestAgainstGonum(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, scale := range []float64{1, 1e-38, 1e-30, 1e-22, 1e-16, 1e16, 1e22, 1e30} {
		for n := 1; n < 200; n++ {
			a, b := randomVector(r, n, scale), randomVector(r, n, scale)
			x, y := wide(a), wide(b)
			norms := floats.Norm(x, 2) * floats.Norm(y, 2)
			unit := (float64(n/64) + 8) * 0x1p-24

			check := func(name string, got, want, tolerance float64) {
				if diff := math.Abs(got - want); !(diff <= tolerance) {
					t.Errorf("%s, n=%d, scale %g: got %v, want %v within %g", name, n, scale, got, want, tolerance)
				}
			}
			check("Dot", Dot(a, b), floats.Dot(x, y), unit*norms+float64(n)*0x1p-149)
			check("Cosine", Cosine(a, b), floats.Dot(x, y)/norms, 2*unit)
			distance := floats.Distance(x, y, 2)
			check("Euclidean", Euclidean(a, b), distance, unit*distance)
		}
	}
}

func TestCosineStaysInRange(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 1000 {
		a := randomVector(r, 1+r.IntN(100), 1)
		b := make([]float32, len(a))
		for i := range a {
			b[i] = -3 * a[i]
		}
		if c := Cosine(a, a); c > 1 || c < 1-1e-6 {
			t.Errorf("cosine with itself is %v", c)
		}
		if c := Cosine(a, b); c < -1 || c > -1+1e-6 {
			t.Errorf("cosine with its opposite is %v", c)
		}
	}
}

func TestEdges(t *testing.T) {
	zero := []float32{0, 0, 0}
	for _, c := range []struct {
		name string
		m    Metric
		a, b []float32
		want float64
	}{
		{"dot with zero", Dot, zero, []float32{1, 2, 3}, 0},
		{"cosine with zero", Cosine, zero, []float32{1, 2, 3}, 0},
		{"cosine of zeros", Cosine, zero, zero, 0},
		{"cosine with the smallest", Cosine, []float32{0x1p-149, 0, 0}, []float32{1, 0, 0}, 1},
		{"distance of zeros", Euclidean, zero, zero, 0},
		{"distance of the smallest", Euclidean, []float32{0x1p-149, 0, 0}, zero, 0x1p-149},
		{"distance of the largest", Euclidean, []float32{math.MaxFloat32}, []float32{-math.MaxFloat32}, 2 * math.MaxFloat32},
		{"dot beyond float32", Dot, []float32{1e30, 1e30}, []float32{1e30, -1e30}, 0},

		{"empty dot", Dot, nil, nil, 0},
		{"empty cosine", Cosine, nil, []float32{}, 0},
		{"empty distance", Euclidean, []float32{}, nil, 0},

		{"NaN dot", Dot, []float32{0, nan, 0}, zero, math.NaN()},
		{"NaN cosine", Cosine, []float32{0, nan, 0}, zero, math.NaN()},
		{"NaN cosine, second", Cosine, []float32{1, 1, 1}, []float32{1, nan, 1}, math.NaN()},
		{"NaN distance", Euclidean, []float32{0, nan, 0}, zero, math.NaN()},
		{"infinite dot", Dot, []float32{inf, 1}, []float32{1, 1}, math.Inf(1)},
		{"infinite cosine", Cosine, []float32{inf, 1}, []float32{1, 1}, math.NaN()},
		{"infinite cosine with zero", Cosine, []float32{inf}, []float32{0}, math.NaN()},
		{"infinite distance", Euclidean, []float32{inf, 1}, []float32{1, 1}, math.Inf(1)},
		{"infinity to itself", Euclidean, []float32{inf}, []float32{inf}, math.NaN()},
	} {
		got := c.m(c.a, c.b)
		if got != c.want && !(math.IsNaN(got) && math.IsNaN(c.want)) {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
	}
}

func TestLengthsDiffer(t *testing.T) {
	for _, name := range Names() {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s of 2 and 3 components did not panic", name)
				}
			}()
			m, _ := ByName(name)
			m([]float32{1, 2}, []float32{1, 2, 3})
		}()
	}
}

func TestByName(t *testing.T) {
	a, b := []float32{3, 4}, []float32{6, 8}
	for name, want := range map[string]float64{"cosine": 1, "dot": 50, "euclidean": 5} {
		m, ok := ByName(name)
		if !ok || m(a, b) != want {
			t.Errorf("%s: found %v, or not %v", name, ok, want)
		}
	}
	if len(Names()) != 3 {
		t.Errorf("Names() = %v", Names())
	}
	if _, ok := ByName("Cosine"); ok {
		t.Error("names are lower case, but Cosine was found")
	}
}

func TestCompare(t *testing.T) {
	a := &types.Embedding{F32: []float32{3, 4}, Space: "s"}
	b := &types.Embedding{F32: []float32{6, 8}, Space: "s"}
	if got, err := Compare(Dot, a, b); got != 50 || err != nil {
		t.Errorf("got %v, %v", got, err)
	}

	other := &types.Embedding{F32: []float32{6, 8}, Space: "other"}
	var space *types.SpaceError
	if _, err := Compare(Dot, a, other); !errors.As(err, &space) || space.A != "s" || space.B != "other" {
		t.Errorf("different spaces: %v", err)
	}

	for _, wrong := range []*types.Embedding{
		{F32: []float32{1, 2, 3}, Space: "s"},
		{I8: []int8{1, 2}, Scale: 1, Space: "s"},
	} {
		var shape *ShapeError
		if _, err := Compare(Dot, a, wrong); !errors.As(err, &shape) || shape.A != 2 || shape.B != len(wrong.F32) {
			t.Errorf("%v: %v", wrong, err)
		}
		if _, err := Compare(Dot, wrong, wrong); len(wrong.F32) == 0 && !errors.As(err, &shape) {
			t.Errorf("without float32 components: %v", err)
		}
	}
}

func TestMetricsDoNotAllocate(t *testing.T) {
	a := &types.Embedding{F32: make([]float32, 384)}
	b := &types.Embedding{F32: make([]float32, 384)}
	b.F32[7] = 1e-30 // the float64 path too
	for _, name := range Names() {
		m, _ := ByName(name)
		n := testing.AllocsPerRun(100, func() {
			if _, err := Compare(m, a, b); err != nil {
				t.Fatal(err)
			}
		})
		if n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func BenchmarkCosine(b *testing.B) {
	r := rand.New(rand.NewPCG(5, 6))
	x, y := randomVector(r, 384, 1), randomVector(r, 384, 1)
	for b.Loop() {
		Cosine(x, y)
	}
}
