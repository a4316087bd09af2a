package onnx

import (
	"math"
	"unicode/utf8"
)

// The limits of what is read, each far beyond the encoders that there are: memory stays in proportion to
// the file, and a hostile one costs no time.
const (
	maxParts = 1 << 19 // nodes, tensors, attributes and names of a graph
	maxRank  = 8
	maxInts  = 1 << 12 // numbers in an attribute
	maxName  = 1 << 12 // bytes
)

// graph is the part of a model that is read.
type graph struct {
	file      string
	nodes     []*node
	constants map[string]*tensor // the initializers
	tensors   []*tensor          // these and those of attributes
	inputs    []port
	outputs   []port
	opset     int // of the standard operators
	parts     int
}

// port is an input or an output of the graph.
type port struct {
	name string
	elem int   // type of its elements, 0 if the file does not say
	dims []int // -1 for one that varies; nil if the file does not say
}

// node is one operation.
type node struct {
	name       string // "" in many files
	op         string // with the domain before it, unless it is standard: "com.microsoft.Attention"
	inputs     []string
	outputs    []string
	attributes map[string]attribute
	offset     int
}

// label is what the node is called in errors.
func (n *node) label() string {
	if n.name == "" && len(n.outputs) > 0 {
		return n.outputs[0]
	}
	return n.name
}

// attribute is the value of an attribute; which of the fields holds it is up to the operation.
type attribute struct {
	float  float64
	int    int64
	text   string
	tensor *tensor
	ints   []int64
	floats []float64
}

// parse reads a ModelProto.
func parse(m message) (*graph, error) {
	g := &graph{file: m.file, constants: map[string]*tensor{}}
	var body *message
	functions := false
	err := m.fields(func(x field) error {
		switch x.number {
		case 7:
			if body != nil {
				return x.body.errorf(0, "a second graph")
			}
			body = &x.body
			return x.is(wireBytes)
		case 8:
			return g.readOpset(x)
		case 25:
			functions = true
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if body == nil {
		return nil, m.errorf(0, "no graph in it, so this is no ONNX model")
	}
	if g.opset == 0 && !functions {
		return nil, m.errorf(0, "the version of the operators is missing")
	}
	return g, g.read(*body)
}

func (g *graph) readOpset(x field) error {
	if err := x.is(wireBytes); err != nil {
		return err
	}
	domain, version := "", uint64(0)
	err := x.body.fields(func(y field) (err error) {
		switch y.number {
		case 1:
			domain, err = g.text(y)
		case 2:
			version = y.bits
		}
		return err
	})
	if domain == "" || domain == "ai.onnx" {
		g.opset = int(min(version, 1<<16))
	}
	return err
}

// part counts what was read.
func (g *graph) part(m message) error {
	if g.parts++; g.parts > maxParts {
		return m.errorf(0, "more than %d nodes, tensors and names", maxParts)
	}
	return nil
}

func (g *graph) text(x field) (string, error) {
	if err := x.is(wireBytes); err != nil {
		return "", err
	}
	if len(x.body.data) > maxName {
		return "", x.body.errorf(0, "a name of %d bytes, at most %d are read", len(x.body.data), maxName)
	}
	if !utf8.Valid(x.body.data) {
		return "", x.body.errorf(0, "a name is not UTF-8")
	}
	return string(x.body.data), g.part(x.body)
}

// read reads a GraphProto.
func (g *graph) read(m message) error {
	return m.fields(func(x field) error {
		switch x.number {
		case 1, 5, 11, 12, 15:
			if err := x.is(wireBytes); err != nil {
				return err
			}
			if err := g.part(x.body); err != nil {
				return err
			}
		}
		switch x.number {
		case 1:
			n, err := g.readNode(x.body)
			g.nodes = append(g.nodes, n)
			return err
		case 5:
			t, err := g.readTensor(x.body)
			if err != nil {
				return err
			}
			if g.constants[t.name] != nil {
				return x.body.errorf(0, "a second initializer %q", t.name)
			}
			g.constants[t.name] = t
		case 11:
			p, err := g.readPort(x.body)
			g.inputs = append(g.inputs, p)
			return err
		case 12:
			p, err := g.readPort(x.body)
			g.outputs = append(g.outputs, p)
			return err
		case 15:
			return x.body.errorf(0, "sparse initializers are not read")
		}
		return nil
	})
}

func (g *graph) readNode(m message) (*node, error) {
	n := &node{offset: m.offset}
	domain := ""
	err := m.fields(func(x field) (err error) {
		var s string
		switch x.number {
		case 1:
			s, err = g.text(x)
			n.inputs = append(n.inputs, s)
		case 2:
			s, err = g.text(x)
			n.outputs = append(n.outputs, s)
		case 3:
			n.name, err = g.text(x)
		case 4:
			n.op, err = g.text(x)
		case 5:
			err = g.readAttribute(n, x)
		case 7:
			domain, err = g.text(x)
		}
		return err
	})
	if domain != "" && domain != "ai.onnx" {
		n.op = domain + "." + n.op
	}
	return n, err
}

func (g *graph) readAttribute(n *node, x field) error {
	if err := x.is(wireBytes); err != nil {
		return err
	}
	var a attribute
	name := ""
	err := x.body.fields(func(y field) (err error) {
		switch y.number {
		case 1:
			name, err = g.text(y)
		case 2:
			a.float = float64(math.Float32frombits(uint32(y.bits)))
			err = y.is(wireFixed32)
		case 3:
			a.int = int64(y.bits)
			err = y.is(wireVarint)
		case 4:
			a.text, err = g.text(y)
		case 5:
			if err = y.is(wireBytes); err == nil {
				a.tensor, err = g.readTensor(y.body)
			}
		case 7:
			a.floats, err = readFloats(a.floats, y)
		case 8:
			a.ints, err = y.ints(a.ints, maxInts)
		case 21:
			err = y.body.errorf(0, "attribute %q stands for that of a function", name)
		}
		return err
	})
	if err != nil {
		return err
	}
	if n.attributes == nil {
		n.attributes = map[string]attribute{}
	}
	n.attributes[name] = a
	return g.part(x.body)
}

func readFloats(list []float64, x field) ([]float64, error) {
	if x.wire == wireFixed32 {
		list = append(list, float64(math.Float32frombits(uint32(x.bits))))
	} else {
		if err := x.is(wireBytes); err != nil {
			return nil, err
		}
		for b := x.body.data; len(b) >= 4; b = b[4:] {
			list = append(list, float64(float32At(b, 0)))
		}
	}
	if len(list) > maxInts {
		return nil, x.body.errorf(0, "an attribute of more than %d numbers", maxInts)
	}
	return list, nil
}

// readPort reads a ValueInfoProto.
func (g *graph) readPort(m message) (port, error) {
	var p port
	inner := func(number int, f func(field) error) func(field) error {
		return func(x field) error {
			if x.number != number {
				return nil
			}
			if err := x.is(wireBytes); err != nil {
				return err
			}
			return x.body.fields(f)
		}
	}
	dim := func(x field) error { // of a TensorShapeProto
		if x.number != 1 {
			return nil
		}
		if len(p.dims) == maxRank {
			return x.body.errorf(0, "%q has more than %d dimensions", p.name, maxRank)
		}
		p.dims = append(p.dims, -1)
		return x.body.fields(func(y field) error {
			if y.number == 1 && y.bits > 0 && y.bits < 1<<31 {
				p.dims[len(p.dims)-1] = int(y.bits)
			}
			return nil
		})
	}
	err := m.fields(func(x field) (err error) {
		switch x.number {
		case 1:
			p.name, err = g.text(x)
		case 2: // TypeProto, its tensor_type, the element type and the shape of that
			err = inner(2, inner(1, func(y field) error {
				switch y.number {
				case 1:
					p.elem = int(y.bits & 0xff)
				case 2:
					p.dims = []int{}
					return y.body.fields(dim)
				}
				return nil
			}))(x)
		}
		return err
	})
	return p, err
}
