package models_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/maida-ai/gomai/internal/testmodel"
	"github.com/maida-ai/gomai/models"
)

// What int8 vectors are held to: the cosine to float32 of every text, of all on average, and how far the
// rank correlation with people's judgement may be from that of float32.
const (
	leastCosine     = 0.99
	leastMeanCosine = 0.9985
	mostSpearmanOff = 0.003
)

func lines(t testing.TB, file string) []string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
}

// trainSentences are 1,000 of STS-B.
func trainSentences(t testing.TB) []string {
	t.Helper()
	v := lines(t, "testdata/stsb/train.txt")
	if len(v) != 1000 {
		t.Fatalf("%d sentences, want 1000", len(v))
	}
	return v
}

// longTexts are of 500 tokens, about, made of sentences.
func longTexts(t testing.TB) []string {
	t.Helper()
	sentences := trainSentences(t)
	texts := make([]string, 20)
	for i := range texts {
		texts[i] = strings.Join(sentences[i*48:(i+1)*48], " ")
	}
	return texts
}

var oddTexts = []string{
	"", ".", "a", "hello", "?", "\t\n  \t", "!!!???...", "42",
	strings.Repeat("hello ", 400), strings.Repeat("the ", 100), strings.Repeat(". ", 250), strings.Repeat("word ", 505),
	strings.Repeat("a", 48), strings.Repeat("你好", 100), strings.Repeat("x1 ", 60),
	"def f(x):\n    return [i**2 for i in range(x) if i % 3 == 0]  # squares",
	"#include <stdio.h>\nint main(void){ printf(\"%d\\n\", 42); return 0; }",
	"func Max[T cmp.Ordered](a, b T) T { if a > b { return a }; return b }",
	`{"id": 17, "tags": ["a", "b", null], "nested": {"x": 1.5e-7, "ok": true}}`,
	"[[[[[[[[[[]]]]]]]]]]",
	"SELECT a.id, COUNT(*) FROM t a JOIN u b ON a.id=b.id WHERE b.x > 3 GROUP BY 1;",
	"https://example.com/a/b?q=1&r=%20x#frag https://example.org/",
	"<html><body><a href='x'>y</a></body></html>",
	"ERROR 2024-01-02T03:04:05Z [main] java.lang.NullPointerException at com.foo.Bar.baz(Bar.java:17)",
	"0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 3.14159 2.71828",
	"a,b,c\n1,2,3\n4,5,6",
	"你好，世界。今天天气很好，我们去公园散步吧。", "東京は日本の首都です。", "한국어 문장을 하나 써 봅니다.",
	"Привет, мир! Как дела?", "Θα πάμε αύριο.", "مرحبا بالعالم", "שלום עולם", "नमस्ते दुनिया",
	"🙂🙃😀 🚀🚀🚀", "the the the the cat", "MiXeD CaSe TeXt WITH SHOUTING", "zxqv kjhgf wpoiuy mnbvc",
	"a b c d e f g h i j k l m n o p q r s t u v w x y z", "[CLS] [SEP] [MASK] [PAD]",
}

// vectors embeds texts, many at a time.
func vectors(t testing.TB, m *models.Model, texts []string) [][]float32 {
	t.Helper()
	dst := make([]float32, len(texts)*m.Dim())
	if err := m.EmbedBatchInto(t.Context(), texts, dst, nil, models.MaxTokens(512)); err != nil {
		t.Fatal(err)
	}
	return slices.Collect(slices.Chunk(dst, m.Dim()))
}

// cosines compares what two models make of texts.
func cosines(t testing.TB, a, b *models.Model, texts []string) []float64 {
	t.Helper()
	var c []float64
	other := vectors(t, b, texts)
	for i, v := range vectors(t, a, texts) {
		c = append(c, cosine(v, other[i]))
	}
	return c
}

// checkQuality holds int8 vectors of all texts to the gate.
func checkQuality(t *testing.T, int8, float *models.Model) {
	t.Helper()
	var all []float64
	for _, set := range []struct {
		name  string
		texts []string
	}{{"sentences", trainSentences(t)}, {"long", longTexts(t)}, {"odd", oddTexts}} {
		c := cosines(t, int8, float, set.texts)
		worst := 0
		for i := range c {
			if c[i] < c[worst] {
				worst = i
			}
			if !(c[i] >= leastCosine) {
				t.Errorf("%.40q: cosine %.5f", set.texts[i], c[i])
			}
		}
		all = append(all, c...)
		sorted := slices.Sorted(slices.Values(c))
		t.Logf("%s: cosine min %.5f (%.30q), p1 %.5f, mean %.5f", set.name, sorted[0], set.texts[worst], sorted[len(c)/100], mean(c))
	}
	if !(mean(all) >= leastMeanCosine) {
		t.Errorf("mean cosine %.5f", mean(all))
	}
}

func mean(v []float64) float64 {
	sum := 0.0
	for _, x := range v {
		sum += x
	}
	return sum / float64(len(v))
}

func TestInt8Quality(t *testing.T) {
	testmodel.Slow(t)
	dir := testmodel.MiniLM(t)
	int8 := open(t, dir, models.Precision(models.Int8), models.Cache(""))
	float := open(t, dir, models.Precision(models.F32))
	d := int8.Describe()
	t.Logf("measured when packing: min %.5f, mean %.5f, in float32 %v", d.MinCosine, d.MeanCosine, d.FloatLayers)
	if d.Precision != "int8" || len(d.FloatLayers) > 0 {
		t.Errorf("%+v: not all layers are int8", d)
	}
	checkQuality(t, int8, float)
	t.Run("Spearman", func(t *testing.T) {
		a, b := stsSpearman(t, int8), stsSpearman(t, float)
		t.Logf("int8 %.4f, float32 %.4f", a, b)
		if !(a > b-mostSpearmanOff && a < b+mostSpearmanOff) {
			t.Errorf("%.4f is too far from %.4f", a, b)
		}
	})
}

// stsSpearman is the rank correlation of cosines with the scores of STS-B's development set.
func stsSpearman(t testing.TB, m *models.Model) float64 {
	t.Helper()
	var a, b []string
	var scores []float64
	for _, line := range lines(t, "micro/testdata/stsb-en-dev.tsv") {
		f := strings.Split(line, "\t")
		score, err := strconv.ParseFloat(f[0], 64)
		if err != nil || len(f) != 3 {
			t.Fatalf("%q", line)
		}
		scores, a, b = append(scores, score), append(a, f[1]), append(b, f[2])
	}
	var c []float64
	right := vectors(t, m, b)
	for i, v := range vectors(t, m, a) {
		c = append(c, cosine(v, right[i]))
	}
	x, y := ranks(scores), ranks(c)
	return cosine(x, y)
}

// ranks returns ranks about their mean, equal ones shared, of which the cosine is the correlation.
func ranks(v []float64) []float32 {
	order := make([]int, len(v))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int {
		switch {
		case v[i] < v[j]:
			return -1
		case v[i] > v[j]:
			return 1
		}
		return 0
	})
	r := make([]float32, len(v))
	for i := 0; i < len(order); {
		j := i
		for j < len(order) && v[order[j]] == v[order[i]] {
			j++
		}
		for k := i; k < j; k++ {
			r[order[k]] = float32(i+j-1)/2 - float32(len(v)-1)/2
		}
		i = j
	}
	return r
}

// What layers are calibrated with is none of what they are judged by.
func TestCalibrationTextsAreNotThoseOfTheGate(t *testing.T) {
	data, err := os.ReadFile("calibration.json")
	if err != nil {
		t.Fatal(err)
	}
	var carried []string
	if err := json.Unmarshal(data, &carried); err != nil {
		t.Fatal(err)
	}
	if len(carried) < 250 || len(data) > 60_000 {
		t.Errorf("%d texts in %d bytes", len(carried), len(data))
	}
	gate := map[string]bool{}
	for _, text := range slices.Concat(trainSentences(t), longTexts(t), oddTexts) {
		gate[text] = true
	}
	for _, line := range lines(t, "micro/testdata/stsb-en-dev.tsv") {
		for _, text := range strings.Split(line, "\t")[1:] {
			gate[text] = true
		}
	}
	for _, text := range carried {
		if gate[text] && len(text) > 1 { // the empty text and single signs are what they are
			t.Errorf("%q is in both", text)
		}
	}
}

// The first three layers alone are another model, which nothing was tuned to.
func TestInt8QualityOfThreeLayers(t *testing.T) {
	testmodel.Slow(t)
	dir := filepath.Join(t.TempDir(), "m")
	if err := os.CopyFS(dir, os.DirFS(testmodel.MiniLM(t))); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, "config.json")
	config, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	cut := strings.Replace(string(config), `"num_hidden_layers": 6`, `"num_hidden_layers": 3`, 1)
	if cut == string(config) {
		t.Fatal("config.json does not say 6 layers")
	}
	if err := os.WriteFile(name, []byte(cut), 0o644); err != nil {
		t.Fatal(err)
	}
	int8 := open(t, dir, models.Precision(models.Int8), models.Cache(""))
	if d := int8.Describe(); !strings.HasPrefix(d.Kind, "bert-3x384") || len(d.FloatLayers) > 0 {
		t.Errorf("%+v", d)
	}
	checkQuality(t, int8, open(t, dir, models.Precision(models.F32)))
}
