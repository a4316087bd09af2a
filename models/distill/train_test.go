package distill

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

func randomTable(rng *rand.Rand, n, dim int) *table {
	t := &table{dim: dim, rows: make([]float32, n*dim), logScale: make([]float32, n)}
	for i := range t.rows {
		t.rows[i] = float32(rng.NormFloat64())
	}
	for i := range t.logScale {
		t.logScale[i] = float32(0.3 * rng.NormFloat64())
	}
	return t
}

// loss is 1 - cos of a bag's mean and its target, straight from the definition.
func loss(t *table, rows []int32, target []float32) float64 {
	mean := make([]float32, t.dim)
	for _, r := range rows {
		for j, x := range t.row(int(r)) {
			mean[j] += float32(math.Exp(float64(t.logScale[r]))) * x
		}
	}
	return 1 - cosine(mean, target)
}

// TestGradient compares the gradient with difference quotients of the loss.
func TestGradient(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	table := randomTable(rng, 5, 8)
	rows := []int32{3, 1, 3, 4}
	target := make([]float32, table.dim)
	for j := range target {
		target[j] = float32(rng.NormFloat64())
	}
	tr := newTrainer(table)
	tr.accumulate(rows, target)
	const step = 1.0 / 256
	check := func(what string, i int, x *float32, got float32) {
		old := *x
		*x = old + step
		up := loss(table, rows, target)
		*x = old - step
		down := loss(table, rows, target)
		*x = old
		if want := (up - down) / (2 * step); math.Abs(want-float64(got)) > 1e-4 {
			t.Errorf("%s %d: gradient %g, difference quotient %g", what, i, got, want)
		}
	}
	for i := range table.rows {
		check("value", i, &table.rows[i], tr.grad[i])
	}
	for r := range table.logScale {
		check("log-scale", r, &table.logScale[r], tr.gradScale[r])
	}
	if !slices.Equal(tr.touched, []int32{3, 1, 4}) {
		t.Errorf("touched %v", tr.touched)
	}
	if tr.gradScale[3] == 0 || tr.grad[3*8] == 0 {
		t.Error("the gradient of a row that was used is 0")
	}
}

// TestNoDirection: an empty bag and a target of zeros teach nothing, and no NaN comes of them.
func TestNoDirection(t *testing.T) {
	table := randomTable(rand.New(rand.NewPCG(5, 6)), 3, 4)
	clear(table.row(2))
	tr := newTrainer(table)
	tr.accumulate(nil, []float32{1, 0, 0, 0})
	tr.accumulate([]int32{0, 1}, make([]float32, 4))
	tr.accumulate([]int32{2}, []float32{1, 0, 0, 0})
	if slices.ContainsFunc(tr.grad, func(g float32) bool { return g != 0 }) {
		t.Errorf("gradient %v", tr.grad)
	}
}

// TestAdam follows a few steps with the formulas of the paper in float64.
func TestAdam(t *testing.T) {
	const alpha, eps = 0.01, 1e-8
	x, m, v := []float32{1}, []float32{0}, []float32{0}
	wx, wm, wv := 1.0, 0.0, 0.0
	for i, g := range []float64{0.5, -0.25, 3, 0.001} {
		n := float64(i + 1)
		b1, b2 := math.Pow(beta1, n), math.Pow(beta2, n)
		adam{rate: float32(alpha * math.Sqrt(1-b2) / (1 - b1)), epsilon: float32(eps * math.Sqrt(1-b2))}.
			update(x, []float32{float32(g)}, m, v)
		wm = beta1*wm + (1-beta1)*g
		wv = beta2*wv + (1-beta2)*g*g
		wx -= alpha * wm / (1 - b1) / (math.Sqrt(wv/(1-b2)) + eps)
		if math.Abs(float64(x[0])-wx) > 1e-6 {
			t.Fatalf("step %d: %g, want %g", i, x[0], wx)
		}
	}
}

// TestTrain: targets that some table meets exactly are learned, rows that no bag has stay, and the
// learned scales end up in the rows.
func TestTrain(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	const n, dim, unused = 40, 16, 39
	truth, start := randomTable(rng, n, dim), randomTable(rng, n, dim)
	clear(start.logScale)
	b := &bags{}
	var targets []float32
	for range 4000 {
		var rows []int32
		mean := make([]float32, dim)
		for range 1 + rng.IntN(6) {
			r := rng.Int32N(unused)
			rows = append(rows, r)
			for j, x := range truth.row(int(r)) {
				mean[j] += x
			}
		}
		b.add(rows...)
		targets = append(targets, mean...)
	}
	mean := func(tb *table) float64 {
		sum := 0.0
		for i := range b.len() {
			sum += loss(tb, b.at(i), targets[i*dim:(i+1)*dim])
		}
		return sum / float64(b.len())
	}
	before, row := mean(start), slices.Clone(start.row(unused))
	last := 0
	err := train(context.Background(), start, b, targets, 200, rng, func(done, total int) {
		if done != last+1 || total != 200*8 {
			t.Fatalf("step %d of %d after %d", done, total, last)
		}
		last = done
	})
	if err != nil {
		t.Fatal(err)
	}
	after := mean(start)
	if before < 0.8 || after > 0.1 || math.IsNaN(after) {
		t.Errorf("mean loss %g before, %g after", before, after)
	}
	if !slices.Equal(row, start.row(unused)) {
		t.Error("a row that no bag has was changed")
	}
	start.fold()
	if folded := mean(start); math.Abs(folded-after) > 1e-5 {
		t.Errorf("folding the scales in changes the loss from %g to %g", after, folded)
	}
}

func TestTrainStops(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	table := randomTable(rng, 4, 4)
	b := &bags{}
	for range 3 * batchSize {
		b.add(0, 1)
	}
	ctx, cancel := context.WithCancel(context.Background())
	steps := 0
	err := train(ctx, table, b, make([]float32, b.len()*4), 5, rng, func(int, int) {
		if steps++; steps == 4 {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) || steps != 4 {
		t.Errorf("%d steps, error %v", steps, err)
	}
}

// TestStep follows two steps in float64: the pull, the falling rate, the faster scales, and a gradient
// that is forgotten after each.
func TestStep(t *testing.T) {
	rng := rand.New(rand.NewPCG(11, 12))
	const n, dim = 4, 3
	tb := randomTable(rng, n, dim)
	tr := newTrainer(tb)
	tr.stepsOf = 10
	// The table starts away from where it is pulled to, so that the pull shows.
	for i := range tr.initial {
		tr.initial[i] += 1000
	}
	type number struct{ x, m, v float64 }
	rows, scales := make([]number, n*dim), make([]number, n)
	for i := range rows {
		rows[i].x = float64(tb.rows[i])
	}
	for i := range scales {
		scales[i].x = float64(tb.logScale[i])
	}
	follow := func(p *number, g, lr float64, step int) {
		p.m = beta1*p.m + (1-beta1)*g
		p.v = beta2*p.v + (1-beta2)*g*g
		p.x -= lr * p.m / (1 - math.Pow(beta1, float64(step))) / (math.Sqrt(p.v/(1-math.Pow(beta2, float64(step)))) + epsilon)
	}
	for step, bag := range [][]int32{{0, 2, 2}, {2, 3}} {
		target := []float32{1, float32(step), -2}
		tr.accumulate(bag, target)
		lr := rate * (1 - float64(step)/10)
		for _, r := range tr.touched {
			for j := range dim {
				i := int(r)*dim + j
				follow(&rows[i], float64(tr.grad[i])+pull*(rows[i].x-float64(tr.initial[i])), lr, step+1)
			}
			follow(&scales[r], float64(tr.gradScale[r]), scaleBoost*lr, step+1)
		}
		tr.step()
		for i, want := range rows {
			if math.Abs(float64(tb.rows[i])-want.x) > 1e-6 {
				t.Errorf("step %d: value %d is %g, want %g", step, i, tb.rows[i], want.x)
			}
		}
		for r, want := range scales {
			if math.Abs(float64(tb.logScale[r])-want.x) > 1e-6 || tr.expScale[r] != float32(math.Exp(float64(tb.logScale[r]))) {
				t.Errorf("step %d: log-scale %d is %g, want %g", step, r, tb.logScale[r], want.x)
			}
		}
		if len(tr.touched) > 0 || slices.Contains(tr.seen, true) ||
			slices.ContainsFunc(slices.Concat(tr.grad, tr.gradScale), func(g float32) bool { return g != 0 }) {
			t.Errorf("step %d: the batch is not forgotten", step)
		}
	}
	if tb.rows[dim] != float32(rows[dim].x) || tr.stepsDone != 2 {
		t.Error("a row that no bag has was changed")
	}
}
