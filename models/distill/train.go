package distill

import (
	"context"
	"math"
	"math/rand/v2"
)

// The training settings of the recipe. They were chosen on one encoder (all-MiniLM-L6-v2) by their
// STS-B score and are no options: a table trained otherwise is another recipe.
const (
	batchSize  = 512
	rate       = 3e-3 // falls linearly to 0
	beta1      = 0.9
	beta2      = 0.99
	epsilon    = 1e-8
	pull       = 1e-3 // towards the initial rows, which keeps rarely seen ones sane; beside the summed gradient of a batch
	scaleBoost = 5    // the learned log-scale of a token moves this much faster than its row
)

// table is a static embedding table in training.
//
// A bag's vector is the mean of exp(logScale)*row over its rows; the direction of that is compared
// with the teacher's. The scale is learned apart from the row because what a word weighs in a
// sentence and what it means are learned at different speeds.
type table struct {
	dim      int
	rows     []float32 // (n, dim)
	logScale []float32 // (n,)
}

// fold multiplies the learned scales into the rows.
func (t *table) fold() {
	for r, s := range t.logScale {
		f := float32(math.Exp(float64(s)))
		for j := range t.row(r) {
			t.row(r)[j] *= f
		}
		t.logScale[r] = 0
	}
}

func (t *table) row(r int) []float32 { return t.rows[r*t.dim : (r+1)*t.dim] }

// trainer holds what Adam remembers of each row, and the gradient of one batch.
type trainer struct {
	*table
	initial            []float32 // (n, dim)
	m, v, grad         []float32 // (n, dim)
	mScale, vScale     []float32 // (n,)
	gradScale          []float32 // (n,)
	touched            []int32   // rows of the batch in the order of their first use
	seen               []bool    // (n,)
	mean, meanGrad     []float32 // (dim,)
	decay1, decay2     float64   // beta1 and beta2 to the power of the steps done
	expScale           []float32 // exp(logScale), refreshed with it
	stepsDone, stepsOf int
}

// train fits t to targets, (bags, dim) in any length, for the given epochs. One goroutine does it
// all: sums in a fixed order are what makes two runs equal, and the teacher takes longer anyway.
func train(ctx context.Context, t *table, b *bags, targets []float32, epochs int, rng *rand.Rand, progress func(done, total int)) error {
	tr := newTrainer(t)
	perEpoch := (b.len() + batchSize - 1) / batchSize
	tr.stepsOf = epochs * perEpoch
	order := make([]int, b.len())
	for i := range order {
		order[i] = i
	}
	for range epochs {
		rng.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		for start := 0; start < len(order); start += batchSize {
			if err := ctx.Err(); err != nil {
				return err
			}
			batch := order[start:min(start+batchSize, len(order))]
			for _, i := range batch {
				tr.accumulate(b.at(i), targets[i*t.dim:(i+1)*t.dim])
			}
			tr.step()
			progress(tr.stepsDone, tr.stepsOf)
		}
	}
	return nil
}

func newTrainer(t *table) *trainer {
	n := len(t.logScale)
	tr := &trainer{
		table:   t,
		initial: append([]float32(nil), t.rows...),
		m:       make([]float32, len(t.rows)), v: make([]float32, len(t.rows)), grad: make([]float32, len(t.rows)),
		mScale: make([]float32, n), vScale: make([]float32, n), gradScale: make([]float32, n),
		seen: make([]bool, n),
		mean: make([]float32, t.dim), meanGrad: make([]float32, t.dim),
		decay1: 1, decay2: 1,
		expScale: make([]float32, n),
	}
	for r, s := range t.logScale {
		tr.expScale[r] = float32(math.Exp(float64(s)))
	}
	return tr
}

// accumulate adds the gradient of 1 - cos(mean, target) to the gradient of the batch.
func (tr *trainer) accumulate(rows []int32, target []float32) {
	if len(rows) == 0 {
		return
	}
	clear(tr.mean)
	for _, r := range rows {
		f := tr.expScale[r]
		for j, x := range tr.row(int(r)) {
			tr.mean[j] += f * x
		}
	}
	inv := 1 / float32(len(rows))
	var zz, yy, zy float64
	for j, y := range target {
		z := tr.mean[j] * inv
		tr.mean[j] = z
		zz += float64(z) * float64(z)
		yy += float64(y) * float64(y)
		zy += float64(z) * float64(y)
	}
	if zz == 0 || yy == 0 {
		return // no direction to learn from
	}
	// d(1-cos)/dz = (cos*z/|z| - y/|y|) / |z|
	zNorm, yNorm := math.Sqrt(zz), math.Sqrt(yy)
	cos := zy / (zNorm * yNorm)
	zFactor := float32(cos/zz) * inv
	yFactor := float32(1/(zNorm*yNorm)) * inv
	for j, y := range target {
		tr.meanGrad[j] = zFactor*tr.mean[j] - yFactor*y
	}
	for _, r := range rows {
		if !tr.seen[r] {
			tr.seen[r] = true
			tr.touched = append(tr.touched, r)
		}
		f := tr.expScale[r]
		row := tr.row(int(r))
		grad := tr.grad[int(r)*tr.dim : (int(r)+1)*tr.dim]
		var dot float32
		for j, g := range tr.meanGrad {
			grad[j] += f * g
			dot += g * row[j]
		}
		tr.gradScale[r] += f * dot
	}
}

// step lets Adam move the rows of the batch and forgets their gradient.
func (tr *trainer) step() {
	lr := rate * (1 - float64(tr.stepsDone)/float64(tr.stepsOf))
	tr.stepsDone++
	tr.decay1 *= beta1
	tr.decay2 *= beta2
	a := adam{
		rate:    float32(lr * math.Sqrt(1-tr.decay2) / (1 - tr.decay1)),
		epsilon: float32(epsilon * math.Sqrt(1-tr.decay2)),
	}
	fast := adam{rate: a.rate * scaleBoost, epsilon: a.epsilon}
	for _, r := range tr.touched {
		lo, hi := int(r)*tr.dim, (int(r)+1)*tr.dim
		grad, initial := tr.grad[lo:hi], tr.initial[lo:hi]
		for j, x := range tr.rows[lo:hi] {
			grad[j] += pull * (x - initial[j])
		}
		a.update(tr.rows[lo:hi], grad, tr.m[lo:hi], tr.v[lo:hi])
		fast.update(tr.logScale[r:r+1], tr.gradScale[r:r+1], tr.mScale[r:r+1], tr.vScale[r:r+1])
		tr.expScale[r] = float32(math.Exp(float64(tr.logScale[r])))
		clear(grad)
		tr.gradScale[r] = 0
		tr.seen[r] = false
	}
	tr.touched = tr.touched[:0]
}

// adam is one step of Adam with the bias corrections already in its rate and epsilon.
//
// Source: Kingma and Ba, "Adam: a method for stochastic optimization", section 2.
type adam struct {
	rate, epsilon float32
}

func (a adam) update(x, grad, m, v []float32) {
	grad, m, v = grad[:len(x)], m[:len(x)], v[:len(x)]
	for j, g := range grad {
		m[j] += (1 - beta1) * (g - m[j])
		v[j] += (1 - beta2) * (g*g - v[j])
		x[j] -= a.rate * m[j] / (float32(math.Sqrt(float64(v[j]))) + a.epsilon)
	}
}
