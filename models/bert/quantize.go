package bert

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"unsafe"

	"github.com/maida-ai/gomai/quant"
	"github.com/maida-ai/gomai/simd"
)

// Calibration is what an encoder is made int8 with.
type Calibration struct {
	Texts    [][]int32             // on which the ranges of values are found
	Check    [][]int32             // other texts, on which the error is measured
	Progress func(done, total int) // is told after each layer; nil for nobody
	// Vector makes the model's vector of the states of a text.
	Vector func(hidden []float32) ([]float32, error)
}

// Quality is what was measured on the texts to check with.
type Quality struct {
	MinCosine   float64   `json:"min_cosine"` // of vectors to those of float32
	MeanCosine  float64   `json:"mean_cosine"`
	LayerErrors []float64 `json:"layer_errors"` // of each layer in int8 alone: the error of its states relative to their length
	Floats      []bool    `json:"floats"`       // the layers that run in float32
}

// FloatLayers are the numbers of the layers that run in float32, from 0.
func (q *Quality) FloatLayers() (layers []int) {
	for i, float := range q.Floats {
		if float {
			layers = append(layers, i)
		}
	}
	return layers
}

// passes says whether the vectors are good enough.
func (q *Quality) passes() bool { return q.MinCosine >= MinCosine && q.MeanCosine >= MeanCosine }

// The cosines to float32 below which layers fall back to it. The mean is lower than what ordinary sentences
// reach (0.9992 with all-MiniLM-L6-v2), because texts to check with are odd ones for a good part.
const (
	MinCosine  = 0.99
	MeanCosine = 0.997
)

// Unfit is why an encoder has no int8 form.
type Unfit struct{ Reason string }

func (e *Unfit) Error() string { return "bert: no int8 form: " + e.Reason }

// Quantize makes the int8 form of the encoder that Load would make of c and s. Layers that lose too much by
// it, the worst first, stay in float32 until the vectors of the texts to check with are good enough. Like
// Load it reads every weight once, and it holds one layer in float32 at a time.
//
// Errors: those of Load; *Unfit if the shape is none that int8 layers have, or if no layer could be int8.
func Quantize(c Config, s Source, cal *Calibration) (*Int8, error) {
	e := newInt8(c)
	if !e.shape.Fits() {
		return nil, &Unfit{fmt.Sprintf("layers of %d states, %d heads and %d inner states do not fit", c.HiddenSize, c.Heads, c.IntermediateSize)}
	}
	l := loader{source: s}
	floats := l.embeddings(c)
	if l.err != nil {
		return nil, l.err
	}
	p := newPacking(floats, cal)
	e.embedLike(floats)
	for i := range c.Layers {
		f := l.layer(&c, i)
		if l.err != nil {
			return nil, l.err
		}
		if err := p.layer(e, f); err != nil {
			return nil, err
		}
		if cal.Progress != nil {
			cal.Progress(i+1, c.Layers)
		}
	}
	if err := p.fallBack(e, s); err != nil {
		return nil, err
	}
	e.sum = e.hash(l.sum(&c))
	return e, nil
}

// embedLike takes over the embeddings of a float32 encoder.
func (e *Int8) embedLike(f *Encoder) {
	h := e.config.HiddenSize
	e.words = make([]simd.Float16, len(f.words))
	simd.ConvertF32F16(e.words, f.words)
	e.positions = make([]float32, len(f.positions))
	for i, p := range f.positions {
		e.positions[i] = p + f.tokenType[i%h]
	}
	e.norm = quant.Norm{Gain: f.norm.weight, Bias: f.norm.bias, Epsilon: float32(f.norm.epsilon)}
}

// packing is the state of making an encoder int8, layer by layer.
type packing struct {
	floats *Encoder // without layers
	cal    *Calibration
	texts  [][]float32 // states of cal.Texts after the layers so far, in float32
	check  [][]float32 // of cal.Check
	work   int8Workspace
	smooth [][]float32 // of the layers so far: what the states that go in are multiplied by; nil in float32
	errors []float64
}

func newPacking(floats *Encoder, cal *Calibration) *packing {
	p := &packing{floats: floats, cal: cal}
	embed := func(texts [][]int32) (states [][]float32) {
		for _, ids := range texts {
			hidden := make([]float32, len(ids)*floats.config.HiddenSize)
			floats.embed(ids, hidden)
			states = append(states, hidden)
		}
		return states
	}
	p.texts, p.check = embed(cal.Texts), embed(cal.Check)
	return p
}

// advance replaces states by what a layer in float32 makes of them.
func (p *packing) advance(l *layer, states []float32, o *observer) error {
	c := &p.floats.config
	w := p.floats.free.get(c, len(states)/c.HiddenSize)
	defer p.floats.free.put(w)
	w.observer = o
	copy(w.hidden, states)
	err := p.floats.layer(context.Background(), l, w)
	copy(states, w.hidden)
	w.observer = nil
	return err
}

// layer adds a layer to e. One that cannot be packed is left out.
func (p *packing) layer(e *Int8, f *quant.Floats) error {
	c := &e.config
	l := packLayer(f, c.Epsilon, packF32)
	o := newObserver(c)
	for _, states := range p.texts {
		columnMax(o.Input, states)
		if err := p.advance(&l, states, o); err != nil {
			return err
		}
	}
	packed, smooth, err := quant.Pack(e.shape, f, &o.Ranges)
	if err != nil {
		packed, smooth = nil, nil
	}
	e.layers, p.smooth = append(e.layers, packed), append(p.smooth, smooth)
	if len(p.cal.Check) == 0 {
		return nil
	}
	var states, last [][]float32 // with the first key for a sink, and with the last
	if packed != nil {
		if states, err = p.alone(e); err != nil {
			return err
		}
		packed.Sink = quant.Last
		if last, err = p.alone(e); err != nil {
			return err
		}
	}
	for _, exact := range p.check {
		if err := p.advance(&l, exact, nil); err != nil {
			return err
		}
	}
	// Where attention goes to waste is for the layer to say: the place that loses less.
	least := distance(states, p.check)
	if d := distance(last, p.check); d < least {
		least = d
	} else if packed != nil {
		packed.Sink = quant.First
	}
	p.errors = append(p.errors, least)
	return nil
}

// alone returns what the last layer of e makes of the states of the texts to check with.
func (p *packing) alone(e *Int8) ([][]float32, error) {
	w, last := &p.work, len(e.layers)-1
	w.begin(e.shape, p.cal.Check)
	for i, states := range p.check {
		w.SetStates(i, states, p.smooth[last])
	}
	if err := e.runLayers(context.Background(), w, last, last+1, nil); err != nil {
		return nil, err
	}
	var all [][]float32
	for i, states := range p.check {
		all = append(all, make([]float32, len(states)))
		w.States(i, all[i])
	}
	return all, nil
}

// distance is the root of the mean square of what vectors differ from the exact ones, relative to those.
func distance(vectors, exact [][]float32) float64 {
	if vectors == nil {
		return math.Inf(1)
	}
	var difference, square float64
	for i, v := range vectors {
		for j, x := range exact[i] {
			d := float64(v[j]) - float64(x)
			difference += d * d
			square += float64(x) * float64(x)
		}
	}
	return math.Sqrt(difference / square)
}

// fallBack measures e, and puts layers into float32 until it is good enough.
func (p *packing) fallBack(e *Int8, s Source) error {
	q := &e.quality
	q.LayerErrors, q.Floats = p.errors, make([]bool, len(e.layers))
	for i, l := range e.layers {
		if l == nil {
			if err := p.useFloats(e, i, s); err != nil {
				return err
			}
		}
	}
	p.chain(e)
	if len(p.cal.Check) == 0 {
		return nil
	}
	exact := make([][]float32, len(p.check))
	for i, states := range p.check {
		v, err := p.cal.Vector(states)
		if err != nil {
			return err
		}
		exact[i] = append([]float32(nil), v...)
	}
	for {
		if err := p.measure(e, exact); err != nil {
			return err
		}
		if q.passes() {
			return nil
		}
		worst := -1
		for i, l := range e.layers {
			if l != nil && (worst < 0 || q.LayerErrors[i] > q.LayerErrors[worst]) {
				worst = i
			}
		}
		if worst < 0 {
			return &Unfit{fmt.Sprintf("the vectors of %d texts have cosines of %.5f at least and %.5f on average to those of float32 whatever layers are int8", len(exact), q.MinCosine, q.MeanCosine)}
		}
		if err := p.useFloats(e, worst, s); err != nil {
			return err
		}
		p.chain(e)
	}
}

// measure compares the vectors of e with exact ones.
func (p *packing) measure(e *Int8, exact [][]float32) error {
	if err := e.Forward(context.Background(), p.cal.Check, p.check, nil); err != nil {
		return err
	}
	q := &e.quality
	q.MinCosine, q.MeanCosine = 1, 0
	for i, states := range p.check {
		v, err := p.cal.Vector(states)
		if err != nil {
			return err
		}
		c := cosine(v, exact[i])
		q.MinCosine = min(q.MinCosine, c)
		q.MeanCosine += c / float64(len(exact))
	}
	return nil
}

func cosine(a, b []float32) float64 {
	var ab, aa, bb float64
	for i, x := range a {
		ab += float64(x) * float64(b[i])
		aa += float64(x) * float64(x)
		bb += float64(b[i]) * float64(b[i])
	}
	if aa == bb && ab == aa { // also of two vectors of zeros
		return 1
	}
	return ab / math.Sqrt(aa*bb)
}

// useFloats puts layer i of e into float32.
func (p *packing) useFloats(e *Int8, i int, s Source) error {
	l := loader{source: s}
	f := l.layer(&e.config, i)
	if l.err != nil {
		return l.err
	}
	e.floatLayers(p.floats.activate, p.floats.free)
	e.floats.encoder.layers[i] = packLayer(f, e.config.Epsilon, packF32)
	e.layers[i], p.smooth[i], e.quality.Floats[i] = nil, nil, true
	return nil
}

// floatLayers makes room for layers in float32.
func (e *Int8) floatLayers(activate func([]float32), free workspaces) {
	if e.floats == nil {
		n := e.config.Layers
		e.floats = &floatLayers{
			encoder: &Encoder{config: e.config, activate: activate, free: free, layers: make([]layer, n)},
			smooth:  make([][]float32, n),
		}
	}
}

// chain makes every layer of e leave what the next one reads.
func (p *packing) chain(e *Int8) {
	e.norm.Smooth = p.smooth[0]
	for i, l := range e.layers {
		var next []float32
		if i+1 < len(e.layers) {
			next = p.smooth[i+1]
		}
		if l == nil {
			e.floats.smooth[i] = next
		} else {
			l.OutputNorm.Smooth = next
		}
	}
}

// hash covers the sum of the float32 encoder and what was packed.
func (e *Int8) hash(floats [32]byte) [32]byte {
	h := sha256.New()
	h.Write(floats[:])
	write := func(v any) { binary.Write(h, binary.LittleEndian, v) }
	write(e.norm.Smooth)
	for i, l := range e.layers {
		fmt.Fprintln(h, e.quality.Floats[i])
		if l == nil {
			continue
		}
		for _, m := range []*quant.Linear{&l.QKV, &l.Out, &l.Up, &l.Down} {
			h.Write(unsafe.Slice((*byte)(unsafe.Pointer(&m.Weights[0])), len(m.Weights)))
			write(m.Scale)
			write(m.Offset)
			write(m.Bias)
		}
		write(l.ScoreUnit)
		write(l.ScoreStep)
		write(l.ValueScale)
		write(l.Sink)
		write(l.Activation)
		write(l.AttentionNorm.Smooth)
		write(l.OutputNorm.Smooth)
	}
	return [32]byte(h.Sum(nil))
}
