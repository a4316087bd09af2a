package distill

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"testing"
)

// TestPrincipal finds the axes of data that was made along them.
func TestPrincipal(t *testing.T) {
	const n, width, dim = 5000, 6, 3
	rng := rand.New(rand.NewPCG(1, 9))
	// orthonormal axes, by Gram-Schmidt
	var axes [width][width]float64
	for i := range axes {
		for j := range axes[i] {
			axes[i][j] = rng.NormFloat64()
		}
		for k := range i {
			dot := 0.0
			for j := range width {
				dot += axes[i][j] * axes[k][j]
			}
			for j := range width {
				axes[i][j] -= dot * axes[k][j]
			}
		}
		norm := 0.0
		for _, v := range axes[i] {
			norm += v * v
		}
		for j := range axes[i] {
			axes[i][j] /= math.Sqrt(norm)
		}
	}
	spread := [width]float64{1, 16, 0.5, 4, 8, 2}
	x := make([]float32, n*width)
	for i := range n {
		for a, s := range spread {
			c := s * rng.NormFloat64()
			for j := range width {
				x[i*width+j] += float32(c*axes[a][j]) + float32(j)/width
			}
		}
	}
	mean := columnMeans(x, width)
	for j, m := range mean {
		if math.Abs(m-float64(j)) > 1 {
			t.Errorf("mean of column %d: %g", j, m)
		}
	}
	centre(x, mean)
	for j, m := range columnMeans(x, width) {
		if math.Abs(m) > 1e-3 {
			t.Errorf("mean of centred column %d: %g", j, m)
		}
	}
	calls := 0
	basis, err := principal(context.Background(), x, width, dim, func(done, total int) {
		if calls++; total != n || done > n {
			t.Errorf("%d of %d", done, total)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	for k, a := range []int{1, 4, 3} {
		dot := 0.0
		for j := range width {
			dot += basis.At(j, k) * axes[a][j]
		}
		if math.Abs(math.Abs(dot)-1) > 0.01 {
			t.Errorf("direction %d: cosine %g with axis %d", k, dot, a)
		}
	}
	p := project(x, basis)
	if len(p) != n*dim {
		t.Fatalf("%d coordinates", len(p))
	}
	for _, i := range []int{0, blockRows - 1, blockRows, n - 1} {
		for k := range dim {
			want := 0.0
			for j := range width {
				want += float64(x[i*width+j]) * basis.At(j, k)
			}
			if math.Abs(want-float64(p[i*dim+k])) > 1e-4 {
				t.Errorf("row %d, coordinate %d: %g, want %g", i, k, p[i*dim+k], want)
			}
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := principal(ctx, x, width, dim, func(int, int) {}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: error %v", err)
	}
}
