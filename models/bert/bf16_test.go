package bert

import (
	"context"
	"errors"
	"math"
	"slices"
	"testing"

	"github.com/maida-ai/gomai/internal/cpu"
	"github.com/maida-ai/gomai/simd"
)

// bf16Config has widths that are no multiples of a tile, and more columns and rows than a call takes.
func bf16Config() Config {
	return Config{
		VocabSize: 50, HiddenSize: 200, Layers: 2, Heads: 5, IntermediateSize: 1030, Activation: "gelu",
		Positions: 400, TokenTypes: 2, Epsilon: 1e-12,
	}
}

func loadBF16(t *testing.T, c Config) *Encoder {
	t.Helper()
	e, err := LoadBF16(c, randomWeights{})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func someIDs(n int) []int32 {
	ids := make([]int32, n)
	for i := range ids {
		ids[i] = int32(i * 7 % 50)
	}
	return ids
}

func forward(t *testing.T, e *Encoder, ids []int32) []float32 {
	t.Helper()
	hidden := make([]float32, len(ids)*e.config.HiddenSize)
	if err := e.Forward(t.Context(), ids, hidden); err != nil {
		t.Fatal(err)
	}
	return hidden
}

// TestBF16Products holds the products of every level, those of tiles under the tag amxemu too, against products of
// the rounded numbers in float64.
func TestBF16Products(t *testing.T) {
	c := bf16Config()
	for _, level := range cpu.Levels() {
		restore := cpu.Use(level, 0)
		e := loadBF16(t, c)
		f, err := Load(c, randomWeights{})
		if err != nil {
			t.Fatal(err)
		}
		for _, tokens := range []int{1, 16, 17, 400} {
			w := e.free.get(&c, tokens)
			e.embed(someIDs(tokens), w.hidden)
			checkProduct(t, w, &e.layers[0].up, "encoder.layer.0.intermediate.dense.weight", w.hidden, w.up)
			checkProduct(t, w, &e.layers[0].down, "encoder.layer.0.output.dense.weight", w.up, w.query)
		}
		if e.Sum() == f.Sum() {
			t.Errorf("%v: bfloat16 and float32 have one sum", level)
		}
		restore()
	}
}

// checkProduct computes y (w.tokens, out) from x and compares it with what the rounded numbers make.
func checkProduct(t *testing.T, w *workspace, l *linear, name string, x, y []float32) {
	t.Helper()
	n, k := l.weight.n, l.weight.k
	if err := w.read(t.Context(), l, x); err != nil {
		t.Fatal(err)
	}
	if err := l.apply(t.Context(), w, y); err != nil {
		t.Fatal(err)
	}
	weight, _ := randomWeights{}.Floats(nil, name, n, k)
	a, b := rounded(x), rounded(weight)
	for i, got := range y {
		row, column := i/n, i%n
		want, size := float64(l.bias[column]), 0.
		for j := range k {
			product := float64(a[row*k+j]) * float64(b[column*k+j])
			want += product
			size += math.Abs(product)
		}
		if !(math.Abs(float64(got)-want) <= size*0x1p-16+0x1p-20) {
			t.Fatalf("%s: %d tokens, row %d, column %d: %v, want %v", name, w.tokens, row, column, got, want)
		}
	}
}

func rounded(v []float32) []float32 {
	half, wide := make([]simd.BFloat16, len(v)), make([]float32, len(v))
	simd.ConvertF32BF16(half, v)
	simd.ConvertBF16F32(wide, half)
	return wide
}

// Every level's states, those of tiles under the tag amxemu too, are near those of plain Go, which only adds
// up in another order, and near those of float32.
func TestBF16OnEveryLevel(t *testing.T) {
	c := bf16Config()
	f, err := Load(c, randomWeights{})
	if err != nil {
		t.Fatal(err)
	}
	for _, tokens := range []int{1, 17, 40} {
		ids := someIDs(tokens)
		floats := forward(t, f, ids)
		restore := cpu.Use(cpu.Generic, 0)
		want := forward(t, loadBF16(t, c), ids)
		restore()
		for _, level := range cpu.Levels() {
			restore := cpu.Use(level, 0)
			got := forward(t, loadBF16(t, c), ids)
			restore()
			if slices.Equal(got, floats) {
				t.Errorf("%v: the states of float32", level)
			}
			if to, plain := cosine(got, floats), cosine(got, want); !(to >= 0.9995) || !(plain >= 0.99999) {
				t.Errorf("%v, %d tokens: cosine %v to float32, %v to plain Go", level, tokens, to, plain)
			}
		}
	}
}

func TestBF16StopsWhenCancelled(t *testing.T) {
	c := bf16Config()
	e := loadBF16(t, c)
	ids := someIDs(c.Positions)
	hidden := make([]float32, len(ids)*c.HiddenSize)
	const many = 1 << 20
	ctx := &countdown{t.Context(), many}
	if err := e.Forward(ctx, ids, hidden); err != nil {
		t.Fatal(err)
	}
	looks := many - ctx.left
	for i := 0; i < looks; i += 1 + looks/10 {
		if err := e.Forward(&countdown{t.Context(), i}, ids, hidden); !errors.Is(err, context.Canceled) {
			t.Fatalf("cancelled at look %d of %d: %v", i, looks, err)
		}
	}
}

// Memory of a long text serves every shorter one.
func TestBF16AllocatesNothing(t *testing.T) {
	c := bf16Config()
	e := loadBF16(t, c)
	ids, hidden := someIDs(c.Positions), make([]float32, c.Positions*c.HiddenSize)
	ctx := t.Context()
	run := func(n int) {
		if err := e.Forward(ctx, ids[:n], hidden[:n*c.HiddenSize]); err != nil {
			t.Fatal(err)
		}
	}
	run(c.Positions)
	n := testing.AllocsPerRun(1, func() {
		for n := 1; n <= c.Positions; n += 69 {
			run(n)
		}
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}
