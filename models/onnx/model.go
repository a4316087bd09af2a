// Package onnx reads encoders of the BERT family from ONNX files. It does not run graphs: it follows one
// on a text of a few tokens, recognises what the operations amount to, whoever exported or optimised it,
// and hands the weights to package bert, which computes the same. Weights that are int8 in the file are
// made into floats when they are read. A graph that is something else, or something more, is refused by
// the name of the first node that did not fit.
//
// Source: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto for the format,
// https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md for the fused operations.
package onnx

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/maida-ai/gomai/models/bert"
	"github.com/maida-ai/gomai/models/modelfile"
)

// Model is an encoder that was recognised in an ONNX file. It is a bert.Source.
type Model struct {
	name      string
	config    bert.Config
	pooling   string
	normalize bool
	tensors   map[string]*weight // by the names that bert asks for; nil stands for zeros
	lent      bool
	close     func() error
	forget    func([]byte) // nil if the file is not mapped
}

// Name is the name under which the file was opened.
func (m *Model) Name() string { return m.name }

// Config describes the encoder, whose weights m has.
func (m *Model) Config() bert.Config { return m.config }

// Pooling is the pooling in the graph: "mean", "cls" or "max", or "" where it ends with the hidden states
// of the tokens.
func (m *Model) Pooling() string { return m.pooling }

// Normalize reports whether the graph brings its vectors to length 1.
func (m *Model) Normalize() bool { return m.normalize }

// Floats implements bert.Source. One tensor at a time is made of int8 or half precision, or copied if the
// file holds it transposed or unaligned.
func (m *Model) Floats(room *[]float32, name string, shape ...int) ([]float32, error) {
	w, ok := m.tensors[name]
	if !ok {
		return nil, modelfile.Errorf(m.name, name, "tensor missing, expected shape %v", shape)
	}
	if w == nil {
		n := 1
		for _, d := range shape {
			n *= d
		}
		v := roomFor(room, n)
		clear(v)
		return v, nil
	}
	if !slices.Equal(w.dims, shape) {
		return nil, w.t.errorf("tensor of wrong shape for %s: expected %v, found %v", name, shape, w.dims)
	}
	v, lent, err := w.floats(room)
	m.lent = m.lent || lent
	if !lent && m.forget != nil {
		m.forget(w.t.data) // or the file would stay in memory beside what is made of it
	}
	return v, err
}

// Lent reports whether anything that Floats returned lies in the file.
func (m *Model) Lent() bool { return m.lent }

// roomFor is n floats of *room, which grows as needed, or new ones if room is nil.
func roomFor(room *[]float32, n int) []float32 {
	if room == nil {
		return make([]float32, n)
	}
	if n > cap(*room) {
		*room = make([]float32, n)
	}
	return (*room)[:n]
}

// Close gives the file back. What Floats returned may lie in it and must not be used afterwards.
func (m *Model) Close() error {
	if m.close == nil {
		return nil
	}
	f := m.close
	m.close = nil
	return f()
}

// recognise follows the graph on two texts, which must agree.
func recognise(g *graph) (*Model, error) {
	known := map[*tensor]*array{}
	fixed := 0
	for _, p := range g.inputs {
		if len(p.dims) != 2 || g.constants[p.name] != nil {
			continue
		}
		if p.dims[0] > 1 {
			return nil, modelfile.Errorf(g.file, p.name, "the graph is made for batches of %d texts, expected 1 or any number", p.dims[0])
		}
		if p.dims[1] > 0 {
			fixed = p.dims[1]
		}
	}
	short, long := 7, 67
	if fixed > 0 {
		if short, long = fixed, fixed; fixed < 2 || fixed > 512 {
			return nil, modelfile.Errorf(g.file, "", "the graph is made for texts of %d tokens, expected at most 512 or any number", fixed)
		}
	}
	var m *Model
	for m == nil || short < long {
		r, err := g.run(short, known)
		if err != nil {
			return nil, err
		}
		next, err := r.model()
		if err != nil {
			return nil, err
		}
		if m != nil && (m.config != next.config || m.pooling != next.pooling || m.normalize != next.normalize) {
			return nil, modelfile.Errorf(g.file, "", "the graph computes something else for longer texts, expected one encoder for all")
		}
		if m != nil || short == long {
			return next, nil
		}
		m, short = next, min(long, next.config.Positions)
		if short <= 7 {
			return m, nil
		}
		long = short + 1
	}
	return m, nil
}

// output chooses what to compute: the output called sentence_embedding, else one that is pooled, else the
// hidden states of the tokens.
func (r *run) output() (value, error) {
	var best value
	var refused *modelfile.Error
	rank := -1
	for _, p := range r.g.outputs {
		v, ok := r.values[p.name]
		switch {
		case !ok:
			v = value{bad: modelfile.Errorf(r.g.file, p.name, "an output that no node computes")}
		case v.array != nil || v.weight != nil: // passed through
			continue
		}
		named := p.name == "sentence_embedding"
		score := -1
		if v.expr != nil && v.points == nil {
			switch v.expr.kind {
			case pooled, unit:
				score = 1 << 20
			case hidden, embedded:
				score = v.expr.depth() + 1
			}
		}
		if named && score >= 0 {
			score = 1 << 30
		}
		if score > rank {
			best, rank = v, score
		}
		if score < 0 && !r.poolsByTanh(v, p) && (refused == nil || named) && (named || p.dims == nil || len(p.dims) < 3) {
			refused = v.bad
			if v.expr != nil {
				refused = r.badNode(v.expr.node, fmt.Errorf("pooled hidden states, or those of the tokens, as output %q, not %s", p.name, v.expr.kind))
			}
			if named {
				return value{}, refused
			}
		}
		if score < 0 && refused == nil && rank < 0 {
			refused = v.bad
		}
	}
	if refused != nil && rank < 1<<20 {
		return value{}, refused
	}
	if rank < 0 {
		return value{}, modelfile.Errorf(r.g.file, "", "no output with hidden states or vectors pooled of them")
	}
	return best, nil
}

// poolsByTanh reports whether an output that was not recognised is that of BERT's pooler, which was trained
// for another task, or no float at all.
func (r *run) poolsByTanh(v value, p port) bool {
	if p.elem != 0 && p.elem != typeFloat && p.elem != typeFloat16 {
		return true
	}
	for _, n := range r.g.nodes {
		if slices.Contains(n.outputs, p.name) {
			return n.op == "Tanh" || n.attributes["activation"].text == "Tanh" || p.name == "pooler_output"
		}
	}
	return false
}

// depth is how many layers are below hidden states.
func (e *expr) depth() int {
	n := 0
	for e.kind == hidden {
		n++
		e = e.of.of
	}
	return n
}

// model reads the encoder off the output.
func (r *run) model() (*Model, error) {
	v, err := r.output()
	if err != nil {
		return nil, err
	}
	m := &Model{name: r.g.file, tensors: map[string]*weight{}}
	e := v.expr
	if e.kind == unit {
		m.normalize, e = true, e.of
	}
	if e.kind == pooled {
		m.pooling, e = e.pooling, e.of
	}
	c := &m.config
	c.ModelType, c.PositionType = "bert", "absolute"
	c.Layers = e.depth()
	if c.Layers == 0 {
		return nil, r.badNode(e.node, errors.New("at least one layer behind the embeddings"))
	}
	bottom := e
	for i := c.Layers - 1; i >= 0; i-- {
		mid := bottom.of
		if err := r.layer(m, fmt.Sprintf("encoder.layer.%d.", i), bottom, mid); err != nil {
			return nil, err
		}
		bottom = mid.of
	}
	tables := bottom.of.tables
	c.VocabSize, c.HiddenSize = tables[0].dims[0], tables[0].dims[1]
	c.Positions, c.TokenTypes = 512, 1
	if tables[1] != nil {
		c.Positions = tables[1].dims[0]
	}
	if tables[2] != nil {
		c.TokenTypes = tables[2].dims[0]
	}
	m.tensors["embeddings.word_embeddings.weight"] = tables[0]
	m.tensors["embeddings.position_embeddings.weight"] = tables[1]
	m.tensors["embeddings.token_type_embeddings.weight"] = tables[2]
	if err := r.norm(m, "embeddings.LayerNorm", bottom); err != nil {
		return nil, err
	}
	if err := c.Check(r.g.file); err != nil {
		return nil, err
	}
	return m, nil
}

// layer notes the weights of a layer, which ends with top, and what the configuration says of it.
func (r *run) layer(m *Model, name string, top, mid *expr) error {
	c := &m.config
	down := top.other
	up := down.of
	out := mid.other
	ctx := out.of
	q, k, v := ctx.of.of, ctx.of.other, ctx.other
	act, ok := down.points.activation()
	if !ok {
		return r.badNode(down.node, errors.New("one of the activations gelu, gelu_new and relu before it"))
	}
	width := out.weight.dims[1]
	if c.Heads == 0 {
		c.Heads, c.Activation, c.IntermediateSize = ctx.heads, act, up.weight.dims[1]
	}
	if c.Heads != ctx.heads || c.Activation != act || c.IntermediateSize != up.weight.dims[1] {
		return r.badNode(down.node, errors.New("layers of the same heads, activation and width"))
	}
	// The encoder divides scores by the root of a head's channels; what the graph does otherwise goes into
	// the queries.
	scaleQuery := *q
	if s := ctx.scale * math.Sqrt(float64(width/ctx.heads)); s < 1-1e-3 || s > 1+1e-3 {
		by := &array{data: []float64{s}}
		var err error
		if scaleQuery.weight, err = q.weight.scaled(by); err != nil {
			return r.badNode(q.node, err)
		}
		if q.bias != nil {
			if scaleQuery.bias, err = q.bias.scaled(by); err != nil {
				return r.badNode(q.node, err)
			}
		}
	}
	for part, l := range map[string]*expr{
		"attention.self.query": &scaleQuery, "attention.self.key": k, "attention.self.value": v,
		"attention.output.dense": out, "intermediate.dense": up, "output.dense": down,
	} {
		m.tensors[name+part+".weight"] = l.weight.transposed([]int{1, 0})
		m.tensors[name+part+".bias"] = l.bias
	}
	if err := r.norm(m, name+"attention.output.LayerNorm", mid); err != nil {
		return err
	}
	return r.norm(m, name+"output.LayerNorm", top)
}

func (r *run) norm(m *Model, name string, e *expr) error {
	m.tensors[name+".weight"], m.tensors[name+".bias"] = e.weight, e.bias
	// The shortest number with the same float32 is the one that the model's maker wrote.
	eps, err := strconv.ParseFloat(strconv.FormatFloat(e.epsilon, 'g', -1, 32), 64)
	if err != nil {
		return err
	}
	if c := &m.config; !strings.HasPrefix(name, "embeddings") && c.Epsilon == 0 {
		c.Epsilon = eps
	} else if c.Epsilon != eps {
		return r.badNode(e.node, fmt.Errorf("the epsilon %g of the other normalisations, not %g", c.Epsilon, eps))
	}
	return nil
}
