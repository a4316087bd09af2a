package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/maida-ai/gomai/metrics"
	"github.com/maida-ai/gomai/models"
)

const searchDim = 32 // of the tiny model

// searchRows are vectors for the tiny model, some of them alike to what it makes.
func searchRows(t *testing.T, n int) []float32 {
	t.Helper()
	r := rand.New(rand.NewPCG(1, 2))
	e := records[embedRecord](t, run(t, "", "embed", "--model", tiny, "hello world", "the cat", "a dog"))
	if len(e) != 3 {
		t.Fatal("embed failed")
	}
	rows := make([]float32, 0, n*searchDim)
	for i := range n {
		for _, x := range e[i%3].Embedding {
			rows = append(rows, x+float32(r.NormFloat64()*0.1))
		}
	}
	return rows
}

// embedQueries returns what the tiny model makes of queries, for which it has a prompt.
func embedQueries(t *testing.T, queries ...string) [][]float32 {
	t.Helper()
	m, err := models.Open(tiny)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	var all [][]float32
	for _, q := range queries {
		e, err := m.Embed(t.Context(), q, models.AsQuery)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, e.F32)
	}
	return all
}

// npy is a file of float32 rows as NumPy writes it.
func npy(rows []float32, dim int) string {
	header := fmt.Sprintf("{'descr': '<f4', 'fortran_order': False, 'shape': (%d, %d), }", len(rows)/dim, dim)
	return npyWith(header, floatBytes(rows))
}

func npyWith(header, data string) string {
	header += strings.Repeat(" ", 63-(10+len(header))%64) + "\n"
	return npyMagic + "\x01\x00" + string(binary.LittleEndian.AppendUint16(nil, uint16(len(header)))) + header + data
}

func floatBytes(rows []float32) string {
	var b []byte
	for _, x := range rows {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
	}
	return string(b)
}

// jsonLines are rows as embed writes them.
func jsonLines(t *testing.T, rows []float32) string {
	t.Helper()
	var b strings.Builder
	for i := 0; i < len(rows)/searchDim; i++ {
		line, err := json.Marshal(embedRecord{Index: i, Text: fmt.Sprintf("text\t%d", i), Embedding: rows[i*searchDim:][:searchDim]})
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "%s\n", line)
	}
	return b.String()
}

// wantHits is what a plain loop finds.
func wantHits(metric string, q, rows []float32, k int) []hitRecord {
	m, _ := metrics.ByName(metric)
	var all []hitRecord
	for i := 0; i < len(rows)/searchDim; i++ {
		s := float32(m(q, rows[i*searchDim:][:searchDim]))
		all = append(all, hitRecord{Row: i, Score: &s})
	}
	slices.SortStableFunc(all, func(a, b hitRecord) int {
		x, y := *a.Score, *b.Score
		if metric == "euclidean" {
			x, y = y, x
		}
		return int(math.Copysign(1, float64(y-x)))
	})
	all = all[:min(k, len(all))]
	for i := range all {
		all[i].Rank = i + 1
	}
	return all
}

// All doors find what a plain loop finds.
func TestSearch(t *testing.T) {
	const n = 500
	rows := searchRows(t, n)
	lines, array := jsonLines(t, rows), npy(rows, searchDim)
	queries := []string{"hello", "the cat sat", "", "dogs"}
	e := embedQueries(t, queries...)
	for _, metric := range metrics.Names() {
		for _, c := range []struct {
			name, stdin string
			args        []string
			texts       bool
		}{
			{"npy", "", append([]string{write(t, "v.npy", array)}, queries...), false},
			{"JSON lines", "", append([]string{write(t, "v.jsonl", lines)}, queries...), true},
			{"stdin", lines, append([]string{"-"}, queries...), true},
			{"queries in a file", "", []string{write(t, "v.npy", array), "--queries", write(t, "q.txt", strings.Join(queries, "\n")+"\n")}, false},
			{"queries from stdin", `{"text": "hello"}` + "\n" + `{"text": "the cat sat"}` + "\n" + `{"text": ""}` + "\n" + `{"text": "dogs"}`,
				[]string{write(t, "v.npy", array), "--queries", "-", "--jsonl"}, false},
		} {
			r := run(t, c.stdin, append([]string{"search", "--json", "-k", "7", "--metric", metric, "--model", tiny}, c.args...)...)
			r.expect(t, 0)
			r.silent(t)
			got := records[searchRecord](t, r)
			if len(got) != len(queries) {
				t.Fatalf("%s: %d records", c.name, len(got))
			}
			for i, g := range got {
				want := wantHits(metric, e[i], rows, 7)
				if g.Index != i || g.Query != queries[i] || g.Recall != nil || len(g.Hits) != len(want) {
					t.Fatalf("%s, %s: record %d is %+v", metric, c.name, i, g)
				}
				for j, h := range g.Hits {
					w := want[j]
					if h.Rank != w.Rank || h.Row != w.Row || math.Abs(float64(*h.Score-*w.Score)) > 1e-5 {
						t.Errorf("%s, %s, query %d: hit %d is %+v with %v, want row %d with %v", metric, c.name, i, j, h, *h.Score, w.Row, *w.Score)
					}
					if text := fmt.Sprintf("text\t%d", h.Row); c.texts && (h.Text == nil || *h.Text != text) || !c.texts && h.Text != nil {
						t.Errorf("%s: the text of row %d is %v", c.name, h.Row, h.Text)
					}
				}
			}
		}
	}
}

func TestSearchTable(t *testing.T) {
	rows := searchRows(t, 20)
	file := write(t, "v.jsonl", jsonLines(t, rows))
	e := embedQueries(t, "hello", "cat")
	table := func(q []float32) string {
		s := "rank       score       row  text\n"
		for _, h := range wantHits("dot", q, rows, 3) {
			s += fmt.Sprintf("%4d  %10.6f  %8d  text %d\n", h.Rank, *h.Score, h.Row, h.Row)
		}
		return s
	}
	r := run(t, "", "search", "--model", tiny, "--metric", "dot", "-k", "3", file, "hello")
	r.expect(t, 0)
	r.silent(t)
	if want := table(e[0]); r.stdout != want {
		t.Errorf("got\n%swant\n%s", r.stdout, want)
	}
	r = run(t, "", "search", "--model", tiny, "--metric", "dot", "-k", "3", file, "hello", "cat")
	r.expect(t, 0)
	if want := "hello\n" + table(e[0]) + "\ncat\n" + table(e[1]); r.stdout != want {
		t.Errorf("got\n%swant\n%s", r.stdout, want)
	}
}

// A text from a file does nothing to the terminal that shows it. JSON has it as it is.
func TestSearchTableControls(t *testing.T) {
	const text = "a\x1b[31mb\u202ec\u0085d\x7f\u2066e\r\n\tf\u00e9"
	line, err := json.Marshal(embedRecord{Text: text, Embedding: make([]float32, searchDim)})
	if err != nil {
		t.Fatal(err)
	}
	file := write(t, "v.jsonl", string(line))
	r := run(t, "", "search", "--model", tiny, file, "x\x1b]0;y\a", "z")
	r.expect(t, 0)
	for _, want := range []string{`  a\x1b[31mb\u202ec\u0085d\x7f\u2066e   f` + "\u00e9\n", `x\x1b]0;y\a` + "\n"} {
		if !strings.Contains(r.stdout, want) {
			t.Errorf("the table lacks %q: %q", want, r.stdout)
		}
	}
	r = run(t, "", "search", "--json", "--model", tiny, file, "z")
	r.expect(t, 0)
	if got := records[searchRecord](t, r); len(got) != 1 || *got[0].Hits[0].Text != text {
		t.Errorf("JSON has %+v", got)
	}
}

// The model in the binary has a vector of zeros for what it does not know.
func TestSearchZeroQuery(t *testing.T) {
	file := write(t, "v.jsonl", run(t, "", "embed", "hello world", "the cat").stdout)
	for _, c := range []struct {
		queries []string
		words   []string
	}{
		{[]string{""}, []string{"the vector of text 0 is zero", "order means nothing"}},
		{[]string{"cat", "\u2603\u2603"}, []string{"the vector of text 1 is zero", "order means nothing"}},
		{[]string{"", "cat", ""}, []string{"the vector of text 0 is zero", "2 of 3 texts are zero"}},
	} {
		run(t, "", append([]string{"search", file}, c.queries...)...).expect(t, 0, c.words...)
	}
	r := run(t, "", "search", file, "cat", "dog")
	r.expect(t, 0)
	r.silent(t)
}

// The commands of the README run as they stand.
func TestReadmeSearch(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("they are for a POSIX shell")
	}
	page, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, block, _ := strings.Cut(string(page), "\n## Search\n")
	_, block, _ = strings.Cut(block, "```sh\n")
	block, _, ok := strings.Cut(block, "```\n")
	commands := strings.ReplaceAll(block, "go run ./cmd/mai", mai)
	if !ok || commands == block {
		t.Fatal("README.md has no commands under Search")
	}
	shell := exec.CommandContext(t.Context(), "sh", "-e", "-c", commands)
	shell.Dir = t.TempDir()
	var stdout bytes.Buffer
	shell.Stdout = &stdout
	r := finish(t, shell, &stdout)
	r.expect(t, 0)
	if n := strings.Count(r.stdout, "a quick automobile\n"); n != 2 {
		t.Errorf("the nearest text was found %d times, want 2:\n%s", n, r.stdout)
	}
}

// Quantised rows come with their recall, which --rerank of all rows makes perfect.
func TestSearchQuantized(t *testing.T) {
	const n, k = 300, 10
	rows := searchRows(t, n)
	file := write(t, "v.npy", npy(rows, searchDim))
	exact := records[searchRecord](t, run(t, "", "search", "--json", "--model", tiny, file, "hello", "cat"))
	for _, c := range []struct {
		args    []string
		perfect bool
	}{
		{[]string{"--quantize", "i8"}, false},
		{[]string{"--quantize", "binary"}, false},
		{[]string{"--quantize", "binary", "--rerank", "40"}, false},
		{[]string{"--quantize", "binary", "--rerank", "1000"}, true},
		{[]string{"--quantize", "i8", "--rerank", "300"}, true},
	} {
		r := run(t, "", append([]string{"search", "--json", "--model", tiny, file, "hello", "cat"}, c.args...)...)
		r.expect(t, 0, "recall@10 against float32", "(queries: 2)")
		got := records[searchRecord](t, r)
		if len(got) != 2 {
			t.Fatalf("%v: %d records", c.args, len(got))
		}
		total := 0.0
		for i, g := range got {
			same := 0
			for _, h := range g.Hits {
				if slices.ContainsFunc(exact[i].Hits, func(w hitRecord) bool { return w.Row == h.Row }) {
					same++
				}
			}
			if len(g.Hits) != k || g.Recall == nil || *g.Recall != float64(same)/k || c.perfect && same != k {
				t.Errorf("%v: %d hits, %d of them right, recall %v", c.args, len(g.Hits), same, g.Recall)
			}
			if c.perfect {
				for j, h := range g.Hits {
					if w := exact[i].Hits[j]; h.Row != w.Row || *h.Score != *w.Score {
						t.Errorf("%v: hit %d is %+v, want %+v", c.args, j, h, w)
					}
				}
			}
			total += *g.Recall / 2
		}
		if !strings.Contains(r.stderr, fmt.Sprintf(": %.4f (", total)) {
			t.Errorf("%v: recall %v, told as %s", c.args, total, r.stderr)
		}
	}
}

// Halves, rows with NaN, and fewer rows than are wanted.
func TestSearchOddVectors(t *testing.T) {
	half := func(values ...uint16) string {
		var b []byte
		for range searchDim / len(values) {
			for _, v := range values {
				b = binary.LittleEndian.AppendUint16(b, v)
			}
		}
		return string(b)
	}
	// 1, -2; 2^-24, the largest; infinity, NaN.
	data := half(0x3c00, 0xc000) + half(0x0001, 0x7bff) + half(0x7c00, 0x7e00)
	file := write(t, "v.npy", npyWith("{'descr': '<f2', 'fortran_order': False, 'shape': (3, 32), }", data))
	q := embedQueries(t, "hello")[0]
	rows := make([]float32, 0, 64)
	for range 16 {
		rows = append(rows, 1, -2)
	}
	for range 16 {
		rows = append(rows, 0x1p-24, 65504)
	}
	want := wantHits("dot", q, rows, 2)
	r := run(t, "", "search", "--json", "--metric", "dot", "--model", tiny, file, "hello")
	r.expect(t, 0)
	got := records[searchRecord](t, r)[0].Hits
	if len(got) != 3 || got[2].Row != 2 || got[2].Score != nil {
		t.Fatalf("got %+v", got)
	}
	for i, w := range want {
		if g := got[i]; g.Row != w.Row || math.Abs(float64(*g.Score-*w.Score)) > 1e-5*math.Abs(float64(*w.Score)) {
			t.Errorf("hit %d is row %d with %v, want row %d with %v", i, g.Row, *g.Score, w.Row, *w.Score)
		}
	}
	r = run(t, "", "search", "--model", tiny, file, "hello")
	r.expect(t, 0)
	if !strings.HasSuffix(r.stdout, "\n   3        none         2\n") {
		t.Errorf("the row with a NaN: %s", r.stdout)
	}

	const header = "{'shape': (1L, 32L), 'fortran_order': False,'descr': '<f4'}\n"
	version2 := npyMagic + "\x02\x00" + string(binary.LittleEndian.AppendUint32(nil, uint32(len(header)))) + header + floatBytes(rows[:32])
	r = run(t, "", "search", "--json", "--model", tiny, write(t, "v.npy", version2), "hello")
	r.expect(t, 0)
	if got := records[searchRecord](t, r); len(got) != 1 || len(got[0].Hits) != 1 {
		t.Errorf("version 2 of the format: %+v", got)
	}
}

func TestBadVectors(t *testing.T) {
	rows := searchRows(t, 4)
	lines, good := jsonLines(t, rows), npy(rows, searchDim)
	dict := func(descr, order, shape string) string {
		return npyWith(fmt.Sprintf("{'descr': %s, 'fortran_order': %s, 'shape': %s, }", descr, order, shape), floatBytes(rows))
	}
	for _, c := range []struct {
		name, content string
		words         []string
	}{
		{"empty", "", []string{"no vectors"}},
		{"text", "hello\n", []string{"line 1: offset 0", "mai embed --file"}},
		{"text of another encoding", "\xe9t\xe9\n", []string{"line 1: offset 0", "not UTF-8", "mai embed --file"}},
		{"an array", "[1, 2]\n", []string{"line 1: offset 1", "a JSON array where an object is expected", "mai embed --file"}},
		{"npz", "PK\x03\x04\x2d\x00\xff\n", []string{"line 1", ".npz", "numpy.save"}},
		{"npy without rows", npy(nil, searchDim), []string{"no vectors"}},
		{"npy without rows, of another dimension", npy(nil, 7), []string{"no vectors"}},
		{"other JSON", `{"text": "a"}`, []string{`line 1: "embedding": missing`}},
		{"no components", `{"embedding": []}`, []string{`line 1: "embedding": empty`}},
		{"null", `{"embedding": null}`, []string{`line 1: "embedding": missing`}},
		{"a null", lines + `{"embedding": [1, 2, null]}`, []string{`line 5: "embedding": component 2 is null`}},
		{"a null first", `{"embedding":[null,1]}`, []string{`line 1: "embedding": component 0 is null`}},
		{"a null where a number was", `{"embedding": [1, 2], "embedding": [3, null]}`, []string{`line 1: "embedding": component 1 is null`}},
		{"a broken line", lines + "{\"embedding\": [1, 2", []string{"line 5: offset"}},
		{"a component that is text", `{"embedding": [1, "2"]}`, []string{"line 1: offset", "embedding"}},
		{"a component beyond float32", `{"embedding": [1e39]}`, []string{"line 1: offset", "embedding"}},
		{"a shorter vector", lines + `{"embedding": [1, 2]}`, []string{`line 5: "embedding": components: 2, in the lines before: 32`}},
		{"another dimension", `{"embedding": [1, 2]}`, []string{"2 components, but the model makes 32", "--model"}},
		{"npy of another dimension", npy(rows, 16), []string{"16 components, but the model makes 32", "--model"}},
		{"npy cut in the magic", good[:5], []string{"line 1"}},
		{"npy cut in the version", good[:7], []string{"offset 7", "ends within its header"}},
		{"npy cut in the length", good[:9], []string{"offset 9", "ends within its header"}},
		{"npy cut in the header", good[:50], []string{"offset 50", "ends within its header"}},
		{"npy cut in the data", good[:200], []string{"offset 200", "shape", "512 bytes, but 72 follow"}},
		{"npy with more data", good + "x", []string{"offset 640", "shape", "513 follow"}},
		{"npy of the future", npyMagic + "\x09\x00" + good[8:], []string{"offset 6", "version 9.0"}},
		{"npy of doubles", dict("'<f8'", "False", "(4, 32)"), []string{"offset 20", "descr", "<f8", "float32"}},
		{"npy of big-endian floats", dict("'>f4'", "False", "(4, 32)"), []string{"descr", ">f4"}},
		{"npy of integers", dict("'|i1'", "False", "(4, 32)"), []string{"descr", "|i1"}},
		{"npy of records", dict("[('a', '<f4')]", "False", "(4, 32)"), []string{"descr"}},
		{"npy in Fortran order", dict("'<f4'", "True", "(4, 32)"), []string{"fortran_order", "ascontiguousarray"}},
		{"npy of one dimension", dict("'<f4'", "False", "(128,)"), []string{"shape", "1 dimensions"}},
		{"npy of three dimensions", dict("'<f4'", "False", "(2, 2, 32)"), []string{"shape", "3 dimensions"}},
		{"npy without dimensions", dict("'<f4'", "False", "()"), []string{"shape", "0 dimensions"}},
		{"npy of negative size", dict("'<f4'", "False", "(-4, 32)"), []string{"shape", "(-4, 32)"}},
		{"npy of absurd size", dict("'<f4'", "False", "(549755813887, 32)"), []string{"shape", "follow"}},
		{"npy beyond absurd", dict("'<f4'", "False", "(99999999999999999999, 32)"), []string{"shape"}},
		{"npy without a shape", npyWith("{'descr': '<f4', 'fortran_order': False}", ""), []string{"shape", "missing"}},
		{"npy whose header is none", npyWith("[1, 2]", ""), []string{"offset 10", "no dictionary"}},
		{"npy whose header is half a dictionary", npyWith("{'descr'}", ""), []string{"offset 11", "no dictionary"}},
		{"npy with a huge header", npyMagic + "\x02\x00\xff\xff\xff\xff", []string{"offset 8", "a header of 4294967295 bytes"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := write(t, "v", c.content)
			r := run(t, "", "search", "--model", tiny, file, "hello")
			r.expect(t, exitInput, append(c.words, file)...)
			if r.stdout != "" || strings.Count(r.stderr, "\n") != 1 {
				t.Errorf("stdout %q, stderr %q", clip(r.stdout), r.stderr)
			}
		})
	}
	// The line of a vector counts blank lines too.
	blanks := "\n" + lines + "\n\n"
	run(t, blanks+`{"embedding": [1]}`, "search", "--model", tiny, "-", "hello").expect(t, exitInput, `stdin: line 8: "embedding": components: 1`)
	run(t, good, "search", "--model", tiny, "-", "hello").expect(t, exitInput, "stdin: line 1: a .npy file", "give its name")
	// Only the word null in a number's place is bad.
	null := strings.ReplaceAll(lines, `"text\t0"`, `"null"`)
	if r := run(t, null, "search", "--model", tiny, "-", "hello"); null == lines || r.code != 0 {
		t.Errorf("a text null: exit code %d, %s", r.code, r.stderr)
	}
	run(t, "", "search", "--model", tiny, "no/such/file", "hello").expect(t, exitInput, "no/such/file")
	run(t, "", "search", "--model", tiny, t.TempDir(), "hello").expect(t, exitInput, "directory")
	file := write(t, "v.npy", good)
	run(t, "", "search", "--model", "no/such/folder", file, "hello").expect(t, exitInput, "no/such/folder")
	run(t, "", "search", "--model", tiny, file, "--queries", "no/such/file").expect(t, exitInput, "no/such/file")
	run(t, "", "search", "--model", tiny, file, "--queries", write(t, "none.txt", "")).expect(t, 0, "none.txt holds no text")
}

func TestSearchUsage(t *testing.T) {
	file := write(t, "v.npy", npy(make([]float32, 64), searchDim))
	for _, c := range []struct {
		args []string
		word string
	}{
		{nil, "no VECTORS"},
		{[]string{file}, "--queries"},
		{[]string{file, "a", "--queries", "f"}, "--queries f"},
		{[]string{"-", "--queries", "-"}, "stdin"},
		{[]string{file, "a", "-k", "0"}, "-k 0"},
		{[]string{file, "a", "-k", "many"}, "many"},
		{[]string{file, "a", "--metric", "hamming"}, "cosine, dot, euclidean"},
		{[]string{file, "a", "--quantize", "f16"}, "i8 or binary"},
		{[]string{file, "a", "--quantize", ""}, "i8 or binary"},
		{[]string{file, "a", "--rerank", "100"}, "--quantize"},
		{[]string{file, "a", "--quantize", "i8", "--rerank", "9"}, "--rerank 9: must be at least the 10"},
		{[]string{file, "a", "--jsonl"}, "--queries"},
		{[]string{file, "a", "--model", ""}, "--model"},
	} {
		t.Run(strings.Join(c.args, " "), func(t *testing.T) {
			run(t, "", append([]string{"search"}, c.args...)...).expect(t, exitUsage, c.word, "--help'")
		})
	}
}

// FuzzNPY reads arbitrary bytes: an error names an offset, and what is read has the size that the
// header tells.
func FuzzNPY(f *testing.F) {
	rows := make([]float32, 64)
	f.Add([]byte(npy(rows, 32)))
	f.Add([]byte(npyWith("{'descr': '<f2', 'fortran_order': False, 'shape': (2, 32), }", floatBytes(rows[:32]))))
	f.Add([]byte(npy(rows, 32)[:90]))
	f.Add([]byte(npyWith("{'shape':(1,1),'descr':'<f4','fortran_order':False}", "1234")))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, size := range []int64{0, int64(len(b))} { // unknown and known
			v := &vectors{file: "fuzz"}
			err := v.readNPY(t.Context(), strings.NewReader(string(b)), size, &progress{})
			if err != nil && !strings.HasPrefix(err.Error(), "fuzz: offset ") {
				t.Errorf("%v", err)
			}
			if err == nil && (v.dim < 1 || len(v.rows)%v.dim != 0 || len(v.rows)*2 > len(b)) {
				t.Errorf("%d components of dimension %d out of %d bytes", len(v.rows), v.dim, len(b))
			}
		}
	})
}
