package models_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/maida-ai/gomai/internal/testmodel"
	"github.com/maida-ai/gomai/models"
	"github.com/maida-ai/gomai/models/safetensors"
)

// rewriting changes the weights of a BERT of 384 channels in 12 heads without changing what it computes:
// hidden channels, heads and FFN units change places. Scales stay. The gains of LayerNorms cannot move into
// the weights after them, because the residual reads what they scaled; queries can be scaled
// against keys and values against outputs, but with factors of 0.25 to 4 int8 does not pass this gate.
type rewriting struct {
	t       *testing.T
	r       *rand.Rand
	tensors map[string][]float32
	hidden  []int // new channel i is the old hidden[i]
}

const (
	rewrittenHidden = 384
	rewrittenHeads  = 12
	rewrittenInner  = 1536
	rewrittenLayers = 6
)

func (w *rewriting) tensor(name string) []float32 {
	v, ok := w.tensors[name]
	if !ok {
		w.t.Fatalf("no tensor %s", name)
	}
	return v
}

// columns gives the elements of every row of len(order) new places.
func columns(v []float32, order []int) {
	old := make([]float32, len(order))
	for row := range slices.Chunk(v, len(order)) {
		copy(old, row)
		for i, from := range order {
			row[i] = old[from]
		}
	}
}

// rows gives the rows of v new places.
func rows(v []float32, order []int) {
	old, n := slices.Clone(v), len(v)/len(order)
	for i, from := range order {
		copy(v[i*n:(i+1)*n], old[from*n:])
	}
}

// linear moves outputs and inputs of a matrix.
func (w *rewriting) linear(name string, out, in []int) {
	rows(w.tensor(name+".weight"), out)
	columns(w.tensor(name+".weight"), in)
	columns(w.tensor(name+".bias"), out)
}

func (w *rewriting) layer(i int) {
	name := fmt.Sprintf("encoder.layer.%d.", i)
	attention := name + "attention."
	var heads []int // components, by heads in another order
	const size = rewrittenHidden / rewrittenHeads
	for _, head := range w.r.Perm(rewrittenHeads) {
		for j := range size {
			heads = append(heads, head*size+j)
		}
	}
	for _, part := range []string{"query", "key", "value"} {
		w.linear(attention+"self."+part, heads, w.hidden)
	}
	w.linear(attention+"output.dense", w.hidden, heads)
	w.norm(attention + "output.LayerNorm")
	inner := w.r.Perm(rewrittenInner)
	w.linear(name+"intermediate.dense", inner, w.hidden)
	w.linear(name+"output.dense", w.hidden, inner)
	w.norm(name + "output.LayerNorm")
}

func (w *rewriting) norm(name string) {
	columns(w.tensor(name+".weight"), w.hidden)
	columns(w.tensor(name+".bias"), w.hidden)
}

// rewritten writes the model in dir to a new folder, rewritten, and returns where its channels went.
func rewritten(t *testing.T, dir string, seed uint64) (folder string, hidden []int) {
	t.Helper()
	folder = filepath.Join(t.TempDir(), "rewritten")
	if err := os.CopyFS(folder, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	f, err := safetensors.Open(filepath.Join(dir, "model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r := rand.New(rand.NewPCG(seed, 1))
	w := rewriting{t, r, map[string][]float32{}, r.Perm(rewrittenHidden)}
	tensors := slices.Clone(f.Tensors())
	for _, tensor := range tensors {
		if tensor.DType == safetensors.F32 {
			v, err := tensor.Float32s()
			if err != nil {
				t.Fatal(err)
			}
			w.tensors[tensor.Name] = slices.Clone(v)
		}
	}
	for _, part := range []string{"word", "position", "token_type"} {
		columns(w.tensor("embeddings."+part+"_embeddings.weight"), w.hidden)
	}
	w.norm("embeddings.LayerNorm")
	for i := range rewrittenLayers {
		w.layer(i)
	}
	for i := range tensors {
		if v, ok := w.tensors[tensors[i].Name]; ok {
			if tensors[i].Data, err = binary.Append(nil, binary.LittleEndian, v); err != nil {
				t.Fatal(err)
			}
		}
	}
	name := filepath.Join(folder, "model.safetensors")
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	file, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := safetensors.Write(file, tensors, f.Metadata()); err != nil {
		t.Fatal(err)
	}
	return folder, w.hidden
}

// What int8 keeps must not hang on the places that a model's numbers happen to have.
func TestInt8QualityOfRewrittenModels(t *testing.T) {
	testmodel.Slow(t)
	dir := testmodel.MiniLM(t)
	texts := slices.Concat(trainSentences(t)[:100], longTexts(t)[:5], oddTexts)
	original := vectors(t, open(t, dir, models.Precision(models.F32)), texts)
	for seed := range uint64(2) {
		folder, hidden := rewritten(t, dir, seed)
		want := vectors(t, open(t, folder, models.Precision(models.F32)), texts)
		for i, v := range original {
			v = slices.Clone(v)
			columns(v, hidden)
			if c := cosine(want[i], v); !(c >= 0.99999) {
				t.Fatalf("rewriting %d changes the model: %.40q has cosine %.6f", seed, texts[i], c)
			}
		}
		int8 := open(t, folder, models.Precision(models.Int8), models.Cache(""))
		if d := int8.Describe(); d.Precision != "int8" || len(d.FloatLayers) > 0 {
			t.Errorf("rewriting %d: %+v: not all layers are int8", seed, d)
		}
		var all []float64
		for i, v := range vectors(t, int8, texts) {
			c := cosine(v, want[i])
			if !(c >= leastCosine) {
				t.Errorf("rewriting %d: %.40q: cosine %.5f", seed, texts[i], c)
			}
			all = append(all, c)
		}
		t.Logf("rewriting %d: cosine min %.5f, mean %.5f", seed, slices.Min(all), mean(all))
		if !(mean(all) >= leastMeanCosine) {
			t.Errorf("rewriting %d: mean cosine %.5f", seed, mean(all))
		}
	}
}
