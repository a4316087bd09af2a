package quant

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"github.com/maida-ai/gomai/internal/cpu"
	"github.com/maida-ai/gomai/internal/fma"
)

// productCase is a batch before its products, with numbers that any level puts into its own layout.
type productCase struct {
	shape  Shape
	tokens []int
	layer  *Layer
	seed   uint64

	greatest bool // whether all activations are 255
}

func randomWeights(r *rand.Rand, n int) []int8 {
	v := make([]int8, n)
	for i := range v {
		if v[i] = int8(r.IntN(255) - 127); r.IntN(4) == 0 {
			v[i] = []int8{-128, -127, 127}[r.IntN(3)]
		}
	}
	return v
}

// randomLinear makes outputs of about that size of inputs of k bytes, beyond it now and then.
func randomLinear(r *rand.Rand, n, k int, size float64, offset bool) Linear {
	l := Linear{Weights: randomWeights(r, n*k), Scale: make([]float32, n), Bias: make([]float32, n)}
	spread := func() float32 {
		v := float32(size * r.NormFloat64())
		if r.IntN(16) == 0 {
			v *= 1000
		}
		return v
	}
	for j := range n {
		l.Scale[j], l.Bias[j] = spread()/float32(math.Sqrt(float64(k))*100*60), spread()
	}
	if offset {
		l.Offset = make([]float32, n)
		for j := range l.Offset {
			l.Offset[j] = spread()
		}
	}
	return l
}

func randomLayer(r *rand.Rand, s Shape) *Layer {
	l := &Layer{
		QKV:  randomLinear(r, 3*s.Hidden, s.Hidden, 60, true),
		Out:  randomLinear(r, s.Hidden, s.Hidden, 1, true),
		Up:   randomLinear(r, s.Inner, s.Hidden, 3000, true),
		Down: randomLinear(r, s.Hidden, s.Inner, 1, false),
	}
	l.Activation.Shift = uint8(r.IntN(maxShift + 1))
	for i := range l.Activation.Table {
		l.Activation.Table[i] = uint8(r.Uint32())
	}
	return l
}

// begin puts the numbers of the case into a workspace of the level that runs, and into a scratch.
func (c *productCase) begin(w *Workspace, s *Scratch) {
	r := rand.New(rand.NewPCG(c.seed, 1))
	w.Begin(c.shape, c.tokens)
	s.begin(w)
	fill := func(v []float32) {
		for i := range v {
			v[i] = float32(r.NormFloat64())
		}
	}
	fill(w.state)
	fill(w.rowScale)
	fill(w.rowLow)
	fillBytes := func(v []uint8) {
		for i := range v {
			if v[i] = uint8(r.Uint32()); c.greatest {
				v[i] = 255
			}
		}
	}
	fillBytes(w.activations)
	fillBytes(s.contextBytes)
	for _, v := range [][]float32{s.contextScale, s.contextLow, s.innerScale} {
		fill(v)
	}
	// As bytes: those that Down reads, at the levels that store bytes.
	fillBytes(unsafe.Slice((*uint8)(unsafe.Pointer(&s.inner[0])), 2*len(s.inner)))
}

// productResults are what the texts' rows see of each stage, and the memory that it leaves.
type productResults struct {
	queries      []uint8
	keys, values []int8
	out, down    []float32
	inner, most  []int16
	memory       []byte
}

// run runs each stage on the numbers of the case.
func (c *productCase) run(t *testing.T) (p productResults) {
	t.Helper()
	var w Workspace
	var s Scratch
	ctx, h, inner := t.Context(), c.shape.Hidden, c.shape.Inner
	begin := func() {
		c.begin(&w, &s)
	}
	stage := func(run func(first, end int) error) {
		for b := 0; b < w.Blocks(); b += SuperBlock {
			if err := run(b, min(b+SuperBlock, w.Blocks())); err != nil {
				t.Fatal(err)
			}
			p.memory = append(append(p.memory, w.memory...), s.memory...)
		}
	}
	states := func() (v []float32) {
		w.rows(0, w.Blocks(), func(b, r int) {
			for j := range h {
				v = append(v, w.state[w.stateAt(b, r, j)])
			}
		})
		return v
	}

	begin()
	if err := w.Project(ctx, 0, w.Blocks(), c.layer); err != nil {
		t.Fatal(err)
	}
	w.rows(0, w.Blocks(), func(b, r int) {
		for j := range h {
			p.queries = append(p.queries, w.queries[bytesAt(h, b, r, j)])
			p.keys = append(p.keys, w.keys[w.keyAt(b, r, j)])
			p.values = append(p.values, w.values[w.valueAt(b, r, j)])
		}
	})
	stage(func(first, end int) error { return w.Out(ctx, &s, first, end, c.layer) })
	p.out = states()
	begin()
	stage(func(first, end int) error {
		err := w.innerQuanta(ctx, &s, first, end, c.layer)
		w.rows(first, end, func(b, r int) {
			var most int16
			for i := range lanes {
				most = max(most, s.innerMax[innerAt(lanes, b-first, r, i)])
			}
			p.most = append(p.most, most)
			for j := range inner {
				p.inner = append(p.inner, s.inner[innerAt(inner, b-first, r, j)])
			}
		})
		return err
	})
	begin()
	stage(func(first, end int) error { return w.Down(ctx, &s, first, end, c.layer) })
	p.down = states()
	return p
}

// rows calls f for each row of a text in some blocks.
func (w *Workspace) rows(first, end int, f func(b, r int)) {
	for b := first; b < end; b++ {
		t := w.blocks[b]
		for r := range min(blockRows, w.texts[t.text].tokens-int(t.index)*blockRows) {
			f(b, r)
		}
	}
}

// differ says where two results differ, by their bits.
func (p *productResults) differ(q *productResults) string {
	for _, v := range []struct {
		name string
		at   int
	}{
		{"queries", differAt(p.queries, q.queries)}, {"keys", differAt(p.keys, q.keys)}, {"values", differAt(p.values, q.values)},
		{"out", differAt(bits(p.out), bits(q.out))}, {"inner", differAt(p.inner, q.inner)}, {"most", differAt(p.most, q.most)},
		{"down", differAt(bits(p.down), bits(q.down))},
	} {
		if v.at >= 0 {
			return fmt.Sprintf("%s differ at %d", v.name, v.at)
		}
	}
	return ""
}

func differAt[T comparable](a, b []T) int {
	if len(a) != len(b) || len(a) == 0 {
		return 0
	}
	for i, v := range a {
		if v != b[i] {
			return i
		}
	}
	return -1
}

func bits(v []float32) []uint32 {
	return unsafe.Slice((*uint32)(unsafe.Pointer(unsafe.SliceData(v))), len(v))
}

// check compares each variant of the products with plain Go.
func (c *productCase) check(t *testing.T) {
	t.Helper()
	restore := cpu.Use(cpu.Generic, 0)
	want := c.run(t)
	restore()
	eachFast(t, func(t *testing.T) {
		got := c.run(t)
		if d := got.differ(&want); d != "" {
			t.Errorf("%+v, %d tokens: %s", c.shape, c.tokens, d)
		}
		// Levels with the layouts of plain Go touch what it touches, and nothing else.
		if len(got.memory) == len(want.memory) && !slices.Equal(got.memory, want.memory) {
			t.Errorf("%+v, %d tokens: memory differs at %d", c.shape, c.tokens, differAt(got.memory, want.memory))
		}
	})
}

// eachFast runs f for each variant that has code of its own.
func eachFast(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	for _, l := range cpu.Levels() {
		for _, hide := range []cpu.Feature{0, cpu.VBMI} {
			restore := cpu.Use(l, hide)
			if v := encoderCode.Variant(); v.Level == l && (hide == 0 || l == cpu.AVX512VNNI) {
				t.Run(strings.TrimSpace(fmt.Sprint(l, " ", v.Needs)), f)
			}
			restore()
		}
	}
}

var productShapes = []Shape{
	{Hidden: 64, Heads: 2, Inner: 64}, {Hidden: 128, Heads: 4, Inner: 192}, {Hidden: 192, Heads: 3, Inner: 64},
	{Hidden: 128, Heads: 2, Inner: 256}, {Hidden: 384, Heads: 12, Inner: 1536}, {Hidden: 768, Heads: 12, Inner: 192},
}

func TestProducts(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for i := range 24 {
		c := &productCase{shape: productShapes[i%len(productShapes)], seed: uint64(i)}
		longest := 70
		if c.shape.Hidden > 192 {
			longest = 20
		}
		for range 1 + r.IntN(4) {
			c.tokens = append(c.tokens, 1+r.IntN(longest))
		}
		c.layer = randomLayer(r, c.shape)
		c.check(t)
	}
	for tokens := 1; tokens <= 70; tokens++ {
		s := productShapes[tokens%2]
		(&productCase{shape: s, tokens: []int{tokens}, layer: randomLayer(r, s), seed: uint64(tokens)}).check(t)
	}
}

// Sums that are the farthest from zero, and reals that no integer holds.
func TestProductsExtremes(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for i, weight := range []int8{-128, 127} {
		// So many products that one call computes two blocks, or three if it were allowed.
		shape := Shape{Hidden: 64, Heads: 1, Inner: []int{1 << 15, 11 << 10}[i]}
		l := randomLayer(r, shape)
		for _, linear := range []*Linear{&l.QKV, &l.Out, &l.Up, &l.Down} {
			for j := range linear.Weights {
				linear.Weights[j] = weight
			}
		}
		for j := range l.QKV.Scale {
			l.QKV.Scale[j] *= 1e20
		}
		for j := range l.Up.Scale {
			l.Up.Scale[j] *= 1e20
		}
		l.Activation.Shift = 0
		c := &productCase{shape: shape, tokens: []int{9, 11}, layer: l, greatest: true, seed: uint64(i)}
		c.check(t)
	}
}

// Plain Go gives what the stages say that they give.
func TestProductsDefinition(t *testing.T) {
	defer cpu.Use(cpu.Generic, 0)()
	r := rand.New(rand.NewPCG(7, 8))
	s := productShapes[1]
	c := &productCase{shape: s, tokens: []int{5, 17}, layer: randomLayer(r, s), seed: 1}
	got := c.run(t)
	var w Workspace
	var scratch Scratch
	c.begin(&w, &scratch)
	l, h, n := c.layer, s.Hidden, s.Inner
	real := func(m *Linear, j int, k int, scale, low float32, input func(i int) uint8) float32 {
		var sum int32
		for i := range k {
			sum += int32(input(i)) * int32(m.Weights[j/16*16*k+i/4*64+j%16*4+i%4])
		}
		y := m.Bias[j]
		if m.Offset != nil {
			y = fma.F32(low, m.Offset[j], y)
		}
		return fma.F32(scale, float32(sum)*m.Scale[j], y)
	}
	var want productResults
	w.rows(0, w.Blocks(), func(b, r int) {
		row := b*blockRows + r
		activation := func(i int) uint8 { return w.activations[bytesAt(h, b, r, i)] }
		project := func(j int) int32 { return toInt(real(&l.QKV, j, h, w.rowScale[row], w.rowLow[row], activation)) }
		for j := range h {
			want.queries = append(want.queries, uint8(min(max(project(j), 0), 255)))
			want.keys = append(want.keys, int8(min(max(project(h+j), -128), 127)))
			want.values = append(want.values, int8(min(max(project(2*h+j), -128), 127)))
			state := w.state[w.stateAt(b, r, j)]
			want.out = append(want.out, state+real(&l.Out, j, h, scratch.contextScale[row], scratch.contextLow[row],
				func(i int) uint8 { return scratch.contextBytes[bytesAt(h, b, r, i)] }))
			want.down = append(want.down, state+real(&l.Down, j, n, scratch.innerScale[row], 0,
				func(i int) uint8 { return scratch.innerBytes(n, b)[bytesAt(n, 0, r, i)] }))
		}
		var most int16
		for j := range n {
			x := toInt(real(&l.Up, j, h, w.rowScale[row], w.rowLow[row], activation))
			x = min(max(x, math.MinInt16), math.MaxInt16)
			y := max(x, 0) + int32(l.Activation.Table[min(max(x, -x)>>l.Activation.Shift, 127)])
			want.inner = append(want.inner, int16(min(y, math.MaxInt16)))
			most = max(most, int16(min(y, math.MaxInt16)))
		}
		want.most = append(want.most, most)
	})
	if d := got.differ(&want); d != "" {
		t.Error(d)
	}
}

func TestProductsAllocateNothing(t *testing.T) {
	s := productShapes[1]
	c := &productCase{shape: s, tokens: []int{70, 3}, layer: randomLayer(rand.New(rand.NewPCG(1, 1)), s)}
	eachFast(t, func(t *testing.T) {
		var w Workspace
		var scratch Scratch
		c.begin(&w, &scratch)
		ctx := t.Context()
		stages := func() {
			for _, err := range []error{w.Project(ctx, 0, w.Blocks(), c.layer), w.Out(ctx, &scratch, 0, 8, c.layer),
				w.Up(ctx, &scratch, 0, 8, c.layer), w.Down(ctx, &scratch, 0, 8, c.layer)} {
				if err != nil {
					t.Fatal(err)
				}
			}
		}
		if n := testing.AllocsPerRun(5, stages); n != 0 {
			t.Errorf("%v allocations", n)
		}
	})
}

// asked is a context that is cancelled when it has been asked so many times.
type asked struct {
	context.Context
	times, until int
}

func (a *asked) Err() error {
	if a.times++; a.times > a.until {
		return context.Canceled
	}
	return nil
}

// Every stage asks its context often enough, and stops when it is told so.
func TestProductsCancelled(t *testing.T) {
	const often = 16 << 20 // multiplications, which take 50 us
	s := Shape{Hidden: 384, Heads: 6, Inner: 1536}
	c := &productCase{shape: s, tokens: []int{30, 34}, layer: randomLayer(rand.New(rand.NewPCG(1, 2)), s)}
	for _, l := range cpu.Levels() {
		t.Run(l.String(), func(t *testing.T) {
			defer cpu.Use(l, 0)()
			var w Workspace
			var scratch Scratch
			c.begin(&w, &scratch)
			n := w.Blocks()
			for _, stage := range []struct {
				name string
				work int
				run  func(ctx context.Context) error
			}{
				{"Project", 3 * s.Hidden * s.Hidden, func(ctx context.Context) error { return w.Project(ctx, 0, n, c.layer) }},
				{"Out", s.Hidden * s.Hidden, func(ctx context.Context) error { return w.Out(ctx, &scratch, 0, SuperBlock, c.layer) }},
				{"Up", s.Hidden * s.Inner, func(ctx context.Context) error { return w.Up(ctx, &scratch, 0, SuperBlock, c.layer) }},
				{"Down", s.Hidden * s.Inner, func(ctx context.Context) error { return w.Down(ctx, &scratch, 0, SuperBlock, c.layer) }},
			} {
				ctx := &asked{Context: t.Context(), until: math.MaxInt}
				if err := stage.run(ctx); err != nil || ctx.times < 1+stage.work*64/often {
					t.Errorf("%s: %v, asked %d times", stage.name, err, ctx.times)
				}
				for until := range ctx.times {
					stopped := &asked{Context: t.Context(), until: until}
					if err := stage.run(stopped); err != context.Canceled || stopped.times != until+1 {
						t.Errorf("%s, cancelled after %d questions: %v, asked %d times", stage.name, until, err, stopped.times)
					}
					if until == 3 { // plain Go asks very often
						break
					}
				}
			}
		})
	}
}
