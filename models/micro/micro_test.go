package micro

import (
	"bufio"
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"gonum.org/v1/gonum/stat"

	"github.com/maida-ai/gomai/internal/testmodel"
	"github.com/maida-ai/gomai/models/safetensors"
	"github.com/maida-ai/gomai/models/static"
	"github.com/maida-ai/gomai/models/tokenizer"
	"github.com/maida-ai/gomai/types"
)

// embedder is the model as its two parts.
type embedder struct {
	tokenizer *tokenizer.Tokenizer
	table     *static.Table
	tokens    types.TokenizedText
}

func open(t testing.TB) *embedder {
	t.Helper()
	tok, err := tokenizer.OpenFS(FS, Dir)
	if err != nil {
		t.Fatal(err)
	}
	weights, err := safetensors.OpenFS(FS, path.Join(Dir, "model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	config, err := FS.ReadFile(path.Join(Dir, "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	table, err := static.Load(weights, config, tok)
	if err != nil {
		t.Fatal(err)
	}
	return &embedder{tokenizer: tok, table: table}
}

func (e *embedder) embed(text string, dst []float32) (known float32, err error) {
	if err := e.tokenizer.TokenizeInto(text, &e.tokens); err != nil {
		return 0, err
	}
	return e.table.EmbedIDsInto(e.tokens.IDs, dst)
}

func TestSize(t *testing.T) {
	total := int64(0)
	err := fs.WalkDir(FS, ".", func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			total += info.Size()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if total > 4_000_000 || total < 1_000_000 {
		t.Errorf("%d bytes, at most 4 MB may go into every binary", total)
	}
}

// TestReference compares ids with the reference tokenizers library and vectors with numpy.
func TestReference(t *testing.T) {
	data, err := os.ReadFile("testdata/want.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Text   string
		IDs    []int32
		Vector []float64
	}
	if err := json.Unmarshal(data, &cases); err != nil {
		t.Fatal(err)
	}
	e := open(t)
	got := make([]float32, e.table.Dim())
	for _, c := range cases {
		if _, err := e.embed(c.Text, got); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(e.tokens.IDs, c.IDs) {
			t.Errorf("%.40q: ids %v, want %v", c.Text, e.tokens.IDs, c.IDs)
			continue
		}
		for j, want := range c.Vector {
			if !(math.Abs(float64(got[j])-want) < 1e-6) {
				t.Errorf("%.40q: component %d is %g, want %g", c.Text, j, got[j], want)
				break
			}
		}
	}
}

// TestSTSB is the quality gate: Spearman's rank correlation with human judgement on the development
// part of the STS Benchmark. all-MiniLM-L6-v2 itself has 0.867.
func TestSTSB(t *testing.T) {
	const least = 0.81
	f, err := os.Open("testdata/stsb-en-dev.tsv")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	e := open(t)
	a, b := make([]float32, e.table.Dim()), make([]float32, e.table.Dim())
	var human, ours []float64
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		column := strings.Split(lines.Text(), "\t")
		score, err := strconv.ParseFloat(column[0], 64)
		if err != nil || len(column) != 3 {
			t.Fatalf("line %d: %d columns, %v", len(human)+1, len(column), err)
		}
		for i, dst := range [][]float32{a, b} {
			if _, err := e.embed(column[1+i], dst); err != nil {
				t.Fatal(err)
			}
		}
		dot := 0.0
		for j := range a {
			dot += float64(a[j]) * float64(b[j])
		}
		human, ours = append(human, score), append(ours, dot)
	}
	if lines.Err() != nil || len(human) != 1500 {
		t.Fatalf("%d pairs, %v", len(human), lines.Err())
	}
	got := stat.Correlation(ranks(human), ranks(ours), nil)
	t.Logf("Spearman %.4f", got)
	if !(got >= least) {
		t.Errorf("Spearman %.4f, at least %.2f is needed", got, least)
	}
}

// ranks gives each value its place in the order; equal values share the mean of theirs.
func ranks(x []float64) []float64 {
	order := make([]int, len(x))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int { return cmp.Compare(x[i], x[j]) })
	rank := make([]float64, len(x))
	for from := 0; from < len(order); {
		to := from
		for to < len(order) && x[order[to]] == x[order[from]] {
			to++
		}
		for _, i := range order[from:to] {
			rank[i] = float64(from+to-1) / 2
		}
		from = to
	}
	return rank
}

func TestRanks(t *testing.T) {
	if got := ranks([]float64{3, 1, 3, 2, 5}); !slices.Equal(got, []float64{2.5, 0, 2.5, 1, 4}) {
		t.Errorf("ranks %v", got)
	}
}

// TestKnown: the model knows Latin script; of other text it says so and gives the zero vector.
func TestKnown(t *testing.T) {
	e := open(t)
	got := make([]float32, e.table.Dim())
	for _, c := range []struct {
		text  string
		known float32
		zero  bool
	}{
		{"", 1, true},
		{"hello world", 1, false},
		{"Déjà vu, Müller!", 1, false},
		{"привет", 0, true},
		{"привет мир", 0, true},
		{"你好。", 0, true},
		{"مرحبا", 0, true},
		{"hello мир", 0.5, false},
		{"привет мир hello мир", 0.25, false},
	} {
		known, err := e.embed(c.text, got)
		if err != nil {
			t.Fatal(err)
		}
		norm := 0.0
		for _, v := range got {
			norm += float64(v) * float64(v)
		}
		if known != c.known || known != e.tokens.Known {
			t.Errorf("%q: known %v, the tokeniser says %v, want %v", c.text, known, e.tokens.Known, c.known)
		}
		if c.zero && norm != 0 || !c.zero && math.Abs(norm-1) > 1e-5 {
			t.Errorf("%q: the squared length is %v", c.text, norm)
		}
	}
}

// TestProvenance: the record is complete, and the weights that it names are those of the model in
// the cache.
func TestProvenance(t *testing.T) {
	data, err := FS.ReadFile(path.Join(Dir, "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	var c struct {
		Distilled struct {
			From      string `json:"from"`
			License   string `json:"license"`
			Weights   string `json:"weights_sha256"`
			Tokenizer string `json:"tokenizer_sha256"`
			Command   string `json:"command"`
		} `json:"distilled"`
	}
	if err := json.Unmarshal(data, &c); err != nil {
		t.Fatal(err)
	}
	card, err := FS.ReadFile(path.Join(Dir, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	d := c.Distilled
	if d.From != "all-MiniLM-L6-v2" || d.License != "apache-2.0" || !strings.HasPrefix(d.Command, "mai distill all-MiniLM-L6-v2 ") {
		t.Errorf("the record says %+v", d)
	}
	for _, fact := range []string{d.From, d.License, d.Weights, d.Tokenizer, d.Command} {
		if fact == "" || !strings.Contains(string(card), fact) {
			t.Errorf("the README does not have %q", fact)
		}
	}
	if _, err := os.Stat("NOTICE"); err != nil {
		t.Error(err)
	}
	source := testmodel.MiniLM(t)
	for file, want := range map[string]string{"model.safetensors": d.Weights, "tokenizer.json": d.Tokenizer} {
		if got := sum(t, filepath.Join(source, file)); got != want {
			t.Errorf("%s of the source has the SHA-256 %s, the record %s", file, got, want)
		}
	}
}

func sum(t *testing.T, name string) string {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", h.Sum(nil))
}

const nineTokens = "The weather in Lisbon is lovely this morning."

func TestAllocations(t *testing.T) {
	e := open(t)
	dst := make([]float32, e.table.Dim())
	n := testing.AllocsPerRun(100, func() {
		if _, err := e.embed(nineTokens, dst); err != nil {
			t.Fatal(err)
		}
	})
	if n != 0 {
		t.Errorf("%v allocations from text to vector", n)
	}
}

// BenchmarkEmbed goes from a text of nine tokens to its vector.
func BenchmarkEmbed(b *testing.B) {
	e := open(b)
	dst := make([]float32, e.table.Dim())
	for b.Loop() {
		if _, err := e.embed(nineTokens, dst); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(e.tokens.IDs)), "tokens")
}

// BenchmarkOpen is what a program pays once.
func BenchmarkOpen(b *testing.B) {
	for b.Loop() {
		open(b)
	}
}
