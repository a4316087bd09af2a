package distill

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/maida-ai/gomai/models/modelfile"
	"github.com/maida-ai/gomai/models/safetensors"
	"github.com/maida-ai/gomai/models/static"
	"github.com/maida-ai/gomai/models/tokenizer"
)

var tinyOptions = Options{Dims: 32, Salads: 600}

func run(t *testing.T, src *Source, opts Options) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "out")
	if err := Run(context.Background(), src, out, opts); err != nil {
		t.Fatal(err)
	}
	return out
}

// files reads a folder.
func files(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	content := map[string][]byte{}
	for _, e := range entries {
		if content[e.Name()], err = os.ReadFile(filepath.Join(dir, e.Name())); err != nil {
			t.Fatal(err)
		}
	}
	return content
}

// empty fails if dir holds anything, hidden files included.
func empty(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		t.Errorf("%s is left", e.Name())
	}
}

// TestDeterminism: the same bytes from runs with other goroutines and in another place.
func TestDeterminism(t *testing.T) {
	src := tinySource(t)
	corpus := []string{"the wordaa of wordab", "wordbe wordbf!", "мир", "wordac straße", strings.Repeat("wordad ", 100)}
	first := files(t, run(t, src, Options{Dims: 32, Salads: 600, Workers: 1, Corpus: corpus}))
	for _, workers := range []int{1, 5} {
		again := files(t, run(t, src, Options{Dims: 32, Salads: 600, Workers: workers, Corpus: corpus}))
		if len(first) != 4 || len(again) != len(first) {
			t.Fatalf("%d and %d files, want 4", len(first), len(again))
		}
		for name, content := range first {
			if !bytes.Equal(content, again[name]) {
				t.Errorf("%s differs with %d workers", name, workers)
			}
		}
	}
	for what, opts := range map[string]Options{
		"no corpus":      {Dims: 32, Salads: 600},
		"another corpus": {Dims: 32, Salads: 600, Corpus: []string{"wordaa wordbb"}},
		"other salads":   {Dims: 32, Salads: 601},
	} {
		other := files(t, run(t, src, opts))
		if bytes.Equal(first["model.safetensors"], other["model.safetensors"]) || bytes.Equal(first["config.json"], other["config.json"]) {
			t.Errorf("%s: the same table or record", what)
		}
	}
}

// TestResult reads the folder back with the packages that serve it: the angles between texts are the
// teacher's, seen from the teacher's mean.
func TestResult(t *testing.T) {
	src := tinySource(t)
	dir := run(t, src, Options{Dims: 64, Salads: 5000})
	tok, table := load(t, dir)
	tokens, v := tinyParts(t)
	if table.Dim() != 64 || !table.Normalize() || table.Layout() != "int4" || table.MaxTokens() != 512 {
		t.Errorf("%d dimensions, %s, normalised: %v, at most %d tokens", table.Dim(), table.Layout(), table.Normalize(), table.MaxTokens())
	}
	if s := tok.Special(); tok.Size() != len(v.ids)+2 || len(s.Before)+len(s.After) != 0 || tok.Token(s.Unknown) != "[UNK]" || tok.Token(s.Pad) != "[PAD]" {
		t.Errorf("%d tokens, special ones %+v", tok.Size(), s)
	}
	var rules map[string]any
	if err := json.Unmarshal(files(t, dir)["tokenizer.json"], &rules); err != nil {
		t.Fatal(err)
	}
	for _, gone := range []string{"truncation", "padding", "post_processor"} {
		if value, ok := rules[gone]; !ok || value != nil {
			t.Errorf("the tokeniser's %s is %v, want null", gone, value)
		}
	}
	for row, id := range v.ids {
		if got, want := tok.Token(int32(row+2)), tokens.Model.Vocab[id]; got != want {
			t.Fatalf("token %d is %q, want %q", row+2, got, want)
		}
	}

	mean := make([]float32, tinyHidden)
	salads := v.idsOf(v.salads(500, rand.New(rand.NewPCG(9, 9))))
	for i := range salads.len() {
		for j, x := range teach(t, src, salads.at(i)) {
			mean[j] += x / float32(salads.len())
		}
	}
	// Short texts are mostly special tokens to this teacher, so look at longer ones, all of them new.
	var ours, theirs [][]float32
	for i := range salads.len() {
		if ids := salads.at(i); len(ids) >= 8 && len(ours) < 40 {
			vector := teach(t, src, ids)
			for j := range vector {
				vector[j] -= mean[j]
			}
			theirs = append(theirs, vector)
			var words []string
			for _, id := range ids {
				words = append(words, tokens.Model.Vocab[id])
			}
			ours = append(ours, embed(t, tok, table, strings.ReplaceAll(strings.Join(words, " "), " ##", "")))
		}
	}
	var sum float64
	for i := range ours {
		for j := range i {
			sum += math.Pow(cosine(ours[i], ours[j])-cosine(theirs[i], theirs[j]), 2)
		}
	}
	rms := math.Sqrt(sum / float64(len(ours)*(len(ours)-1)/2))
	if !(rms < 0.1) {
		t.Errorf("cosines are %.3f off the teacher's", rms)
	}
	for _, text := range []string{"word", "мир", "[PAD]", ""} {
		if got := embed(t, tok, table, text); slices.ContainsFunc(got, func(x float32) bool { return x != 0 }) {
			t.Errorf("%q has the vector %v", text, got)
		}
	}
}

func load(t *testing.T, dir string) (*tokenizer.Tokenizer, *static.Table) {
	t.Helper()
	tok, err := tokenizer.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	weights, err := safetensors.Open(filepath.Join(dir, "model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { weights.Close() })
	config, err := os.ReadFile(filepath.Join(dir, "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	table, err := static.Load(weights, config, tok)
	if err != nil {
		t.Fatal(err)
	}
	return tok, table
}

func embed(t *testing.T, tok *tokenizer.Tokenizer, table *static.Table, text string) []float32 {
	t.Helper()
	tokens, err := tok.Tokenize(text)
	if err != nil {
		t.Fatal(err)
	}
	vector := make([]float32, table.Dim())
	if _, err := table.EmbedIDsInto(tokens.IDs, vector); err != nil {
		t.Fatal(err)
	}
	return vector
}

// teach is the teacher's unit vector of a text.
func teach(t *testing.T, src *Source, text []int32) []float32 {
	t.Helper()
	vector := make([]float32, src.HiddenSize)
	if err := new(scratch).read(context.Background(), src, text, vector); err != nil {
		t.Fatal(err)
	}
	return vector
}

// TestCorpus: sentences that the teacher sees otherwise than their words tell pull the table.
func TestCorpus(t *testing.T) {
	src := tinySource(t)
	read := src.Read
	pair, err := src.Tokenizer.Tokenize("wordaa wordab")
	if err != nil {
		t.Fatal(err)
	}
	idiom := teach(t, src, []int32{60})
	src.Read = func(ctx context.Context, ids []int32, hidden, vector []float32) error {
		err := read(ctx, ids, hidden, vector)
		if slices.Equal(ids, pair.IDs) {
			copy(vector, idiom)
		}
		return err
	}
	near := func(opts Options) float64 {
		tok, table := load(t, run(t, src, opts))
		return cosine(embed(t, tok, table, "wordaa wordab"), embed(t, tok, table, tok.Token(60-9)))
	}
	if tok, v := tinyParts(t); tok.Model.Vocab[v.ids[60-9-2]] != tok.Model.Vocab[60] {
		t.Fatal("the idiom's word has another row")
	}
	plain := near(Options{Dims: 64, Salads: 3000})
	taught := near(Options{Dims: 64, Salads: 3000, Corpus: slices.Repeat([]string{"wordaa wordab"}, 3000)})
	if !(taught > plain+0.2) {
		t.Errorf("cosine with what the corpus says: %.3f, without the corpus %.3f", taught, plain)
	}
}

func TestRecord(t *testing.T) {
	dir := run(t, tinySource(t), Options{Dims: 32, Salads: 600, Corpus: []string{"the", "of"}})
	var c config
	content := files(t, dir)
	if err := json.Unmarshal(content["config.json"], &c); err != nil {
		t.Fatal(err)
	}
	want := Provenance{
		From: "tiny", License: "mit", WeightsSHA256: "00ff",
		TokenizerSHA256: fmt.Sprintf("%x", sha256.Sum256(tinyTokenizer(t, tinyVocab()))),
		Salads:          600, CorpusLines: 2,
		CorpusSHA256: fmt.Sprintf("%x", sha256.Sum256([]byte("the\nof\n"))),
		Command:      "mai distill tiny -o OUT --dims 32 --corpus FILE",
	}
	if c.Distilled != want {
		t.Errorf("record %+v, want %+v", c.Distilled, want)
	}
	for _, fact := range []string{want.From, want.License, want.WeightsSHA256, want.TokenizerSHA256, want.CorpusSHA256, want.Command} {
		if !bytes.Contains(content["README.md"], []byte(fact)) {
			t.Errorf("the README does not have %q", fact)
		}
	}
}

// TestCancel: at whatever stage ctx ends, Run says so and leaves nothing behind.
func TestCancel(t *testing.T) {
	var stages []string
	opts := tinyOptions
	opts.Corpus = []string{"the of and", "wordaa"}
	opts.Progress = func(stage string, done, total int) {
		if done < 0 || done > total {
			t.Errorf("%s: %d of %d", stage, done, total)
		}
		if !slices.Contains(stages, stage) {
			stages = append(stages, stage)
		}
	}
	run(t, tinySource(t), opts)
	if len(stages) != 6 {
		t.Fatalf("stages %q", stages)
	}
	for _, stop := range stages {
		parent := t.TempDir()
		ctx, cancel := context.WithCancel(context.Background())
		opts.Progress = func(stage string, _, _ int) {
			if stage == stop {
				cancel()
			}
		}
		if err := Run(ctx, tinySource(t), filepath.Join(parent, "out"), opts); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: error %v", stop, err)
		}
		empty(t, parent)
		cancel()
	}
}

// TestBadTeacher: an error of the encoder and a vector that is none end the run.
func TestBadTeacher(t *testing.T) {
	broken := errors.New("broken")
	nan := float32(math.NaN())
	for what, spoil := range map[string]func(hidden, vector []float32) error{
		"error":           func(_, _ []float32) error { return broken },
		"NaN state":       func(hidden, _ []float32) error { hidden[len(hidden)-1] = nan; return nil },
		"infinite vector": func(_, vector []float32) error { vector[3] = float32(math.Inf(1)); return nil },
	} {
		src, parent := tinySource(t), t.TempDir()
		read, calls := src.Read, atomic.Int64{}
		src.Read = func(ctx context.Context, ids []int32, hidden, vector []float32) error {
			if err := read(ctx, ids, hidden, vector); err != nil {
				return err
			}
			if calls.Add(1) == 300 {
				return spoil(hidden, vector)
			}
			return nil
		}
		err := Run(context.Background(), src, filepath.Join(parent, "out"), tinyOptions)
		if what == "error" && !errors.Is(err, broken) || what != "error" && (err == nil || !strings.Contains(err.Error(), "the encoder answers")) {
			t.Errorf("%s: error %v", what, err)
		}
		empty(t, parent)
	}
}

// TestPlace: what is in the way is found before the encoder is asked anything.
func TestPlace(t *testing.T) {
	src := tinySource(t)
	src.Read = func(context.Context, []int32, []float32, []float32) error {
		t.Error("the encoder was asked")
		return errors.New("asked")
	}
	parent := t.TempDir()
	file := filepath.Join(parent, "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	var inPlace *fs.PathError
	if err := Run(context.Background(), src, parent, tinyOptions); !errors.Is(err, fs.ErrExist) || !errors.As(err, &inPlace) || inPlace.Path != parent {
		t.Errorf("a folder with a file: error %v", err)
	}
	if err := Run(context.Background(), src, file, tinyOptions); !errors.As(err, &inPlace) {
		t.Errorf("a file: error %v", err)
	}
	if err := Run(context.Background(), src, filepath.Join(parent, "no", "such"), tinyOptions); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a folder that does not exist: error %v", err)
	}
	if left := files(t, parent); len(left) != 1 {
		t.Errorf("left: %v", left)
	}

	place := filepath.Join(t.TempDir(), "place")
	if err := os.Mkdir(place, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := Run(context.Background(), tinySource(t), place+string(filepath.Separator), tinyOptions); err != nil {
		t.Errorf("an empty folder: %v", err)
	}
	if got := files(t, place); len(got) != 4 {
		t.Errorf("%d files", len(got))
	}
}

// TestPlaceTaken: what someone else puts there during the run stays.
func TestPlaceTaken(t *testing.T) {
	for _, name := range []string{"out", "out/inside"} {
		parent := t.TempDir()
		taken := filepath.Join(parent, filepath.FromSlash(name))
		opts := tinyOptions
		opts.Progress = func(stage string, done, total int) {
			if stage != "finding the basis" || done != total {
				return
			}
			if err := os.MkdirAll(filepath.Dir(taken), 0o755); err != nil {
				t.Error(err)
			}
			if err := os.WriteFile(taken, []byte("mine"), 0o644); err != nil {
				t.Error(err)
			}
		}
		if err := Run(context.Background(), tinySource(t), filepath.Join(parent, "out"), opts); err == nil {
			t.Errorf("%s: no error", name)
		}
		if got, err := os.ReadFile(taken); err != nil || string(got) != "mine" {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		if entries, err := os.ReadDir(parent); err != nil || len(entries) != 1 {
			t.Errorf("%s: left %v, %v", name, entries, err)
		}
	}
}

func TestOptions(t *testing.T) {
	for _, opts := range []Options{{Dims: -32}, {Dims: 33}, {Dims: 96}, {}, {Dims: 32, Salads: -1}, {Dims: 32, Corpus: []string{"", "мир", "[CLS]"}}} {
		var bad *OptionError
		if err := Run(context.Background(), tinySource(t), filepath.Join(t.TempDir(), "out"), opts); !errors.As(err, &bad) {
			t.Errorf("%+v: error %v", opts, err)
		}
	}
	src := tinySource(t)
	src.MaxTokens = saladMax + 1
	if err := Run(context.Background(), src, filepath.Join(t.TempDir(), "out"), tinyOptions); err == nil {
		t.Error("an encoder without room for a salad is accepted")
	}
}

// TestTokenizers refuses what no table can be made for.
func TestTokenizers(t *testing.T) {
	good := string(tinyTokenizer(t, tinyVocab()))
	for _, c := range []struct{ old, new, field string }{
		{`"type":"WordPiece","unk`, `"type":"BPE","unk`, "model.type"},
		{`"continuing_subword_prefix":"##"`, `"continuing_subword_prefix":"@@"`, "model.continuing_subword_prefix"},
		{`"unk_token":"[UNK]"`, `"unk_token":"<unk>"`, "model.unk_token"},
		{`"content":"[CLS]"`, `"content":"[SEQ]"`, "added_tokens"},
		{`"and":21`, `"and":20`, ""},
		{`"and":21`, `"and":-1`, ""},
		{`"the":17`, `"the":`, ""},
		{`"and":21`, `"and":21,"more":86`, "vocab"},
	} {
		src := tinySource(t)
		if !strings.Contains(good, c.old) {
			t.Fatalf("no %s in the tokeniser", c.old)
		}
		src.TokenizerJSON = []byte(strings.Replace(good, c.old, c.new, 1))
		var bad *modelfile.Error
		err := Run(context.Background(), src, filepath.Join(t.TempDir(), "out"), tinyOptions)
		if !errors.As(err, &bad) || bad.File != tokenizerName || bad.Field != c.field {
			t.Errorf("%s: error %v", c.new, err)
		}
	}
}
