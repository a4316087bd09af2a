package onnx

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/maida-ai/gomai/models/bert"
	"github.com/maida-ai/gomai/models/modelfile"
)

// The fields of a message, for files that no exporter writes.
func varint(number int, v uint64) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(nil, uint64(number)<<3|wireVarint), v)
}

func nested(number int, parts ...[]byte) []byte {
	var body []byte
	for _, p := range parts {
		body = append(body, p...)
	}
	b := binary.AppendUvarint(nil, uint64(number)<<3|wireBytes)
	return append(binary.AppendUvarint(b, uint64(len(body))), body...)
}

func named(number int, s string) []byte { return nested(number, []byte(s)) }

func protoModel(graph ...[]byte) []byte {
	return append(append(varint(1, 8), nested(8, varint(2, 17))...), nested(7, graph...)...)
}

func protoNode(op, in, out string, more ...[]byte) []byte {
	return nested(1, append([][]byte{named(1, in), named(2, out), named(3, "n-"+out), named(4, op)}, more...)...)
}

var (
	protoInput  = nested(11, named(1, "input_ids"), nested(2, nested(1, varint(1, 7))))
	protoOutput = nested(12, named(1, "out"), nested(2, nested(1, varint(1, 1))))
)

func protoTensor(name string, elem uint64, more ...[]byte) []byte {
	return nested(5, append([][]byte{named(8, name), varint(2, elem)}, more...)...)
}

func TestHostileFiles(t *testing.T) {
	negative := varint(1, 1<<64-3)
	huge := varint(1, 1<<62)
	attribute := func(name string, more ...[]byte) []byte {
		return nested(5, append([][]byte{named(1, name)}, more...)...)
	}
	outside := func(location, offset string) []byte {
		return protoTensor("w", typeFloat, varint(1, 4), varint(14, 1),
			nested(13, named(1, "location"), named(2, location)), nested(13, named(1, "offset"), named(2, offset)))
	}
	for _, c := range []struct {
		name, reason string
		data         []byte
	}{
		{"empty graph", "no output", protoModel()},
		{"no graph", "no graph", varint(1, 8)},
		{"truncated number", "a number is cut off", []byte{8}},
		{"number of 11 bytes", "more than 64 bits", append([]byte{8}, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"...)},
		{"truncated field", "only 1 are left", []byte{7<<3 | 2, 100, 0}},
		{"length beyond memory", "are left", append([]byte{7<<3 | 2}, "\xff\xff\xff\xff\xff\xff\xff\xff\x7f"...)},
		{"group", "wire type 3", []byte{7<<3 | 3}},
		{"field 0", "no valid number", []byte{0, 0}},
		{"negative dimension", "dimension 0 is -3", protoModel(protoTensor("w", typeFloat, negative))},
		{"huge dimension", "elements", protoModel(protoTensor("w", typeFloat, huge))},
		{"huge product", "elements", protoModel(protoTensor("w", typeFloat, varint(1, 1<<30), varint(1, 1<<30), varint(1, 1<<30)))},
		{"many dimensions", "more than 8", protoModel(protoTensor("w", typeFloat, nested(1, make([]byte, 9))))},
		{"data too short", "takes 16 bytes, but there are 4", protoModel(protoTensor("w", typeFloat, varint(1, 4), nested(9, make([]byte, 4))))},
		{"numbers too few", "but 1 numbers", protoModel(protoTensor("w", typeInt64, varint(1, 4), varint(7, 3)))},
		{"two tensors of a name", "second initializer", protoModel(protoTensor("w", typeFloat, nested(9, make([]byte, 4))), protoTensor("w", typeFloat, nested(9, make([]byte, 4))))},
		{"external above", "not in the model's folder", protoModel(outside("../secret", "0"))},
		{"external above, later", "not in the model's folder", protoModel(outside("a/../../secret", "0"))},
		{"external absolute", "not in the model's folder", protoModel(outside("/etc/passwd", "0"))},
		{"external for Windows", "not in the model's folder", protoModel(outside(`..\secret`, "0"))},
		{"external of no name", "not in the model's folder", protoModel(outside("", "0"))},
		{"external missing", "does not exist", protoModel(outside("missing.bin", "0"))},
		{"external negative", `offset "-4"`, protoModel(outside("data.bin", "-4"))},
		{"external beyond", "which has 8 bytes", protoModel(outside("data.bin", "9"))},
		{"external longer than its file", "external data of 9 bytes", protoModel(protoTensor("w", typeFloat, varint(1, 2), varint(14, 1),
			nested(13, named(1, "location"), named(2, "data.bin")), nested(13, named(1, "length"), named(2, "9"))))},
		{"fixed number cut off", "is cut off", []byte{9<<3 | wireFixed64, 1, 2, 3}},
		{"external short", "takes 16 bytes, but there are 8", protoModel(outside("data.bin", "0"))},
		{"cycle", "computed before it", protoModel(protoInput, protoOutput, protoNode("Relu", "b", "a"), protoNode("Relu", "a", "b"), protoNode("Relu", "b", "out"))},
		{"itself", "computed before it", protoModel(protoInput, protoOutput, protoNode("Relu", "out", "out"))},
		{"twice", "is there already", protoModel(protoInput, protoOutput, protoNode("Shape", "input_ids", "out"), protoNode("Shape", "input_ids", "out"))},
		{"huge shape", "masks and positions", protoModel(protoInput, protoOutput,
			protoNode("Constant", "", "s", attribute("value_ints", nested(8, append(binary.AppendUvarint(nil, 1<<40), 1)))),
			protoNode("ConstantOfShape", "s", "out"))},
		{"huge repetition", "masks and positions", protoModel(protoInput, protoOutput,
			protoNode("Constant", "", "s", attribute("value_ints", nested(8, binary.AppendUvarint(nil, 1<<20)))),
			protoNode("ConstantOfShape", "s", "a"), protoNode("ConstantOfShape", "s", "b"), protoNode("ConstantOfShape", "s", "out"))},
		{"a batch of four", "batches of 4 texts", protoModel(nested(11, named(1, "input_ids"), nested(2, nested(1, varint(1, 7),
			nested(2, nested(1, varint(1, 4)), nested(1, named(2, "n")))))))},
		{"one token", "texts of 1 tokens", protoModel(nested(11, named(1, "input_ids"), nested(2, nested(1, varint(1, 7),
			nested(2, nested(1, named(2, "n")), nested(1, varint(1, 1)))))))},
		{"no such output", "no node computes", protoModel(protoInput, protoOutput)},
		{"unknown operation", "one of the operations of an encoder", protoModel(protoInput, protoOutput, protoNode("Conv", "input_ids", "out"))},
		{"no inputs", "2 inputs", protoModel(protoInput, protoOutput, protoNode("Add", "input_ids", "out"))},
	} {
		fsys := fstest.MapFS{"m/model.onnx": {Data: c.data}, "m/data.bin": {Data: make([]byte, 8)}, "secret": {Data: make([]byte, 16)}}
		_, err := OpenFS(fsys, "m/model.onnx")
		var e *modelfile.Error
		if !errors.As(err, &e) || e.File != "m/model.onnx" || !strings.Contains(err.Error(), c.reason) {
			t.Errorf("%s: %v, want %s", c.name, err, c.reason)
		}
	}
}

// A small file cannot ask for much work: here are 2,000 sums over a million numbers.
func TestHostileWork(t *testing.T) {
	parts := [][]byte{protoInput, protoOutput,
		protoNode("Constant", "", "s", nested(5, named(1, "value_ints"), nested(8, binary.AppendUvarint(nil, 1<<20)))),
		protoNode("ConstantOfShape", "s", "a")}
	for i := range 2000 {
		parts = append(parts, protoNode("ReduceSum", "a", fmt.Sprint("b", i)))
	}
	parts = append(parts, protoNode("Identity", "b1999", "out"))
	_, err := OpenFS(fstest.MapFS{"m": {Data: protoModel(parts...)}}, "m")
	if err == nil || !strings.Contains(err.Error(), "masks and positions") {
		t.Error(err)
	}
}

// Every prefix of a model is refused: the graph is the last field of its file, and no output or node may
// be missing.
func TestTruncatedModels(t *testing.T) {
	for _, name := range []string{"fused-int8", "dynamo-mean"} {
		data, err := os.ReadFile("testdata/" + name + ".onnx")
		if err != nil {
			t.Fatal(err)
		}
		for n := 0; n < len(data); n += 1 + n/40 {
			g, err := parse(message{file: "m", data: data[:n]})
			if err == nil {
				_, err = recognise(g)
			}
			var e *modelfile.Error
			if !errors.As(err, &e) {
				t.Errorf("%s cut to %d bytes: %v", name, n, err)
			}
		}
	}
}

// edited opens a test model after f has changed its graph.
func edited(t *testing.T, name string, f func(*graph)) error {
	t.Helper()
	data, unmap, err := mapFile(filepath.Join("testdata", name+".onnx"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unmap() })
	g, err := parse(message{file: "m", data: data})
	if err != nil {
		t.Fatal(err)
	}
	f(g)
	_, err = recognise(g)
	return err
}

// nth is the n-th node of an operation, from 0.
func nth(g *graph, op string, n int) *node {
	for _, x := range g.nodes {
		if x.op == op {
			if n == 0 {
				return x
			}
			n--
		}
	}
	return nil
}

// Graphs that are almost encoders are refused, by the node that makes the difference.
func TestRefusals(t *testing.T) {
	number := func(v float64) attribute { return attribute{float: v} }
	whole := func(v int64) attribute { return attribute{int: v} }
	for _, c := range []struct {
		name, model, op, reason string
		n                       int
		edit                    func(g *graph, n *node)
	}{
		{"another operation", "torchscript", "Erf", "Sin", 0, func(g *graph, n *node) { n.op = "Sin" }},
		{"another activation", "gemm", "Relu", "activations", 0, func(g *graph, n *node) { n.op = "Tanh" }},
		{"one layer's activation", "gemm", "Relu", "same heads, activation", 1, func(g *graph, n *node) { n.op, n.attributes = "Gelu", nil }},
		{"a norm along tokens", "gemm", "LayerNormalization", "along their channels", 1, func(g *graph, n *node) { n.attributes["axis"] = whole(1) }},
		{"another epsilon", "gemm", "LayerNormalization", "epsilon", 2, func(g *graph, n *node) { n.attributes["epsilon"] = number(1e-5) }},
		{"softmax over heads", "torchscript", "Softmax", "last axis", 0, func(g *graph, n *node) { n.attributes["axis"] = whole(1) }},
		{"causal", "fused", "com.microsoft.Attention", "unidirectional", 1, func(g *graph, n *node) { n.attributes["unidirectional"] = whole(1) }},
		{"heads that do not divide", "fused", "com.microsoft.Attention", "heads", 0, func(g *graph, n *node) { n.attributes["num_heads"] = whole(5) }},
		{"alpha", "gemm", "Gemm", "plus a bias", 0, func(g *graph, n *node) { n.attributes["alpha"] = number(2) }},
		{"keys of another layer", "fused", "com.microsoft.SkipLayerNormalization", "two hidden states and a gain", 1, func(g *graph, n *node) { n.inputs[1] = "input_ids" }},
		{"no residual", "gemm", "LayerNormalization", "sum of two hidden states", 2, func(g *graph, n *node) {
			n.inputs[0] = nth(g, "LayerNormalization", 1).outputs[0]
		}},
		{"sum of another block", "gemm", "LayerNormalization", "added to what it was made of", 4, func(g *graph, n *node) {
			for _, x := range g.nodes { // the second layer's last sum, with the state before that layer
				if len(x.outputs) == 1 && x.outputs[0] == n.inputs[0] {
					for i, in := range x.inputs {
						if in == nth(g, "LayerNormalization", 3).outputs[0] {
							x.inputs[i] = nth(g, "LayerNormalization", 2).outputs[0]
						}
					}
				}
			}
		}},
		{"queries of another state", "dynamo-cls", "MatMul", "queries, keys and values of the hidden states", 8, func(g *graph, n *node) {
			n.inputs[0] = nth(g, "LayerNormalization", 1).outputs[0]
		}},
		{"a feed-forward block of another state", "dynamo-cls", "MatMul", "added to what it was made of", 14, func(g *graph, n *node) {
			n.inputs[0] = nth(g, "LayerNormalization", 2).outputs[0]
		}},
		{"a sum over tokens", "dynamo-mean", "Div", "the length of a vector", 0, func(g *graph, n *node) {
			n.inputs[1] = "two"
			g.nodes = append([]*node{{op: "Constant", outputs: []string{"two"}, attributes: map[string]attribute{"value_float": {float: 2}}}}, g.nodes...)
		}},
		{"a mean of seven tokens, of all texts", "dynamo-mean", "Div", "the length of a vector", 0, func(g *graph, n *node) {
			n.inputs[1] = "seven"
			g.nodes = append([]*node{{op: "Constant", outputs: []string{"seven"}, attributes: map[string]attribute{"value_float": {float: 7}}}}, g.nodes...)
		}},
		{"positions in another order", "dynamo-mean", "Gather", "count the tokens", 2, func(g *graph, n *node) {
			ids := g.constants["bert.embeddings.position_ids"]
			ids.data = slices.Concat(ids.data[8:16], ids.data[:8], ids.data[16:])
		}},
		{"the scale of other activations", "int8-channel", "Mul", "its own activations", 2, func(g *graph, n *node) {
			for _, x := range g.nodes { // the scale of the last activations but one, times that of a weight
				if x.op == "Mul" && slices.Contains(x.inputs, nth(g, "DynamicQuantizeLinear", 1).outputs[1]) {
					x.inputs[slices.Index(x.inputs, nth(g, "DynamicQuantizeLinear", 1).outputs[1])] = nth(g, "DynamicQuantizeLinear", 0).outputs[1]
				}
			}
		}},
		{"blocks of scales", "dequantize", "DequantizeLinear", "each channel", 0, func(g *graph, n *node) { n.attributes["block_size"] = whole(8) }},
		{"a foreign zero point", "int8-channel", "MatMulInteger", "quantised activations", 3, func(g *graph, n *node) { n.inputs[2] = nth(g, "DynamicQuantizeLinear", 0).outputs[2] }},
	} {
		var want string
		err := edited(t, c.model, func(g *graph) {
			n := nth(g, c.op, c.n)
			if n == nil {
				t.Fatalf("%s: no %s", c.name, c.op)
			}
			c.edit(g, n)
			want = n.label()
		})
		var e *modelfile.Error
		if !errors.As(err, &e) || !strings.Contains(err.Error(), c.reason) || e.Offset <= 0 || e.Field == "" {
			t.Errorf("%s: %v, want %s: %s", c.name, err, want, c.reason)
		}
	}
}

// Scores that are scaled otherwise have that in the queries.
func TestScaleOfScores(t *testing.T) {
	const query = "encoder.layer.1.attention.self.query."
	open := func(scale float64) []float32 {
		data, err := os.ReadFile("testdata/fused.onnx")
		if err != nil {
			t.Fatal(err)
		}
		g, err := parse(message{file: "m", data: data})
		if err != nil {
			t.Fatal(err)
		}
		nth(g, "com.microsoft.Attention", 1).attributes["scale"] = attribute{float: scale}
		m, err := recognise(g)
		if err != nil {
			t.Fatal(err)
		}
		w, err := m.Floats(nil, query+"weight", 16, 16)
		b, err2 := m.Floats(nil, query+"bias", 16)
		if err != nil || err2 != nil {
			t.Fatal(err, err2)
		}
		return append(w, b...)
	}
	usual, double := open(0), open(1) // heads of 4 channels: 1/2
	for i, v := range usual {
		if double[i] != 2*v {
			t.Fatalf("element %d: %g, want twice %g", i, double[i], v)
		}
	}
}

// A mask that hides a token from others does not get through, be it added, chosen or of the fused form.
func TestCausalMasksAreRefused(t *testing.T) {
	for _, c := range []struct {
		model, op string
	}{{"torchscript", "GreaterOrEqual"}, {"dynamo-mean", "GreaterOrEqual"}} {
		err := edited(t, c.model, func(g *graph) {
			// Rows against columns, where the exporters compare with 0.
			n := nth(g, c.op, 0)
			rows := &node{op: "Constant", outputs: []string{"rows"}, attributes: map[string]attribute{"value_ints": {ints: []int64{2}}}}
			column := &node{op: "Unsqueeze", inputs: []string{"line", "rows"}, outputs: []string{"column"}}
			mask := &node{op: "CumSum", inputs: []string{"attention_mask", "one"}, outputs: []string{"line"}}
			one := &node{op: "Constant", outputs: []string{"one"}, attributes: map[string]attribute{"value_int": {int: 1}}}
			n.op, n.inputs = "LessOrEqual", []string{"line4", "column4"}
			line := &node{op: "Unsqueeze", inputs: []string{"line", "lead"}, outputs: []string{"line4"}}
			lead := &node{op: "Constant", outputs: []string{"lead"}, attributes: map[string]attribute{"value_ints": {ints: []int64{1, 2}}}}
			column4 := &node{op: "Unsqueeze", inputs: []string{"column", "first"}, outputs: []string{"column4"}}
			first := &node{op: "Constant", outputs: []string{"first"}, attributes: map[string]attribute{"value_ints": {ints: []int64{1}}}}
			g.nodes = append([]*node{rows, one, lead, first, mask, column, line, column4}, g.nodes...)
		})
		if err == nil || !strings.Contains(err.Error(), "hides no token") {
			t.Errorf("%s: %v", c.model, err)
		}
	}
}

// Of several outputs the right one is taken.
func TestOutputs(t *testing.T) {
	open := func(name string, edit func(*graph)) (*Model, error) {
		data, err := os.ReadFile("testdata/" + name + ".onnx")
		if err != nil {
			t.Fatal(err)
		}
		g, err := parse(message{file: "m", data: data})
		if err != nil {
			t.Fatal(err)
		}
		edit(g)
		return recognise(g)
	}
	for _, c := range []struct {
		name, model, pooling, reason string
		edit                         func(*graph)
	}{
		{"tanh pooler first", "torchscript", "", "", func(g *graph) { g.outputs[0], g.outputs[1] = g.outputs[1], g.outputs[0] }},
		{"tanh pooler only", "torchscript", "", "no output", func(g *graph) { g.outputs = g.outputs[1:] }},
		{"pooled without the name", "dynamo-cls", "cls", "", func(g *graph) { rename(g, "sentence_embedding", "pooled") }},
		{"tokens only", "dynamo-cls", "", "", func(g *graph) { g.outputs = g.outputs[:1] }},
		{"an input passed through", "dynamo-cls", "cls", "", func(g *graph) { g.outputs = append([]port{{name: "attention_mask"}}, g.outputs...) }},
		{"the deeper of two", "gemm", "", "", func(g *graph) {
			g.outputs = append([]port{{name: nth(g, "LayerNormalization", 2).outputs[0], dims: []int{-1, -1, 16}}}, g.outputs...)
		}},
		{"a sentence_embedding that is more", "dynamo-cls", "", "pooled hidden states", func(g *graph) {
			rename(g, "sentence_embedding", "before")
			g.nodes = append(g.nodes, &node{op: "Sigmoid", inputs: []string{"before"}, outputs: []string{"sentence_embedding"}, offset: 9})
			g.outputs[1].name = "sentence_embedding"
		}},
	} {
		m, err := open(c.model, c.edit)
		switch {
		case c.reason != "":
			if err == nil || !strings.Contains(err.Error(), c.reason) {
				t.Errorf("%s: %v, want %s", c.name, err, c.reason)
			}
		case err != nil:
			t.Errorf("%s: %v", c.name, err)
		case m.Pooling() != c.pooling || m.Config().Layers != 2:
			t.Errorf("%s: pooling %q of %d layers, want %q of 2", c.name, m.Pooling(), m.Config().Layers, c.pooling)
		}
	}
}

func rename(g *graph, from, to string) {
	for _, n := range g.nodes {
		for i := range n.outputs {
			if n.outputs[i] == from {
				n.outputs[i] = to
			}
		}
	}
	for i := range g.outputs {
		if g.outputs[i].name == from {
			g.outputs[i].name = to
		}
	}
}

// FuzzOpen wants no panic and no endless work, and whatever is recognised to load or to be refused.
func FuzzOpen(f *testing.F) {
	for _, name := range []string{"fused-int8", "fused-float16", "gemm", "dynamo-cls", "dequantize", "int8-tensor"} {
		data, err := os.ReadFile("testdata/" + name + ".onnx")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add(protoModel(protoInput, protoOutput, protoNode("Relu", "input_ids", "out")))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := OpenFS(fstest.MapFS{"m": {Data: data}}, "m")
		if err != nil {
			var e *modelfile.Error
			if !errors.As(err, &e) {
				t.Fatalf("%T: %v", err, err)
			}
			return
		}
		if _, err := bert.Load(m.Config(), m); err != nil {
			var e *modelfile.Error
			if !errors.As(err, &e) {
				t.Fatalf("%T: %v", err, err)
			}
		}
	})
}
