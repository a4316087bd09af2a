package main

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/maida-ai/gomai/internal/testmodel"
	"github.com/maida-ai/gomai/models/safetensors"
)

// packable gives the tiny model in dir weights of the least size that has an int8 form.
func packable(t *testing.T, dir string) {
	t.Helper()
	const hidden, inner, layers, positions = 64, 64, 2, 64
	edit := func(name string, with map[string]any) (config map[string]any) {
		path := filepath.Join(dir, name)
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(data, &config); err != nil {
			t.Fatal(err)
		}
		maps.Copy(config, with)
		if data, err = json.Marshal(config); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o666); err != nil {
			t.Fatal(err)
		}
		return config
	}
	edit("1_Pooling/config.json", map[string]any{"word_embedding_dimension": hidden})
	config := edit("config.json", map[string]any{
		"hidden_size": hidden, "intermediate_size": inner, "num_hidden_layers": layers,
		"num_attention_heads": 2, "max_position_embeddings": positions,
	})
	r := rand.New(rand.NewPCG(1, 2))
	var tensors []safetensors.Tensor
	add := func(name string, mean, deviation float64, shape ...int) {
		tensor := safetensors.Tensor{Name: name, DType: safetensors.F32, Shape: shape}
		for range tensor.Len() {
			v := float32(mean + deviation*r.NormFloat64())
			tensor.Data = binary.LittleEndian.AppendUint32(tensor.Data, math.Float32bits(v))
		}
		tensors = append(tensors, tensor)
	}
	linear := func(name string, out, in int) {
		add(name+".weight", 0, 1/math.Sqrt(float64(in)), out, in)
		add(name+".bias", 0, 0.1, out)
	}
	norm := func(name string) {
		add(name+".LayerNorm.weight", 1, 0.1, hidden)
		add(name+".LayerNorm.bias", 0, 0.1, hidden)
	}
	add("embeddings.word_embeddings.weight", 0, 1, int(config["vocab_size"].(float64)), hidden)
	add("embeddings.position_embeddings.weight", 0, 0.1, positions, hidden)
	add("embeddings.token_type_embeddings.weight", 0, 0.1, int(config["type_vocab_size"].(float64)), hidden)
	norm("embeddings")
	for i := range layers {
		name := fmt.Sprintf("encoder.layer.%d.", i)
		for _, part := range []string{"attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"} {
			linear(name+part, hidden, hidden)
		}
		norm(name + "attention.output")
		linear(name+"intermediate.dense", inner, hidden)
		linear(name+"output.dense", hidden, inner)
		norm(name + "output")
	}
	f, err := os.Create(filepath.Join(dir, "model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := safetensors.Write(f, tensors, nil); err != nil {
		t.Fatal(err)
	}
}

func TestPack(t *testing.T) {
	testmodel.Slow(t)
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(tiny)); err != nil {
		t.Fatal(err)
	}
	packable(t, dir)
	out := filepath.Join(t.TempDir(), "m.gomai")
	r := run(t, "", "pack", dir, "-o", out, "--licence", "test", "--json")
	r.expect(t, 0)
	var packed struct {
		Out       string  `json:"out"`
		Precision string  `json:"precision"`
		MinCosine float64 `json:"min_cosine"`
	}
	if err := json.Unmarshal([]byte(r.stdout), &packed); err != nil || packed.Out != out || packed.Precision != "int8" || packed.MinCosine < 0.99 {
		t.Errorf("%s, %v", r.stdout, err)
	}
	// What is packed gives what the folder gives, without the folder.
	fromFolder := run(t, "", "embed", "--model", dir, "a text")
	fromFolder.expect(t, 0)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	fromFile := run(t, "", "embed", "--model", out, "a text")
	fromFile.expect(t, 0)
	if fromFile.stdout != fromFolder.stdout || fromFile.stdout == "" {
		t.Errorf("packed: %s, the folder: %s", fromFile.stdout, fromFolder.stdout)
	}
	if tokens := run(t, "", "tokenize", "--model", out, "a text"); tokens.code != 0 || tokens.stdout == "" {
		t.Errorf("tokenize: %+v", tokens)
	}
	var doctor struct {
		Model struct {
			Golden int  `json:"golden"`
			Same   bool `json:"same"`
		} `json:"model"`
	}
	r = run(t, "", "doctor", "--model", out, "--json")
	r.expect(t, 0)
	if err := json.Unmarshal([]byte(r.stdout), &doctor); err != nil || doctor.Model.Golden != 8 || !doctor.Model.Same {
		t.Errorf("doctor: %+v, %v", doctor, err)
	}
	run(t, "", "pack", "nowhere", "-o", out).expect(t, 3)
	run(t, "", "pack", tiny, "-o", out).expect(t, 2) // its layers are too narrow for int8
	run(t, "", "pack", out).expect(t, 2)
	run(t, "", "pack", out, "-o", out+"2").expect(t, 3) // packed already
	run(t, "", "pack", tiny, "-o", filepath.Join(out, "x")).expect(t, 1)
	run(t, "", "pack", tiny, "-o", out, "--calibration", write(t, "few.txt", "one text\n")).expect(t, 2)
}
