package models_test

import (
	"bytes"
	"errors"
	"io/fs"
	"maps"
	"math"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/maida-ai/gomai/models"
	"github.com/maida-ai/gomai/models/safetensors"
)

// tiny is the folder of the tiny model in memory, to be changed.
func tiny(t testing.TB) fstest.MapFS {
	t.Helper()
	files := fstest.MapFS{}
	root := os.DirFS("testdata/tiny-bert")
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := fs.ReadFile(root, name)
		files["m/"+name] = &fstest.MapFile{Data: data}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func set(files fstest.MapFS, name, data string) {
	files["m/"+name] = &fstest.MapFile{Data: []byte(data)}
}

// replace changes a text in a file of the model; it must be there.
func replace(t testing.TB, files fstest.MapFS, name, old, new string) {
	t.Helper()
	data := files["m/"+name].Data
	if !bytes.Contains(data, []byte(old)) {
		t.Fatalf("%s has no %s", name, old)
	}
	set(files, name, strings.Replace(string(data), old, new, 1))
}

// weights lets edit change the tensors of the model.
func weights(t testing.TB, files fstest.MapFS, edit func(safetensors.Tensor) []safetensors.Tensor) {
	t.Helper()
	f, err := safetensors.Parse("tiny", files["m/model.safetensors"].Data)
	if err != nil {
		t.Fatal(err)
	}
	var tensors []safetensors.Tensor
	for _, tensor := range f.Tensors() {
		tensors = append(tensors, edit(tensor)...)
	}
	var b bytes.Buffer
	if err := safetensors.Write(&b, tensors, nil); err != nil {
		t.Fatal(err)
	}
	set(files, "model.safetensors", b.String())
}

func TestOpenNamesWhatIsBad(t *testing.T) {
	const up = "encoder.layer.0.intermediate.dense.weight"
	type edit = func(files fstest.MapFS)
	missing := func(name string) edit { return func(files fstest.MapFS) { delete(files, "m/"+name) } }
	content := func(name, data string) edit { return func(files fstest.MapFS) { set(files, name, data) } }
	change := func(name, old, new string) edit {
		return func(files fstest.MapFS) { replace(t, files, name, old, new) }
	}
	dir := func(name string) edit {
		return func(files fstest.MapFS) {
			delete(files, "m/"+name)
			set(files, name+"/x", "x")
		}
	}
	for _, c := range []struct {
		name  string
		edit  edit
		file  string // below the model's folder
		parts string // of the message, separated by |
	}{
		{"no weights", missing("model.safetensors"), "model.safetensors", "no weights in the folder"},
		{"other weights", func(files fstest.MapFS) {
			delete(files, "m/model.safetensors")
			set(files, "pytorch_model.bin", "x")
		}, "model.safetensors", "no weights|does not read pytorch_model.bin"},
		{"cut weights", func(files fstest.MapFS) {
			data := files["m/model.safetensors"].Data
			set(files, "model.safetensors", string(data[:len(data)-100]))
		}, "model.safetensors", "offset 96756|cut file"},
		{"empty weights", content("model.safetensors", ""), "model.safetensors", "empty file"},
		{"weights are a folder", dir("model.safetensors"), "model.safetensors", "a directory where a file belongs"},
		{"wrong shape", func(files fstest.MapFS) {
			weights(t, files, func(x safetensors.Tensor) []safetensors.Tensor {
				if x.Name == up {
					x.Shape = []int{32, 64}
				}
				return []safetensors.Tensor{x}
			})
		}, "model.safetensors", up + "|expected [64 32], found [32 64]"},
		{"missing tensor", func(files fstest.MapFS) {
			weights(t, files, func(x safetensors.Tensor) []safetensors.Tensor {
				if x.Name == up {
					return nil
				}
				return []safetensors.Tensor{x}
			})
		}, "model.safetensors", up + "|missing, expected shape [64 32]"},
		{"no config", missing("config.json"), "config.json", "file does not exist"},
		{"broken config", content("config.json", `{"model_type":"bert",,}`), "config.json", "offset 21|broken JSON"},
		{"empty config", content("config.json", ""), "config.json", "empty file"},
		{"config is a folder", dir("config.json"), "config.json", "a directory where a file belongs"},
		{"other model", change("config.json", `"bert"`, `"roberta"`), "config.json", `"model_type"|"roberta" is not supported`},
		{"no tokeniser", func(files fstest.MapFS) {
			delete(files, "m/tokenizer.json")
			delete(files, "m/vocab.txt")
		}, "", "tokenizer.json|vocab.txt|file does not exist"},
		{"other tokeniser", change("tokenizer.json", `"model":{"type":"WordPiece"`, `"model":{"type":"Telepathy"`), "tokenizer.json", "Telepathy"},
		{"broken tokeniser", content("tokenizer.json", `{"version" "1.0"}`), "tokenizer.json", "offset 11"},
		{"empty tokeniser", content("tokenizer.json", ""), "tokenizer.json", ""},
		{"tokeniser is a folder", dir("tokenizer.json"), "tokenizer.json", ""},
		{"larger tokeniser", change("tokenizer.json", `"##ab":`, `"##xyz":141,"##ab":`), "", "the tokeniser has 142 tokens, the embeddings only 141 rows"},
		{"broken modules", content("modules.json", `[{"idx":0`), "modules.json", "offset 9|broken JSON"},
		{"modules are an object", content("modules.json", `{}`), "modules.json", "a JSON object where"},
		{"odd module", change("modules.json", "models.Normalize", "models.LSTM"), "modules.json", "module 2, sentence_transformers.models.LSTM|not supported"},
		{"odd order", change("modules.json", "models.Transformer", "models.Normalize"), "modules.json", "module 0|out of order"},
		{"no pooling", change("modules.json", "models.Pooling", "models.Normalize"), "modules.json", "module 1|out of order"},
		{"two poolings", change("modules.json", "models.Normalize", "models.Pooling"), "modules.json", "module 2|out of order"},
		{"a table with a pooling", change("modules.json", "models.Transformer", "models.StaticEmbedding"), "modules.json", "module 1|out of order"},
		{"a transformer without a pooling", content("modules.json", `[{"type":"x.Transformer"},{"type":"x.Dense"}]`), "modules.json", "module 1|out of order"},
		{"path leaves the folder", change("modules.json", "1_Pooling", "../../1_Pooling"), "modules.json", "module 1|leaves the model's folder"},
		{"no pooling config", missing("1_Pooling/config.json"), "1_Pooling/config.json", "file does not exist"},
		{"broken pooling config", content("1_Pooling/config.json", "}"), "1_Pooling/config.json", "offset 0|broken JSON"},
		{"pooling of another size", change("1_Pooling/config.json", "32", "33"), "1_Pooling/config.json", "33, but the hidden states have 32"},
		{"other pooling", content("1_Pooling/config.json", `{"pooling_mode":"median"}`), "1_Pooling/config.json", `"pooling_mode"|"median" is not supported`},
		{"one pooling twice", content("1_Pooling/config.json", `{"pooling_mode":["cls","max","cls"]}`), "1_Pooling/config.json", `"pooling_mode"|"cls" comes twice`},
		{"odd pooling", content("1_Pooling/config.json", `{"pooling_mode":7}`), "1_Pooling/config.json", "neither a text nor a list"},
		{"prompt left out", content("1_Pooling/config.json", `{"include_prompt":false}`), "1_Pooling/config.json", `"include_prompt"`},
		{"no length", content("sentence_bert_config.json", `{"max_seq_length":0}`), "sentence_bert_config.json", `"max_seq_length"|0 tokens, an empty text has 2`},
		{"no room for a word", content("sentence_bert_config.json", `{"max_seq_length":1}`), "sentence_bert_config.json", "1 tokens"},
		{"capitals kept", func(files fstest.MapFS) {
			set(files, "sentence_bert_config.json", `{"max_seq_length":32,"do_lower_case":true}`)
			replace(t, files, "tokenizer.json", `"lowercase":true`, `"lowercase":false`)
		}, "sentence_bert_config.json", `"do_lower_case"|keeps capitals`},
		{"length is a text", content("sentence_bert_config.json", `{"max_seq_length":"x"}`), "sentence_bert_config.json", "offset 21|a JSON string where int"},
		{"prompts are a list", content("config_sentence_transformers.json", `{"prompts":[]}`), "config_sentence_transformers.json", "a JSON array"},
		{"unknown default prompt", content("config_sentence_transformers.json", `{"default_prompt_name":"x"}`), "config_sentence_transformers.json", `"x" is none of the prompts`},
	} {
		files := tiny(t)
		c.edit(files)
		_, err := models.OpenFS(files, "m")
		var bad *models.FormatError
		if !errors.As(err, &bad) || bad.File != path.Join("m", c.file) {
			t.Errorf("%s: %v, want a *FormatError of %s", c.name, err, path.Join("m", c.file))
			continue
		}
		for part := range strings.SplitSeq(c.parts, "|") {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%s: %v does not say %q", c.name, err, part)
			}
		}
		// The same on disk names the same file, as the user wrote it.
		root := t.TempDir()
		if err := os.CopyFS(root, files); err != nil {
			t.Fatal(err)
		}
		_, err = models.Open(filepath.Join(root, "m"))
		var onDisk *models.FormatError
		if !errors.As(err, &onDisk) || onDisk.File != filepath.Join(root, filepath.FromSlash(bad.File)) || onDisk.Offset != bad.Offset {
			t.Errorf("%s, on disk: %v, in memory %v", c.name, err, bad)
		}
	}
}

func TestOpenOfWhatIsNoFolder(t *testing.T) {
	for _, name := range []string{"testdata/nowhere", "testdata/texts.json"} {
		_, err := models.Open(name)
		var bad *models.FormatError
		if !errors.As(err, &bad) || bad.File != name {
			t.Errorf("%s: %v, want a *FormatError of it", name, err)
		}
	}
	if _, err := models.Open("testdata/nowhere"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing folder: %v does not match fs.ErrNotExist", err)
	}
	if _, err := models.OpenFS(tiny(t), "m/config.json"); err == nil || !strings.Contains(err.Error(), "m/config.json: not a folder") {
		t.Errorf("a file as a folder: %v", err)
	}
}

// The ways to open one model make the same vectors.
func TestOpenTheSameModel(t *testing.T) {
	want := open(t, "testdata/tiny-bert")
	vector, err := want.Embed(t.Context(), "hello world")
	if err != nil {
		t.Fatal(err)
	}
	moved := tiny(t) // an older layout, with the transformer in a folder of its own
	for _, name := range slices.Collect(maps.Keys(moved)) {
		switch base := path.Base(name); base {
		case "modules.json", "config_sentence_transformers.json":
		default:
			if path.Dir(name) == "m" {
				moved["m/0_Transformer/"+base] = moved[name]
				delete(moved, name)
			}
		}
	}
	replace(t, moved, "modules.json", `"path": ""`, `"path": "0_Transformer"`)
	saved := tiny(t) // as newer versions of the library save it
	set(saved, "modules.json", strings.NewReplacer(
		"models.Transformer", "base.modules.transformer.Transformer",
		"models.Pooling", "sentence_transformer.modules.pooling.Pooling",
		"models.Normalize", "base.modules.normalize.Normalize").Replace(string(saved["m/modules.json"].Data)))
	set(saved, "1_Pooling/config.json", `{"embedding_dimension":32,"pooling_mode":"mean","include_prompt":true}`)
	set(saved, "sentence_bert_config.json", `{"transformer_task":"feature-extraction"}`)
	replace(t, saved, "tokenizer_config.json", "48", "32")
	prefixed := tiny(t)
	weights(t, prefixed, func(x safetensors.Tensor) []safetensors.Tensor {
		x.Name = "bert." + x.Name
		return []safetensors.Tensor{x}
	})
	for name, openIt := range map[string]func() (*models.Model, error){
		"the weights' file":     func() (*models.Model, error) { return models.Open("testdata/tiny-bert/model.safetensors") },
		"from memory":           func() (*models.Model, error) { return models.OpenFS(tiny(t), "m") },
		"an older layout":       func() (*models.Model, error) { return models.OpenFS(moved, "m") },
		"a newer layout":        func() (*models.Model, error) { return models.OpenFS(saved, "m") },
		"names of a larger net": func() (*models.Model, error) { return models.OpenFS(prefixed, "m") },
	} {
		m, err := openIt()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		defer m.Close()
		got, err := m.Embed(t.Context(), "hello world")
		if err != nil || !slices.Equal(got.F32, vector.F32) {
			t.Errorf("%s: another vector (%v)", name, err)
		}
		if got, want := m.Describe(), want.Describe(); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
	}
}

// Without sentence-transformers' files a transformer has its hidden states averaged, and its length
// is that of its positions or of its tokeniser.
func TestOpenTransformerAlone(t *testing.T) {
	files := tiny(t)
	for _, name := range []string{"modules.json", "1_Pooling/config.json", "sentence_bert_config.json", "config_sentence_transformers.json", "tokenizer_config.json"} {
		delete(files, "m/"+name)
	}
	m, err := models.OpenFS(files, "m")
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if d := m.Describe(); d.Kind != "bert-2x32-mean" || d.MaxTokens != 48 || d.Positions != 48 || d.Query != "" {
		t.Errorf("%+v", d)
	}
	bare, err := m.Embed(t.Context(), "hello world")
	if err != nil {
		t.Fatal(err)
	}
	unit, err := open(t, "testdata/tiny-bert").Embed(t.Context(), "hello world")
	if err != nil {
		t.Fatal(err)
	}
	if c := cosine(bare.F32, unit.F32); !(c > 0.999999) {
		t.Errorf("cosine %v between the vectors with and without Normalize", c)
	}
	var length float64
	for _, v := range bare.F32 {
		length += float64(v) * float64(v)
	}
	if !(math.Abs(length-1) > 0.01) {
		t.Error("the vector has length 1 without a Normalize module")
	}
	if bare.Space == unit.Space {
		t.Errorf("vectors with and without Normalize share the space %q", bare.Space)
	}
	set(files, "tokenizer_config.json", `{"model_max_length":20}`)
	short, err := models.OpenFS(files, "m")
	if err != nil {
		t.Fatal(err)
	}
	defer short.Close()
	if d := short.Describe(); d.MaxTokens != 20 {
		t.Errorf("model_max_length 20: %+v", d)
	}
	set(files, "tokenizer_config.json", `{"model_max_length":1000000000000000019884624838656}`)
	long, err := models.OpenFS(files, "m")
	if err != nil {
		t.Fatal(err)
	}
	defer long.Close()
	if d := long.Describe(); d.MaxTokens != 48 {
		t.Errorf("model_max_length 1e30: %+v", d)
	}
}

func TestPoolings(t *testing.T) {
	want := openReference(t, "testdata/tiny-bert.safetensors").rows("poolings")
	for i, mode := range []string{"mean", "cls", "max"} {
		files := tiny(t)
		set(files, "1_Pooling/config.json", `{"pooling_mode":"`+mode+`"}`)
		set(files, "modules.json", `[{"type":"sentence_transformers.models.Transformer"},
			{"path":"1_Pooling","type":"sentence_transformers.models.Pooling"}]`)
		m, err := models.OpenFS(files, "m")
		if err != nil {
			t.Fatal(err)
		}
		got, _ := embed(t, m, "hello world the cat sits")
		check(t, mode, got, want[i])
		m.Close()
	}
}

// staticModel is the folder of a tiny table in memory.
func staticModel(t testing.TB, layout string) fstest.MapFS {
	t.Helper()
	files := fstest.MapFS{}
	for name, from := range map[string]string{
		"tokenizer.json":    "tokenizer.json",
		"config.json":       layout + "/config.json",
		"model.safetensors": layout + "/model.safetensors",
	} {
		data, err := os.ReadFile("static/testdata/" + from)
		if err != nil {
			t.Fatal(err)
		}
		set(files, name, string(data))
	}
	return files
}

func TestOpenStatic(t *testing.T) {
	files := staticModel(t, "f32_mean")
	mean, err := models.OpenFS(files, "m", models.Precision(models.F32))
	if err != nil {
		t.Fatal(err)
	}
	defer mean.Close()
	set(files, "modules.json", `[{"path":".","type":"sentence_transformers.models.StaticEmbedding"},
		{"path":"1_Normalize","type":"sentence_transformers.models.Normalize"}]`)
	unit, err := models.OpenFS(files, "m")
	if err != nil {
		t.Fatal(err)
	}
	defer unit.Close()
	if a, b := mean.Describe(), unit.Describe(); a.Kind+"-unit" != b.Kind || a.Precision != "f32" || a.Space == b.Space {
		t.Errorf("%+v, with a Normalize module %+v", a, b)
	}
	text := unit.Tokenizer().Token(int32(unit.Tokenizer().Size() / 2))
	got, info := embed(t, unit, text)
	want, _ := embed(t, mean, text)
	var length float64
	for _, v := range got {
		length += float64(v) * float64(v)
	}
	if info.Known != 1 || math.Abs(length-1) > 1e-6 || !(cosine(got, want) > 0.999999) {
		t.Errorf("%q: %+v, length^2 %v, cosine to the mean %v", text, info, length, cosine(got, want))
	}
	for _, c := range []struct{ name, content, file, want string }{
		{"config.json", `{"normalize":1}`, "m/config.json", "a JSON number"},
		{"config.json", `{`, "m/config.json", "offset 1"},
		{"model.safetensors", "", "m/model.safetensors", "empty file"},
	} {
		files := staticModel(t, "int4")
		set(files, c.name, c.content)
		_, err := models.OpenFS(files, "m")
		var bad *models.FormatError
		if !errors.As(err, &bad) || bad.File != c.file || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s = %s: %v", c.name, c.content, err)
		}
	}
	// A table's limit is for the text alone: the tokens that its tokeniser adds come on top.
	marked := tiny(t)
	weights(t, marked, func(x safetensors.Tensor) []safetensors.Tensor {
		if x.Name != "embeddings.word_embeddings.weight" {
			return nil
		}
		x.Name = "embeddings"
		return []safetensors.Tensor{x}
	})
	delete(marked, "m/modules.json")
	for config, want := range map[string]int{`{"max_length":9}`: 11, `{"max_length":null}`: 0, `{}`: 514} {
		set(marked, "config.json", config)
		m, err := models.OpenFS(marked, "m")
		if err != nil {
			t.Fatal(err)
		}
		if d := m.Describe(); d.MaxTokens != want {
			t.Errorf("%s: %+v, want %d tokens", config, d, want)
		}
		if err := m.Warm(t.Context()); err != nil {
			t.Errorf("%s: Warm: %v", config, err)
		}
		m.Close()
	}
	network := tiny(t)
	set(network, "modules.json", `[{"path":"","type":"sentence_transformers.models.StaticEmbedding"}]`)
	if _, err := models.OpenFS(network, "m"); err == nil || !strings.Contains(err.Error(), `m/model.safetensors: "embeddings": tensor missing`) {
		t.Errorf("a network called a table: %v", err)
	}
}
