package main

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Of scipy 1.17: spearmanr([1,2,2,4,5,0], [5,6,6.5,7,7,9]).
func TestSpearman(t *testing.T) {
	for _, c := range []struct {
		a, b []float64
		want float64
	}{
		{[]float64{1, 2, 2, 4, 5, 0}, []float64{5, 6, 6.5, 7, 7, 9}, scipySpearman},
		{[]float64{1, 2, 3}, []float64{10, 20, 1000}, 1},
		{[]float64{1, 2, 3}, []float64{3, 2, 1}, -1},
		{[]float64{1, 2, 3}, []float64{7, 7, 7}, 0},
	} {
		if got := spearman(c.a, c.b); math.Abs(got-c.want) > 1e-12 {
			t.Errorf("%v and %v: %v, want %v", c.a, c.b, got, c.want)
		}
	}
}

const (
	scipySpearman = 0.08823529411764706
	sklearnNDCG   = 0.9218778040363993
)

// The documents of query 0 come in the order of their numbers. Gains and result are those of sklearn 1.8:
// ndcg_score([[3,0,2,1,0,1]], [[.9,.8,.7,.6,.5,.4]], k=10).
func TestNDCG(t *testing.T) {
	documents := make([]entry, 6)
	vectors := make([]float32, 0, 12)
	for i := range documents {
		documents[i] = entry{fmt.Sprint("d", i), "text"}
		angle := float64(i) / 10
		vectors = append(vectors, float32(math.Cos(angle)), float32(math.Sin(angle)))
	}
	gains := []judgement{{"q", "d0", 3, false}, {"q", "d2", 2, false}, {"q", "d3", 1, false}, {"q", "d5", 1, false}, {"q", "d1", 0, false}, {"", "", 0, true}}
	score := func(queries []entry, list []judgement) float64 {
		t.Helper()
		r, err := newRetrieval("f", "qrels", documents, queries, list)
		if err != nil {
			t.Fatal(err)
		}
		got, err := r.score(t.Context(), append([]float32{1, 0}, 1, 0)[:2*len(r.queries)], vectors, 2)
		if err != nil {
			t.Fatal(err)
		}
		if got.Documents != 6 || got.Queries != len(r.queries) {
			t.Errorf("%+v", got)
		}
		return got.NDCG
	}
	q := []entry{{"q", "a"}}
	if got := score(q, gains); math.Abs(got-sklearnNDCG) > 1e-9 {
		t.Errorf("%v, want %v", got, sklearnNDCG)
	}
	if got := score(append(q, entry{"unjudged", "b"}), gains); math.Abs(got-sklearnNDCG) > 1e-9 {
		t.Errorf("%v beside a query that is not judged, want %v", got, sklearnNDCG)
	}
	// A document that is missing from the corpus could have been found, so the ideal has it.
	if got, want := score(q, []judgement{{"q", "d0", 1, false}, {"q", "gone", 1, false}}), 1/(1+1/math.Log2(3)); math.Abs(got-want) > 1e-9 {
		t.Errorf("with a missing document %v, want %v", got, want)
	}
	// A query that is itself a document does not find itself.
	if got := score([]entry{{"d0", "a"}}, []judgement{{"d0", "d1", 1, false}}); got != 1 {
		t.Errorf("a query among the documents: %v, want 1", got)
	}
}

// beir writes a search whose words tell the answers.
func beir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "qrels"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		"corpus.jsonl": `{"_id": "c1", "title": "Cats", "text": "A cat sat on the mat."}
{"_id": "c2", "title": "", "text": "Stocks fell sharply on Wall Street.", "metadata": {}}
{"_id": "c3", "text": "The recipe needs flour, eggs and milk."}
`,
		"queries.jsonl":  `{"_id": "q1", "text": "feline on a rug"}` + "\n" + `{"_id": "q2", "text": "falling share prices"}` + "\n",
		"qrels/test.tsv": "query-id\tcorpus-id\tscore\nq1\tc1\t1\nq2\tc2\t2\nq2\tc3\t0\n",
		"qrels/odd.tsv":  "q1\tc3\t1\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

const pairLines = "5\ta cat sat on the mat\tthe cat is sitting on the mat\n2.5\ta dog barks\ta cat sleeps\n0\ta cat sat on the mat\tstocks fell again\n"

func TestEval(t *testing.T) {
	sts, dir := write(t, "sts.tsv", pairLines), beir(t)
	r := run(t, "", "eval", "--sts", sts, "--retrieval", dir, "--json")
	r.expect(t, 0)
	r.silent(t)
	got := records[evalRecord](t, r)
	if len(got) != 1 || got[0].Model != "builtin" || len(got[0].Results) != 1 {
		t.Fatalf("%+v", got)
	}
	result := got[0].Results[0]
	if result.Precision != "int4" || *result.STS != (stsResult{1, 3}) || *result.Retrieval != (retrievalResult{1, 2, 3}) || result.Cosine != nil {
		t.Errorf("%+v, %+v, %+v", result, result.STS, result.Retrieval)
	}

	// A model that is measured twice is like itself.
	r = run(t, pairLines, "eval", "--model", tiny, "--sts", "-", "--precision", "f32", "--precision", "auto", "--json")
	r.expect(t, 0)
	results := records[evalRecord](t, r)[0].Results
	if len(results) != 2 || results[0].Cosine != nil || results[1].Cosine == nil || results[1].Cosine.Mean < 0.98 || results[1].Cosine.Min > results[1].Cosine.Mean+1e-9 {
		t.Errorf("%+v, %+v", results, results[len(results)-1].Cosine)
	}

	r = run(t, "", "eval", "--retrieval", dir, "--qrels", filepath.Join(dir, "qrels", "odd.tsv"))
	r.expect(t, 0)
	if lines := strings.Split(r.stdout, "\n"); len(lines) != 4 || strings.Join(strings.Fields(lines[0]), " ") != "precision nDCG@10" || !strings.HasPrefix(lines[2], "queries: 1, documents: 3") {
		t.Errorf("the table is\n%s", r.stdout)
	}
	if strings.Contains(r.stdout, "1.0000") {
		t.Errorf("a wrong answer is as good as a right one:\n%s", r.stdout)
	}
	r = run(t, "", "eval", "--model", tiny, "--sts", sts, "--precision", "f32", "--precision", "f32")
	r.expect(t, 0)
	if lines := strings.Split(r.stdout, "\n"); len(lines) != 5 || !strings.Contains(lines[0], "cosine to f32: min") || !strings.HasSuffix(strings.Join(strings.Fields(lines[2]), " "), "1.00000 1.00000") {
		t.Errorf("the table is\n%s", r.stdout)
	}
}

// Queries and documents get the prompts of a model that has them.
func TestEvalUsesPrompts(t *testing.T) {
	plain := damage(t, "config_sentence_transformers.json", func(string) []byte { return nil })
	dir := beir(t)
	prompted := t.TempDir()
	if err := os.CopyFS(prompted, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	for name, edit := range map[string][2]string{
		"corpus.jsonl":  {`"text": "`, `"text": "passage: `},
		"queries.jsonl": {`"text": "`, `"text": "query: `},
	} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		text := strings.ReplaceAll(strings.ReplaceAll(string(data), `"title": "Cats", "text": "A`, `"text": "Cats A`), edit[0], edit[1])
		if err := os.WriteFile(filepath.Join(prompted, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	a := run(t, "", "eval", "--model", tiny, "--retrieval", dir, "--json")
	b := run(t, "", "eval", "--model", plain, "--retrieval", prompted, "--json")
	a.expect(t, 0)
	b.expect(t, 0)
	if x, y := *records[evalRecord](t, a)[0].Results[0].Retrieval, *records[evalRecord](t, b)[0].Results[0].Retrieval; x != y {
		t.Errorf("with the model's prompts %+v, with prompts in the texts %+v", x, y)
	}
}

func TestEvalErrors(t *testing.T) {
	sts, dir := write(t, "sts.tsv", pairLines), beir(t)
	bad := func(name, content string) string {
		t.Helper()
		d := beir(t)
		if err := os.WriteFile(filepath.Join(d, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		return d
	}
	for _, c := range []struct {
		code int
		word string
		args []string
	}{
		{exitUsage, "nothing to measure by", nil},
		{exitUsage, "--qrels tells what is right", []string{"--sts", sts, "--qrels", sts}},
		{exitUsage, "--precision f64", []string{"--sts", sts, "--precision", "f64"}},
		{exitUsage, "bf16 is not offered", []string{"--sts", sts, "--precision", "bf16"}},
		{exitInput, "line 2: 1 tabs", []string{"--sts", write(t, "a.tsv", pairLines[:strings.Index(pairLines, "\n")+1]+"a\tb\n")}},
		{exitInput, `the score is "high"`, []string{"--sts", write(t, "a.tsv", "high\ta\tb\n")}},
		{exitInput, `the score is "NaN"`, []string{"--sts", write(t, "a.tsv", "NaN\ta\tb\n")}},
		{exitInput, "fewer than two different scores", []string{"--sts", write(t, "a.tsv", "1\ta\tb\n1\tc\td\n")}},
		{exitInput, "fewer than two different scores", []string{"--sts", write(t, "a.tsv", "")}},
		{exitInput, `"b": missing`, []string{"--sts", write(t, "a.jsonl", `{"score":1,"a":"x"}`)}},
		{exitInput, "no/such", []string{"--retrieval", "no/such"}},
		{exitInput, `corpus.jsonl: line 1: "_id": missing`, []string{"--retrieval", bad("corpus.jsonl", `{"text":"x"}`)}},
		{exitInput, `"c1" comes twice`, []string{"--retrieval", bad("corpus.jsonl", `{"_id":"c1","text":"x"}`+"\n"+`{"_id":"c1","text":"y"}`)}},
		{exitInput, `queries.jsonl: the _id "q1" comes twice`, []string{"--retrieval", bad("queries.jsonl", `{"_id":"q1","text":"x"}`+"\n"+`{"_id":"q1","text":"y"}`)}},
		{exitInput, "no documents", []string{"--retrieval", bad("corpus.jsonl", "")}},
		{exitInput, "no query of queries.jsonl", []string{"--retrieval", bad("qrels/test.tsv", "q9\tc1\t1\n")}},
		{exitInput, "test.tsv: line 1: 3 tabs", []string{"--retrieval", bad("qrels/test.tsv", "q1\t0\tc1\t1\n")}},
		{exitInput, "odd.tsv: line 1: the score", []string{"--retrieval", dir, "--qrels", write(t, "odd.tsv", "q1\tc1\tx\n")}},
	} {
		run(t, "", append([]string{"eval"}, c.args...)...).expect(t, c.code, c.word)
	}
}
