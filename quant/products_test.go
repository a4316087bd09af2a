package quant

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"unsafe"

	"github.com/maida-ai/gomai/internal/cpu"
)

// eachLevel runs f at every level that this machine has.
func eachLevel(t *testing.T, f func(t *testing.T, level cpu.Level)) {
	t.Helper()
	for _, l := range cpu.Levels() {
		t.Run(l.String(), func(t *testing.T) {
			defer cpu.Use(l, 0)()
			f(t, l)
		})
	}
}

// productCase is a batch before its products, with numbers that any level puts into its own layout.
type productCase struct {
	shape  Shape
	tokens []int
	layer  *Layer
	seed   uint64
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

// byteOf returns element i of bytes that level may store as words.
func (w *Workspace) byteOf(bytes []uint8, i int) *uint8 { return &bytes[i*w.byteSize()] }

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
	for i := range len(w.activations) / w.byteSize() {
		*w.byteOf(w.activations, i) = uint8(r.Uint32())
	}
	for _, v := range [][]float32{s.contextScale, s.contextLow, s.innerScale} {
		fill(v)
	}
	for i := range len(s.contextBytes) / w.byteSize() {
		*w.byteOf(s.contextBytes, i) = uint8(r.Uint32())
	}
	for i := range s.inner {
		s.inner[i] = int16(r.Uint32())
	}
}

// products are what the texts' rows see of each stage.
type productResults struct {
	queries      []uint8
	keys, values []int8
	out, down    []float32
	inner, most  []int16
}

// run runs each stage on the numbers of the case.
func (c *productCase) run(t *testing.T) (p productResults) {
	t.Helper()
	var w Workspace
	var s Scratch
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	c.begin(&w, &s)
	must(w.Project(ctx, 0, w.Blocks(), c.layer))
	h := c.shape.Hidden
	w.rows(func(b, r int) {
		for j := range h {
			p.queries = append(p.queries, *w.byteOf(w.queries, bytesAt(h, b, r, j)))
			p.keys = append(p.keys, w.keys[w.keyAt(b, r, j)])
			p.values = append(p.values, w.values[w.valueAt(b, r, j)])
		}
	})
	states := func() (v []float32) {
		w.rows(func(b, r int) {
			for j := range h {
				v = append(v, w.state[w.stateAt(b, r, j)])
			}
		})
		return v
	}
	super := func(f func(first, end int) error) {
		for b := 0; b < w.Blocks(); b += SuperBlock {
			must(f(b, min(b+SuperBlock, w.Blocks())))
		}
	}
	super(func(first, end int) error { return w.Out(ctx, &s, first, end, c.layer) })
	p.out = states()
	c.begin(&w, &s)
	super(func(first, end int) error {
		err := w.innerQuanta(ctx, &s, first, end, c.layer)
		for b := range end - first {
			for r := range blockRows {
				if int(w.blocks[first+b].index)*blockRows+r >= w.texts[w.blocks[first+b].text].tokens {
					continue
				}
				var most int16
				for i := range lanes {
					most = max(most, s.innerMax[innerAt(lanes, b, r, i)])
				}
				p.most = append(p.most, most)
				for j := range c.shape.Inner {
					p.inner = append(p.inner, s.inner[innerAt(c.shape.Inner, b, r, j)])
				}
			}
		}
		return err
	})
	c.begin(&w, &s)
	super(func(first, end int) error { return w.Down(ctx, &s, first, end, c.layer) })
	p.down = states()
	return p
}

// rows calls f for each row of a text.
func (w *Workspace) rows(f func(b, r int)) {
	for b, t := range w.blocks {
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

var productShapes = []Shape{
	{Hidden: 64, Heads: 2, Inner: 64}, {Hidden: 128, Heads: 4, Inner: 192}, {Hidden: 192, Heads: 3, Inner: 64},
	{Hidden: 128, Heads: 2, Inner: 256}, {Hidden: 384, Heads: 12, Inner: 1536}, {Hidden: 768, Heads: 12, Inner: 192},
}

func TestProducts(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for i := range 30 {
		c := &productCase{shape: productShapes[i%len(productShapes)], seed: uint64(i)}
		for range 1 + r.IntN(4) {
			c.tokens = append(c.tokens, 1+r.IntN(70/(1+i%7)))
		}
		c.layer = randomLayer(r, c.shape)
		restore := cpu.Use(cpu.Generic, 0)
		want := c.run(t)
		restore()
		eachLevel(t, func(t *testing.T, _ cpu.Level) {
			got := c.run(t)
			if d := got.differ(&want); d != "" {
				t.Errorf("%+v, %d tokens: %s", c.shape, c.tokens, d)
			}
		})
	}
}
