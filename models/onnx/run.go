package onnx

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/maida-ai/gomai/models/modelfile"
)

// run is the graph at work on one text of a given number of tokens. What does not depend on the words, as
// masks, positions and shapes, is computed; the rest is followed as expressions.
type run struct {
	g      *graph
	tokens int
	values map[string]value
	known  map[*tensor]*array // shared by the runs of a graph
	made   int                // elements of arrays so far
	work   int                // elements looked at so far
}

// maxWork bounds what a run looks at. It is far more than real graphs need.
const maxWork = 1 << 25

// rule is what an operation makes of its inputs, one of which is an expression.
type rule func(r *run, n *node, in []value) ([]value, error)

// run follows the graph on a text of so many tokens.
func (g *graph) run(tokens int, known map[*tensor]*array) (*run, error) {
	r := &run{g: g, tokens: tokens, values: map[string]value{}, known: known}
	for name, t := range g.constants {
		r.values[name] = r.constant(t)
	}
	for _, p := range g.inputs {
		if _, ok := g.constants[p.name]; ok { // older models list them
			continue
		}
		v, err := r.input(p)
		if err != nil {
			return nil, err
		}
		r.values[p.name] = v
	}
	for _, n := range g.nodes {
		out := r.node(n)
		for i, name := range n.outputs {
			if name == "" {
				continue
			}
			if _, twice := r.values[name]; twice {
				return nil, r.badNode(n, fmt.Errorf("a result of its own: %q is there already", name))
			}
			if i < len(out) && !out[i].missing() {
				r.values[name] = out[i]
			} else {
				r.values[name] = value{bad: r.badNode(n, fmt.Errorf("output %d, %q, not to be used", i, name))}
			}
		}
	}
	return r, nil
}

// input is what the text is to an input of the graph: ids that no constant equals, a mask of ones, and so
// on.
func (r *run) input(p port) (value, error) {
	name := strings.ToLower(p.name)
	dims := []int{1, r.tokens}
	if p.dims != nil && len(p.dims) != 2 {
		dims = nil
	}
	a := &array{dims: dims, data: make([]float64, r.tokens), whole: true}
	switch {
	case dims == nil:
	case strings.Contains(name, "mask"):
		for i := range a.data {
			a.data[i] = 1
		}
		return value{array: a}, nil
	case strings.Contains(name, "type"), strings.Contains(name, "segment"):
		return value{array: a}, nil
	case strings.Contains(name, "position"):
		for i := range a.data {
			a.data[i] = float64(i)
		}
		return value{array: a}, nil
	case strings.Contains(name, "input"), strings.Contains(name, "ids"), strings.Contains(name, "token"):
		a.ids = true
		for i := range a.data {
			a.data[i] = 0.5
		}
		return value{array: a}, nil
	}
	return value{bad: modelfile.Errorf(r.g.file, p.name, "an input that is neither input_ids nor attention_mask, token_type_ids or position_ids")}, nil
}

// constant is a weight where it may be large, and known otherwise.
func (r *run) constant(t *tensor) value {
	if t.isFloat() && t.count > 1 || t.isQuanta() && len(t.dims) > 0 {
		return value{weight: newWeight(t)}
	}
	a, err := r.numbers(t)
	if err != nil {
		var bad *modelfile.Error
		if !errors.As(err, &bad) {
			bad = t.errorf("%v", err)
		}
		return value{bad: bad}
	}
	return value{array: a}
}

// numbers reads a tensor as an array, once.
func (r *run) numbers(t *tensor) (*array, error) {
	if a := r.known[t]; a != nil {
		return a, nil
	}
	if t.count > maxData {
		return nil, errTooLarge
	}
	v, err := t.numbers()
	if err != nil {
		return nil, err
	}
	a := &array{dims: t.dims, data: v, whole: !t.isFloat()}
	r.known[t] = a
	return a, nil
}

// arrayOf is v element by element; nil stays nil.
func (r *run) arrayOf(v value) (*array, error) {
	switch {
	case v.missing():
		return nil, nil
	case v.array != nil:
		return v.array, nil
	case v.weight != nil && v.weight.contiguous() && v.weight.scales == nil && v.weight.zeros == nil && v.weight.factor == 1:
		a, err := r.numbers(v.weight.t)
		if err != nil {
			return nil, err
		}
		return a.reshaped(v.weight.dims)
	}
	return nil, errors.New("a tensor that does not depend on the words")
}

func (r *run) arrays(in []value) ([]*array, error) {
	out := make([]*array, len(in))
	for i, v := range in {
		a, err := r.arrayOf(v)
		if err != nil {
			return nil, err
		}
		out[i] = a
	}
	return out, nil
}

// badNode is the error for a node that expected something else.
func (r *run) badNode(n *node, err error) *modelfile.Error {
	var bad *modelfile.Error
	if errors.As(err, &bad) {
		return bad
	}
	return &modelfile.Error{File: r.g.file, Offset: int64(n.offset), Field: n.label(), Reason: fmt.Sprintf("operation %s does not fit a BERT encoder: expected %v", n.op, err)}
}

// node computes the outputs of n.
func (r *run) node(n *node) []value {
	out, err := r.compute(n)
	if err != nil {
		bad := value{bad: r.badNode(n, err)}
		return slices.Repeat([]value{bad}, len(n.outputs))
	}
	return out
}

func (r *run) compute(n *node) ([]value, error) {
	in := make([]value, len(n.inputs))
	var exprs, weights bool
	for i, name := range n.inputs {
		if name == "" {
			continue
		}
		v, ok := r.values[name]
		if !ok {
			return nil, fmt.Errorf("an input that is computed before it, %q is not", name)
		}
		if v.bad != nil {
			return nil, v.bad
		}
		if v.array != nil {
			r.work += len(v.array.data)
		}
		in[i] = v
		exprs = exprs || v.expr != nil
		weights = weights || v.weight != nil
	}
	if r.work++; r.work > maxWork {
		return nil, errTooLarge
	}
	switch n.op {
	case "Constant":
		return r.constantNode(n)
	case "Shape", "Size":
		return r.shape(n, in)
	}
	if len(in) < max(1, minInputs[n.op]) || slices.ContainsFunc(in[:max(1, minInputs[n.op])], value.missing) {
		return nil, fmt.Errorf("%d inputs", max(1, minInputs[n.op]))
	}
	if exprs || fused[n.op] != nil {
		f := exprRules[n.op]
		if f == nil {
			f = fused[n.op]
		}
		if f == nil {
			return nil, errors.New("one of the operations of an encoder")
		}
		return f(r, n, in)
	}
	if f := weightRules[n.op]; weights && f != nil {
		if out, err := f(r, n, in); out != nil || err != nil {
			return out, err
		}
	}
	f := folders[n.op]
	if f == nil {
		return nil, errors.New("one of the operations of an encoder")
	}
	arrays, err := r.arrays(in)
	if err != nil {
		return nil, err
	}
	a, err := f(r, n, arrays)
	if err != nil {
		return nil, err
	}
	return []value{{array: a}}, nil
}

func (r *run) constantNode(n *node) ([]value, error) {
	if t := n.attributes["value"].tensor; t != nil {
		return []value{r.constant(t)}, nil
	}
	a := &array{}
	for name, x := range n.attributes {
		switch name {
		case "value_int":
			a.data, a.whole = []float64{float64(x.int)}, true
		case "value_float":
			a.data = []float64{x.float}
		case "value_ints":
			a.whole = true
			for _, v := range x.ints {
				a.data = append(a.data, float64(v))
			}
			a.dims = []int{len(a.data)}
		case "value_floats":
			a.data, a.dims = x.floats, []int{len(x.floats)}
		default:
			return nil, fmt.Errorf("a tensor or numbers, not %s", name)
		}
	}
	if len(a.data) != product(a.dims) || len(n.attributes) != 1 {
		return nil, errors.New("one value")
	}
	return []value{{array: a}}, nil
}

// shape is Shape, with the part of it that newer models ask for, and Size.
func (r *run) shape(n *node, in []value) ([]value, error) {
	if len(in) != 1 || in[0].missing() {
		return nil, errors.New("one input")
	}
	dims := in[0].dims()
	if n.op == "Size" {
		return []value{{array: &array{data: []float64{float64(product(dims))}, whole: true}}}, nil
	}
	clip := func(name string, value int) int {
		if a, ok := n.attributes[name]; ok {
			value = int(max(min(a.int, maxRank), -maxRank))
		}
		if value < 0 {
			value += len(dims)
		}
		return max(0, min(value, len(dims)))
	}
	start, end := clip("start", 0), clip("end", len(dims))
	a := &array{whole: true}
	for _, d := range dims[start:max(start, end)] {
		a.data = append(a.data, float64(d))
	}
	a.dims = []int{len(a.data)}
	return []value{{array: a}}, nil
}
