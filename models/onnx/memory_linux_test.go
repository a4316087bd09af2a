package onnx

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/maida-ai/gomai/internal/testmodel"
	"github.com/maida-ai/gomai/models/bert"
)

// A model of 18 million weights, 72 MB as float32.
const (
	largeWords, largeHidden, largeFFN, largeLayers = 20000, 384, 1536, 6
	largeWeights                                   = largeWords*largeHidden + largeLayers*(4*largeHidden*largeHidden+2*largeHidden*largeFFN)
)

// writeLarge writes such a model in the fused form, with float32 weights or int8 ones and a scale.
func writeLarge(t *testing.T, path string, int8s bool) {
	t.Helper()
	var graph [][]byte
	seed := uint32(1)
	weight := func(name string, dims ...int) string {
		n := product(dims)
		shape := [][]byte{named(8, name)}
		for _, d := range dims {
			shape = append(shape, varint(1, uint64(d)))
		}
		var data []byte
		for range n {
			seed = seed*1664525 + 1013904223
			v := float32(int32(seed)) / (1 << 31) * 0.1
			if int8s && len(dims) == 2 {
				data = append(data, byte(int8(v*1000)))
			} else {
				data = binary.LittleEndian.AppendUint32(data, math.Float32bits(v))
			}
		}
		elem := uint64(typeFloat)
		if int8s && len(dims) == 2 {
			elem = typeInt8
		}
		graph = append(graph, nested(5, append(shape, varint(2, elem), nested(9, data))...))
		if elem == typeFloat {
			return name
		}
		graph = append(graph, nested(1, named(1, name), named(1, "scale"), named(2, name+"-f"), named(4, "DequantizeLinear")))
		return name + "-f"
	}
	node := func(op, out string, attributes [][]byte, in ...string) string {
		parts := [][]byte{named(2, out), named(4, op), named(7, "com.microsoft")}
		if op == "MatMul" {
			parts = parts[:2]
		}
		for _, name := range in {
			parts = append(parts, named(1, name))
		}
		graph = append(graph, nested(1, append(parts, attributes...)...))
		return out
	}
	graph = append(graph, protoInput, protoOutput)
	graph = append(graph, nested(5, named(8, "scale"), varint(2, typeFloat), nested(9, []byte{0, 0, 0x80, 0x3a})))
	gain := weight("gain", largeHidden)
	x := node("EmbedLayerNormalization", "x", nil, "input_ids", "", weight("words", largeWords, largeHidden),
		weight("positions", 128, largeHidden), "", gain, gain)
	heads := [][]byte{nested(5, named(1, "num_heads"), varint(3, 12))}
	for i := range largeLayers {
		name := func(s string) string { return fmt.Sprint(s, i) }
		a := node("Attention", name("a"), heads, x, weight(name("qkv"), largeHidden, 3*largeHidden), "", "")
		o := node("MatMul", name("o"), nil, a, weight(name("out"), largeHidden, largeHidden))
		m := node("SkipLayerNormalization", name("m"), nil, o, x, gain, gain)
		u := node("MatMul", name("u"), nil, m, weight(name("up"), largeHidden, largeFFN))
		g := node("Gelu", name("g"), nil, u)
		d := node("MatMul", name("d"), nil, g, weight(name("down"), largeFFN, largeHidden))
		next := name("x")
		if i == largeLayers-1 {
			next = "out"
		}
		x = node("SkipLayerNormalization", next, nil, d, m, gain, gain)
	}
	if err := os.WriteFile(path, protoModel(graph...), 0o666); err != nil {
		t.Fatal(err)
	}
}

// status is a line of /proc/self/status, in bytes.
func status(t *testing.T, name string) int {
	t.Helper()
	data, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, name+":"); ok {
			n, err := strconv.Atoi(strings.Fields(rest)[0])
			if err != nil {
				t.Fatal(err)
			}
			return n << 10
		}
	}
	t.Fatalf("no %s", name)
	return 0
}

// The most memory that opening takes is that of the opened model, or the file if that is larger, and 32 MB.
// Another process opens it, so that nothing else counts.
func TestMemoryWhileOpening(t *testing.T) {
	if path := os.Getenv("GOMAI_OPEN_LARGE"); path != "" {
		m, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		e, err := bert.Load(m.Config(), m)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Println("peak", status(t, "VmHWM"))
		runtime.KeepAlive(e)
		return
	}
	if testmodel.Race || testing.Short() {
		t.Skip("the race detector takes memory of its own")
	}
	for _, int8s := range []bool{false, true} {
		path := filepath.Join(t.TempDir(), "model.onnx")
		writeLarge(t, path, int8s)
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(os.Args[0], "-test.run=^TestMemoryWhileOpening$")
		cmd.Env = append(os.Environ(), "GOMAI_OPEN_LARGE="+path)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		_, rest, ok := bytes.Cut(out, []byte("peak "))
		if !ok {
			t.Fatalf("no peak in %s", out)
		}
		peak, err := strconv.Atoi(strings.Fields(string(rest))[0])
		if err != nil {
			t.Fatal(err)
		}
		limit := max(int(info.Size()), 4*largeWeights) + 32<<20
		t.Logf("file %d MB, opened %d MB, peak %d MB, limit %d MB", info.Size()>>20, 4*largeWeights>>20, peak>>20, limit>>20)
		if peak > limit {
			t.Errorf("a file of %d MB: peak of %d MB, limit %d MB", info.Size()>>20, peak>>20, limit>>20)
		}
	}
}
