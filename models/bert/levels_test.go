package bert

import (
	"errors"
	"hash/crc32"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/maida-ai/gomai/internal/cpu"
	"github.com/maida-ai/gomai/models/modelfile"
)

// randomWeights is a Source of random weights, of each tensor always the same.
type randomWeights struct{}

func (randomWeights) Name() string { return "random" }

func (randomWeights) Floats(_ *[]float32, name string, shape ...int) ([]float32, error) {
	n := 1
	for _, d := range shape {
		n *= d
	}
	if n == 0 {
		return nil, modelfile.Errorf("random", name, "no elements")
	}
	r := rand.New(rand.NewPCG(7, uint64(crc32.ChecksumIEEE([]byte(name)))))
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(r.NormFloat64()) / 8
		if strings.HasSuffix(name, "LayerNorm.weight") {
			v[i]++
		}
	}
	return v, nil
}

// calibrate gives Quantize random texts. As long as fail is positive, what is measured is bad.
func calibrate(c Config, fail int) *Calibration {
	r := rand.New(rand.NewPCG(5, 6))
	text := func(n int) []int32 {
		ids := make([]int32, n)
		for i := range ids {
			ids[i] = r.Int32N(int32(c.VocabSize))
		}
		return ids
	}
	cal := &Calibration{Check: [][]int32{text(3), text(9), text(1)}}
	for n := range 12 {
		cal.Texts = append(cal.Texts, text(1+2*n))
	}
	calls := 0
	cal.Vector = func(hidden []float32) ([]float32, error) {
		v := slices.Clone(hidden[:c.HiddenSize])
		if round := calls / len(cal.Check); round > 0 && round <= fail {
			for i := range v {
				v[i] = -v[i]
			}
		}
		calls++
		return v, nil
	}
	return cal
}

func smallConfig(activation string) Config {
	return Config{
		VocabSize: 50, HiddenSize: 64, Layers: 3, Heads: 2, IntermediateSize: 128, Activation: activation,
		Positions: 40, TokenTypes: 2, Epsilon: 1e-12,
	}
}

func quantize(t *testing.T, c Config, fail int) *Int8 {
	t.Helper()
	e, err := Quantize(c, randomWeights{}, calibrate(c, fail))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func states(t *testing.T, e *Int8, texts [][]int32) [][]float32 {
	t.Helper()
	var hidden [][]float32
	for _, ids := range texts {
		hidden = append(hidden, make([]float32, len(ids)*e.config.HiddenSize))
	}
	if err := e.Forward(t.Context(), texts, hidden, nil); err != nil {
		t.Fatal(err)
	}
	return hidden
}

// Packing and computing give the same bits on every level, with layers in float32 and without, and for a
// text alone as in company.
func TestInt8IsTheSameOnEveryLevel(t *testing.T) {
	batch := [][]int32{{1, 2, 3}, {4}, {5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21}, {22, 23, 24, 25}}
	for _, activation := range []string{"gelu", "gelu_new", "relu"} {
		for _, fail := range []int{0, 1, 2} {
			var first *Int8
			var want [][]float32
			for i, level := range append(cpu.Levels(), cpu.Levels()[0]) {
				var hide cpu.Feature
				if i == len(cpu.Levels()) { // the best level once more, as processors without VBMI have it
					hide = cpu.VBMI
				}
				restore := cpu.Use(level, hide)
				e := quantize(t, smallConfig(activation), fail)
				got := states(t, e, batch)
				if floats := e.quality.FloatLayers(); len(floats) != fail {
					t.Errorf("%s: layers %v are in float32, want %d", activation, floats, fail)
				}
				if first == nil {
					first, want = e, got
				}
				if e.Sum() != first.Sum() || e.norm.Smooth == nil && e.layers[0] != nil {
					t.Errorf("%s, %d in float32: another encoder is packed at %v", activation, fail, level)
				}
				for i := range batch {
					if !slices.Equal(got[i], want[i]) {
						t.Errorf("%s, %d in float32: text %d has other states at %v", activation, fail, i, level)
					}
					if alone := states(t, e, batch[i:i+1])[0]; !slices.Equal(alone, got[i]) {
						t.Errorf("%s, %d in float32: text %d has other states in company at %v", activation, fail, i, level)
					}
				}
				restore()
			}
		}
	}
}

// An encoder none of whose layers is good enough has no int8 form.
func TestNoLayerFits(t *testing.T) {
	c := smallConfig("gelu")
	var unfit *Unfit
	_, err := Quantize(c, randomWeights{}, calibrate(c, c.Layers+1))
	if !errors.As(err, &unfit) {
		t.Errorf("error %v", err)
	}
	c.HiddenSize = 32
	_, err = Quantize(c, randomWeights{}, calibrate(c, 0))
	if !errors.As(err, &unfit) {
		t.Errorf("32 states: error %v", err)
	}
}
