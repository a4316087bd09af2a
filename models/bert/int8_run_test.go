package bert

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/maida-ai/gomai/types"
)

// The ways of running pieces that a pass must put up with.
type (
	oneByOne struct{} // nobody helps
	backward struct{} // the last one comes first
	together struct{}
	fewer    struct{} // only one comes
)

func (oneByOne) Run(n int, f func(i int)) {
	for i := range n {
		f(i)
	}
}

func (backward) Run(n int, f func(i int)) {
	for i := range n {
		f(n - 1 - i)
	}
}

func (together) Run(n int, f func(i int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { f(i) })
	}
	wg.Wait()
}

func (fewer) Run(n int, f func(i int)) { f(n - 1) }

func TestRunnersDoNotMatter(t *testing.T) {
	c := Config{
		ModelType: "bert", VocabSize: 50, HiddenSize: 64, Layers: 3, Heads: 2, IntermediateSize: 128, Activation: "gelu",
		Positions: 256, TokenTypes: 2, Epsilon: 1e-12, PositionType: "absolute",
	}
	for floats := range 3 {
		e, err := Quantize(c, randomWeights{}, calibrate(c, floats))
		if err != nil {
			t.Fatal(err)
		}
		r := rand.New(rand.NewPCG(1, 2))
		var texts [][]int32
		states := func() (hidden [][]float32) {
			for _, ids := range texts {
				hidden = append(hidden, make([]float32, len(ids)*c.HiddenSize))
			}
			return hidden
		}
		for _, n := range []int{1, 3, 64, 200, 5, 16} {
			ids := make([]int32, n)
			for i := range ids {
				ids[i] = r.Int32N(int32(c.VocabSize))
			}
			texts = append(texts, ids)
			want := states()
			if err := e.Forward(t.Context(), texts, want, nil); err != nil {
				t.Fatal(err)
			}
			for name, runner := range map[string]types.Runner{"one by one": oneByOne{}, "backward": backward{}, "together": together{}, "fewer": fewer{}} {
				got := states()
				if err := e.Forward(t.Context(), texts, got, runner); err != nil {
					t.Fatal(err)
				}
				for i := range got {
					if !slices.Equal(got[i], want[i]) {
						t.Errorf("%d texts, %s: text %d has other states", len(texts), name, i)
					}
				}
				cancelled, cancel := context.WithCancel(t.Context())
				cancel()
				if err := e.Forward(cancelled, texts, got, runner); !errors.Is(err, context.Canceled) {
					t.Errorf("%s: a cancelled pass says %v", name, err)
				}
			}
		}
	}
}

func TestForwardInt8AllocatesNothing(t *testing.T) {
	c := smallConfig("gelu")
	e := quantize(t, c, 0)
	texts := [][]int32{{1, 2, 3}, {4}, make([]int32, 40)}
	var hidden [][]float32
	for _, ids := range texts {
		hidden = append(hidden, make([]float32, len(ids)*c.HiddenSize))
	}
	ctx := t.Context()
	if n := testing.AllocsPerRun(20, func() {
		if err := e.Forward(ctx, texts, hidden, oneByOne{}); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
