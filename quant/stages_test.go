package quant

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/maida-ai/gomai/internal/testmodel"
	"github.com/maida-ai/gomai/simd"
)

// stageCase is a batch and a layer for the stages that are no products.
type stageCase struct {
	shape  Shape
	tokens []int
	sink   Sink
	spread float64 // of queries and keys: how extreme scores are
	step   uint16
	seed   uint64
}

func (c *stageCase) floats(r *rand.Rand, n int) []float32 {
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(r.NormFloat64())
	}
	return v
}

func (c *stageCase) layer(r *rand.Rand) *Layer {
	l := randomLayer(r, c.shape)
	h := c.shape.Hidden
	l.Sink, l.ValueScale = c.sink, c.floats(r, h)
	for range c.shape.Heads {
		step := c.step
		if step == 0 {
			step = uint16(expSteps + 1 + r.IntN(2000))
		}
		l.ScoreStep = append(l.ScoreStep, step)
		l.ScoreUnit = append(l.ScoreUnit, float32(step)*expRange/(65536*(expSteps-1)))
	}
	l.AttentionNorm = Norm{c.floats(r, h), c.floats(r, h), c.floats(r, h), 1e-12}
	l.OutputNorm = Norm{c.floats(r, h), c.floats(r, h), nil, 1e-12}
	return l
}

// begin fills a workspace and a scratch: the same numbers each time.
func (c *stageCase) begin(w *Workspace, s *Scratch) (l *Layer) {
	r := rand.New(rand.NewPCG(c.seed, 7))
	l = c.layer(r)
	w.Begin(c.shape, c.tokens)
	s.begin(w)
	copy(w.state, c.floats(r, len(w.state)))
	rows := func(v []float32) { // some rows all alike, and zeros of both signs
		for at := 0; at < len(v); at += lanes {
			switch r.IntN(40) {
			case 0:
				v[at] = float32(math.Copysign(0, -1))
			case 1:
				v[at] = 0
			}
		}
	}
	rows(w.state)
	if c.spread == 0 {
		for i := range w.state {
			w.state[i] = 0.25
		}
	}
	small := func() float64 { return c.spread * r.NormFloat64() }
	for i := range len(w.queries) {
		w.queries[i] = uint8(min(max(128+small(), 0), 255))
	}
	for i := range w.keys {
		w.keys[i] = int8(min(max(small(), -128), 127))
		w.values[i] = int8(r.Uint32())
	}
	for i := range s.inner {
		s.inner[i] = int16(r.IntN(1 << r.IntN(16)))
	}
	for i := range s.innerMax {
		s.innerMax[i] = int16(r.IntN(1 << r.IntN(16)))
	}
	return l
}

// compare runs fast on one workspace and slow on another, both with the numbers of the case, and compares
// what result gives of them.
func (c *stageCase) compare(t *testing.T, name string, stage func(w *Workspace, s *Scratch, l *Layer, fast bool), result func(w *Workspace, s *Scratch, put func(uint32))) {
	t.Helper()
	var got, want []uint32
	for i, to := range []*[]uint32{&got, &want} {
		var w Workspace
		var s Scratch
		l := c.begin(&w, &s)
		stage(&w, &s, l, i == 0)
		result(&w, &s, func(v uint32) { *to = append(*to, v) })
	}
	if at := differAt(got, want); at >= 0 {
		t.Errorf("%+v, %d tokens, sink %d, spread %g, step %d: %s: differ at %d of %d: %#x, want %#x", c.shape, c.tokens, c.sink, c.spread, c.step, name, at, len(want), got[at], want[at])
	}
}

func (c *stageCase) check(t *testing.T) {
	h, n := c.shape.Hidden, c.shape.Inner
	put := math.Float32bits
	states := func(w *Workspace, _ *Scratch, f func(uint32)) {
		w.rows(0, w.Blocks(), func(b, r int) {
			for j := range h {
				f(put(w.state[w.stateAt(b, r, j)]))
				f(uint32(w.activations[bytesAt(h, b, r, j)]))
			}
			f(put(w.rowScale[b*blockRows+r]))
			f(put(w.rowLow[b*blockRows+r]))
		})
	}
	for i, norm := range []func(l *Layer) *Norm{func(l *Layer) *Norm { return &l.AttentionNorm }, func(l *Layer) *Norm { return &l.OutputNorm }} {
		c.compare(t, fmt.Sprint("norm ", i), func(w *Workspace, _ *Scratch, l *Layer, fast bool) {
			if fast {
				w.Norm(0, w.Blocks(), norm(l))
				return
			}
			for b := range w.Blocks() {
				w.normGeneric(b, norm(l))
			}
		}, states)
	}
	words, positions := make([]simd.Float16, 100*h), c.floats(rand.New(rand.NewPCG(c.seed, 2)), 600*h)
	simd.ConvertF32F16(words, positions[:len(words)])
	var ids [][]int32
	for i, tokens := range c.tokens {
		ids = append(ids, make([]int32, tokens))
		for j := range ids[i] {
			ids[i][j] = int32((7*i + 13*j) % 100)
		}
	}
	c.compare(t, "embed", func(w *Workspace, _ *Scratch, l *Layer, fast bool) {
		if fast {
			w.Embed(0, w.Blocks(), &l.AttentionNorm, words, positions, ids)
			return
		}
		for b := range w.Blocks() {
			w.embedGeneric(b, words, positions, ids)
			w.normGeneric(b, &l.AttentionNorm)
		}
	}, states)
	var w Workspace
	var s Scratch
	c.begin(&w, &s)
	for i, text := range w.texts {
		rows := make([]float32, text.tokens*h)
		w.States(i, rows)
		for at, got := range rows {
			token := at / h
			if want := w.state[w.stateAt(text.firstBlock+token/blockRows, token%blockRows, at%h)]; got != want {
				t.Errorf("%+v: state %d of row %d of text %d is %g, want %g", c.shape, at%h, token, i, got, want)
			}
		}
	}
	c.compare(t, "inner bytes", func(w *Workspace, s *Scratch, l *Layer, fast bool) {
		for b := range min(w.Blocks(), SuperBlock) {
			if fast {
				w.innerBlock(s, b, l)
			} else {
				w.innerBytesGeneric(s, b, l)
			}
		}
	}, func(w *Workspace, s *Scratch, f func(uint32)) {
		for b := range min(w.Blocks(), SuperBlock) {
			for _, v := range s.innerBytes(n, b) {
				f(uint32(v))
			}
			for _, v := range s.innerScale[b*blockRows:][:blockRows] {
				f(put(v))
			}
		}
	})
	c.checkAttention(t)
}

func (c *stageCase) checkAttention(t *testing.T) {
	h := c.shape.Hidden
	for first := 0; ; first += 11 {
		end, more := 0, false
		c.compare(t, fmt.Sprint("attention from ", first), func(w *Workspace, s *Scratch, l *Layer, fast bool) {
			end = min(first+SuperBlock, w.Blocks())
			more = first+11 < w.Blocks()
			if fast {
				w.SumKeys(0, w.Texts())
				if err := w.Attend(t.Context(), s, first, end, l); err != nil {
					t.Fatal(err)
				}
				return
			}
			for _, x := range w.texts {
				w.sumKeysGeneric(x)
			}
			for b := first; b < end; b++ {
				for head := range c.shape.Heads {
					w.attendGeneric(s, first, b, head, l)
				}
				w.contextBytesGeneric(s, b-first)
			}
		}, func(w *Workspace, s *Scratch, f func(uint32)) {
			for b, at := range w.blocks[first:end] {
				for r := range min(blockRows, w.texts[at.text].tokens-int(at.index)*blockRows) {
					for j := range h {
						f(math.Float32bits(s.context[w.stateAt(b, r, j)]))
						f(uint32(s.contextBytes[bytesAt(h, b, r, j)]))
					}
					f(math.Float32bits(s.contextScale[b*blockRows+r]))
					f(math.Float32bits(s.contextLow[b*blockRows+r]))
				}
			}
		})
		if !more {
			return
		}
	}
}

func TestStages(t *testing.T) {
	ragged := []int{1, 2, 3, 4, 5, 8, 9, 12, 13, 15, 16, 17, 20, 31, 32, 33, 40, 47, 48, 49, 64, 65, 70}
	eachFast(t, func(t *testing.T) {
		seed := uint64(0)
		shapes := []Shape{{64, 2, 64}, {64, 1, 128}, {128, 2, 512}, {384, 12, 1536}, {768, 12, 192}}
		if testmodel.Race { // it slows plain Go down twelvefold, and the larger shapes take no other ways
			shapes = shapes[:2]
		}
		for _, shape := range shapes {
			for _, sink := range []Sink{First, Last} {
				for _, spread := range []float64{0, 4, 30, 300} {
					seed++
					tokens := ragged[:9]
					if shape.Hidden == 64 && spread == 30 {
						tokens = ragged
					} else if shape.Hidden > 128 {
						tokens = ragged[:5]
					}
					c := stageCase{shape, tokens, sink, spread, []uint16{0, expSteps + 1, math.MaxInt16}[seed%3], seed}
					c.check(t)
				}
			}
		}
		long := stageCase{Shape{64, 2, 64}, []int{3, 512, 1}, Last, 20, 0, seed}
		long.checkAttention(t)
	})
}

// Attention agrees with its definition on real numbers: weights of e^(ScoreUnit*score), within what 8 bits
// of a share and steps of the table leave, relatively to the greatest magnitude of a value.
func TestAttentionIsRight(t *testing.T) {
	for _, sink := range []Sink{First, Last} {
		c := stageCase{shape: Shape{64, 2, 64}, tokens: []int{1, 7, 40, 130}, sink: sink, spread: 5, step: 2000, seed: 3}
		var w Workspace
		var s Scratch
		l := c.begin(&w, &s)
		w.SumKeys(0, w.Texts())
		for b := range w.Blocks() {
			if err := w.Attend(t.Context(), &s, b, b+1, l); err != nil {
				t.Fatal(err)
			}
			text := w.texts[w.blocks[b].text]
			for r := range min(blockRows, text.tokens-int(w.blocks[b].index)*blockRows) {
				for j := range c.shape.Hidden {
					want := w.exactContext(l, b, r, j)
					got := float64(s.context[w.stateAt(0, r, j)] / l.ValueScale[j])
					if math.Abs(got-want) > 128*0.03 {
						t.Fatalf("%d tokens, sink %d, row %d: component %d is %g, want %g", text.tokens, sink, r, j, got, want)
					}
				}
			}
		}
	}
}

// exactContext is component j of the context of a row, in quanta of values.
func (w *Workspace) exactContext(l *Layer, b, r, j int) float64 {
	h, size := w.shape.Hidden, w.shape.HeadSize()
	head, text := j/size, w.texts[w.blocks[b].text]
	var sum, weights float64
	for key := range text.tokens {
		kb, kr := text.firstBlock+key/blockRows, key%blockRows
		var score float64
		for d := range size {
			q := float64(w.queries[bytesAt(h, b, r, head*size+d)]) - 128
			score += q * float64(w.keys[w.keyAt(kb, kr, head*size+d)])
		}
		weight := math.Exp(score * float64(l.ScoreUnit[head]))
		sum += weight * float64(w.values[w.valueAt(kb, kr, j)])
		weights += weight
	}
	return sum / weights
}

func TestExp(t *testing.T) {
	for x := float32(-83); x < 55; x += 0.0137 {
		want := math.Exp(float64(x))
		if relative := math.Abs(float64(exp(x))-want) / want; relative > 7e-6 {
			t.Fatalf("exp(%g) is off by %g", x, relative)
		}
	}
}

func TestStagesDoNotAllocate(t *testing.T) {
	c := stageCase{shape: Shape{64, 2, 64}, tokens: []int{9, 30}, spread: 5, seed: 1}
	var w Workspace
	var s Scratch
	l := c.begin(&w, &s)
	ctx := t.Context()
	if n := testing.AllocsPerRun(20, func() {
		w.SumKeys(0, w.Texts())
		if err := w.Attend(ctx, &s, 0, w.Blocks(), l); err != nil {
			t.Fatal(err)
		}
		w.Norm(0, w.Blocks(), &l.AttentionNorm)
		for b := range w.Blocks() {
			w.innerBlock(&s, b, l)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
