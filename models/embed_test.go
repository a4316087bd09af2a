package models_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/maida-ai/gomai/models"
	"github.com/maida-ai/gomai/models/safetensors"
	"github.com/maida-ai/gomai/types"
)

const tinyBERT = "testdata/tiny-bert" // takes 32 tokens, has positions for 48

func embed(t testing.TB, m *models.Model, text string, opts ...models.Option) ([]float32, types.Info) {
	t.Helper()
	dst := make([]float32, m.Dim())
	info, err := m.EmbedInto(t.Context(), text, dst, opts...)
	if err != nil {
		t.Fatalf("%.40q: %v", text, err)
	}
	return dst, info
}

func tokenize(t testing.TB, m *models.Model, text string) types.TokenizedText {
	t.Helper()
	tokens, err := m.Tokenizer().Tokenize(text)
	if err != nil {
		t.Fatal(err)
	}
	return tokens
}

func TestLongTexts(t *testing.T) {
	m := open(t, tinyBERT)
	long := strings.Repeat("cat ", 100)
	ids := tokenize(t, m, long).IDs
	sep := ids[len(ids)-1]
	for _, c := range []struct {
		opts []models.Option
		want int
	}{
		{nil, 32},
		{[]models.Option{models.MaxTokens(2)}, 2},
		{[]models.Option{models.MaxTokens(3)}, 3},
		{[]models.Option{models.MaxTokens(48)}, 48},
		{[]models.Option{models.MaxTokens(48), models.MaxTokens(20)}, 20},
	} {
		got, info := embed(t, m, long, c.opts...)
		if info.Tokens != c.want || !info.Truncated || info.Known != 1 {
			t.Errorf("%d tokens: %+v", c.want, info)
		}
		want := make([]float32, m.Dim())
		if err := m.EmbedIDsInto(t.Context(), append(slices.Clone(ids[:c.want-1]), sep), want); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%d tokens: not the vector of the first tokens and [SEP]", c.want)
		}
	}
	exact := strings.Repeat("cat ", 30)
	if _, info := embed(t, m, exact, models.Overflow(models.Refuse)); info.Tokens != 32 || info.Truncated {
		t.Errorf("a text that just fits: %+v", info)
	}
	dst := make([]float32, m.Dim())
	dst[0] = 7
	info, err := m.EmbedInto(t.Context(), exact+"cat", dst, models.Overflow(models.Refuse))
	var length *models.LengthError
	if !errors.As(err, &length) || *length != (models.LengthError{Tokens: 33, Max: 32}) || dst[0] != 7 || info.Truncated {
		t.Errorf("one token too many, refused: %+v, %v, dst[0] %v", info, err, dst[0])
	}
	if s := m.Stats(); s != (models.Stats{Truncated: 5, Refused: 1}) {
		t.Errorf("counted %+v, want 5 texts cut short and 1 refused", s)
	}
	huge := strings.Repeat("hello world ", 1e6)
	if got, info := embed(t, m, huge); info.Tokens != 32 || !info.Truncated || !slices.Equal(got, first(embed(t, m, huge[:600]))) {
		t.Errorf("12 MB: %+v", info)
	}
}

func first(v []float32, _ types.Info) []float32 { return v }

func TestEmptyText(t *testing.T) {
	m := open(t, tinyBERT)
	for _, text := range []string{"", "  \t\n", "\u200b"} {
		if v, info := embed(t, m, text); info != (types.Info{Tokens: 2, Known: 1, RoleMissing: true}) || v[0] == 0 {
			t.Errorf("%q: %+v, %v", text, info, v[:2])
		}
	}
}

func TestIllFormedUTF8(t *testing.T) {
	m := open(t, tinyBERT)
	var log bytes.Buffer
	logger := models.Logger(slog.New(slog.NewTextHandler(&log, nil)))
	got, _ := embed(t, m, "hello \xff\xe4\xbdworld", logger)
	if want, _ := embed(t, m, "hello \ufffd\ufffdworld"); !slices.Equal(got, want) {
		t.Error("ill-formed parts are not read as U+FFFD")
	}
	if lines := strings.Count(log.String(), "\n"); lines != 1 || !strings.Contains(log.String(), "not UTF-8") || !strings.Contains(log.String(), "parts=2") {
		t.Errorf("logged %q", log.String())
	}
}

func TestUnknownWords(t *testing.T) {
	var log bytes.Buffer
	m := open(t, tinyBERT, models.Precision(models.F32), models.Logger(slog.New(slog.NewTextHandler(&log, nil))))
	if _, info := embed(t, m, "hello мир"); info.Known != 0.5 || log.Len() > 0 {
		t.Errorf("half known: %+v, logged %q", info, log.String())
	}
	if _, info := embed(t, m, "привет мир hello"); info.Known != 1./3 || strings.Count(log.String(), "\n") != 1 || !strings.Contains(log.String(), "less than half") {
		t.Errorf("a third known: %+v, logged %q", info, log.String())
	}
}

func TestOptionErrors(t *testing.T) {
	m := open(t, tinyBERT)
	dst := make([]float32, m.Dim())
	for want, o := range map[string]models.Option{
		"MaxTokens: 49 tokens, the model has positions for 48":     models.MaxTokens(49),
		"MaxTokens: 1 tokens, at least 2 are needed":               models.MaxTokens(1),
		"MaxTokens: -5 tokens":                                     models.MaxTokens(-5),
		"Precision: int8 is not offered":                           models.Precision(models.Int8),
		"Precision: bf16 is not offered":                           models.Precision(models.BF16),
		"Precision: NumberFormat(9) is not offered":                models.Precision(9),
		"Overflow: unknown rule 5":                                 models.Overflow(5),
		"Output: unknown form 3":                                   models.Output(3),
		"Output: unknown form -1":                                  models.Output(-1),
		"Dimensions: 0 components, the model makes 32":             models.Dimensions(0),
		"Dimensions: 33 components, the model makes 32":            models.Dimensions(33),
		"Dimensions: 16 components: the model was not trained for": models.Dimensions(16),
		"AsQuery, AsDocument: unknown role 3":                      {Kind: types.OptionRole, Value: 3},
		"Option: unknown kind 99":                                  {Kind: 99},
	} {
		var bad *models.OptionError
		_, err := m.EmbedInto(t.Context(), "x", dst, o)
		if !errors.As(err, &bad) || !strings.HasPrefix(err.Error(), "models: "+want) {
			t.Errorf("EmbedInto: %v, want %s", err, want)
		}
		if err := m.EmbedBatchInto(t.Context(), []string{"x"}, dst, nil, o); !errors.As(err, &bad) {
			t.Errorf("EmbedBatchInto: %v, want %s", err, want)
		}
		if _, err := m.Embed(t.Context(), "x", o); !errors.As(err, &bad) {
			t.Errorf("Embed: %v, want %s", err, want)
		}
		if o == models.Precision(models.BF16) {
			continue // Open offers it, where the processor does
		}
		if other, err := models.Open(tinyBERT, o); !errors.As(err, &bad) || other != nil {
			t.Errorf("Open: %v, want %s", err, want)
		}
	}
	for _, o := range []models.Option{{}, models.Precision(models.F32), models.Precision(models.Auto), models.Logger(nil), models.Dimensions(32), models.Output(models.OutputF32)} {
		if got, _ := embed(t, m, "hello", o); !slices.Equal(got, first(embed(t, m, "hello"))) {
			t.Errorf("%+v changes the vector", o)
		}
	}
}

func TestOptionsOfOpenHoldForCalls(t *testing.T) {
	m := open(t, tinyBERT, models.MaxTokens(5), models.AsQuery)
	long := strings.Repeat("cat ", 100)
	if _, info := embed(t, m, long); info.Tokens != 5 {
		t.Errorf("MaxTokens of Open: %+v", info)
	}
	if _, info := embed(t, m, long, models.MaxTokens(6)); info.Tokens != 6 {
		t.Errorf("MaxTokens of the call: %+v", info)
	}
	plain := open(t, tinyBERT)
	if !slices.Equal(first(embed(t, m, "cat")), first(embed(t, plain, "cat", models.AsQuery, models.MaxTokens(5)))) {
		t.Error("AsQuery given to Open does not hold")
	}
	e, err := plain.Embed(t.Context(), "cat", models.AsQuery)
	if err != nil || e.Space != m.Space() {
		t.Errorf("spaces %q and %q of one role, %v", e.Space, m.Space(), err)
	}
}

func TestRolesAndSpaces(t *testing.T) {
	m := open(t, tinyBERT)
	for _, c := range []struct {
		role   models.Option
		prompt string
	}{{models.AsQuery, "query: "}, {models.AsDocument, "passage: "}} {
		got, info := embed(t, m, "cat", c.role)
		want, plain := embed(t, m, c.prompt+"cat")
		if !plain.RoleMissing {
			t.Error("the model was not told the role, and does not say so")
		}
		plain.RoleMissing = false
		if !slices.Equal(got, want) || info != plain {
			t.Errorf("%q: not the vector of the text with its prompt", c.prompt)
		}
	}
	space := func(files map[string]string, opts ...models.Option) types.SpaceID {
		fsys := tiny(t)
		for name, data := range files {
			set(fsys, name, data)
		}
		m, err := models.OpenFS(fsys, "m")
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		e, err := m.Embed(t.Context(), "cat", opts...)
		if err != nil {
			t.Fatal(err)
		}
		return e.Space
	}
	base := space(nil)
	if base != m.Space() || base != space(nil, models.MaxTokens(9)) {
		t.Errorf("spaces %q and %q of one model", base, m.Space())
	}
	lower := strings.Replace(string(tiny(t)["m/tokenizer.json"].Data), `"lowercase":true`, `"lowercase":false`, 1)
	all := []types.SpaceID{
		base,
		space(nil, models.AsQuery),
		space(nil, models.AsDocument),
		space(map[string]string{"1_Pooling/config.json": `{"pooling_mode":"cls"}`}),
		space(map[string]string{"config_sentence_transformers.json": `{"prompts":{"query":"q: "}}`}),
		space(map[string]string{"tokenizer.json": lower}),
		space(map[string]string{"config.json": strings.Replace(string(tiny(t)["m/config.json"].Data), "gelu", "relu", 1)}),
		space(map[string]string{"modules.json": `[]`}),
	}
	for i, s := range all {
		if s == "" || slices.Index(all, s) != i {
			t.Errorf("space %d, %q, is not its own", i, s)
		}
	}
	for _, opts := range [][]models.Option{nil, {models.AsQuery}, {models.AsDocument, models.Output(models.OutputI8)}} {
		if got, err := m.SpaceOf(opts...); err != nil || got != space(nil, opts...) {
			t.Errorf("SpaceOf(%v) is %q, %v; Embed says %q", opts, got, err, space(nil, opts...))
		}
	}
	var bad *models.OptionError
	if _, err := m.SpaceOf(models.MaxTokens(-1)); !errors.As(err, &bad) {
		t.Errorf("SpaceOf of nonsense: %v", err)
	}
	none := map[string]string{"config_sentence_transformers.json": `{"prompts":{"query":"","document":""}}`}
	if a, b := space(none), space(none, models.AsQuery); a != b {
		t.Errorf("a role without a prompt has a space of its own, %q beside %q", b, a)
	}
	preset := map[string]string{"config_sentence_transformers.json": `{"prompts":{"query":"query: ","document":null},"default_prompt_name":"query"}`}
	if a, b := space(preset), space(preset, models.AsQuery); a != b {
		t.Errorf("the default prompt is the query's, but the spaces are %q and %q", a, b)
	}
	if a, b := space(preset), space(preset, models.AsDocument); a == b {
		t.Errorf("with and without the default prompt one space %q", a)
	}
}

func TestEmbedTokens(t *testing.T) {
	m := open(t, tinyBERT)
	dst := make([]float32, m.Dim())
	for _, text := range []string{"", "hello world", strings.Repeat("cat ", 100)} {
		tokens := tokenize(t, m, text)
		before := slices.Clone(tokens.IDs)
		info, err := m.EmbedTokensInto(t.Context(), &tokens, dst)
		want, wantInfo := embed(t, m, text)
		if err != nil || info != wantInfo || !slices.Equal(dst, want) {
			t.Errorf("%.20q: %+v, %v; want %+v", text, info, err, wantInfo)
		}
		if !slices.Equal(tokens.IDs, before) {
			t.Errorf("%.20q: the caller's ids were changed", text)
		}
	}
	tokens := tokenize(t, m, "hello world")
	var option *models.OptionError
	if _, err := m.EmbedTokensInto(t.Context(), &tokens, dst, models.AsQuery); !errors.As(err, &option) {
		t.Errorf("tokens as a query: %v", err)
	}
	tokens.IDs[1] = 141
	var id *models.IDError
	if _, err := m.EmbedTokensInto(t.Context(), &tokens, dst); !errors.As(err, &id) {
		t.Errorf("an id outside the vocabulary: %v", err)
	}
	tokens.Vocab = "other"
	var vocab *models.VocabError
	if _, err := m.EmbedTokensInto(t.Context(), &tokens, dst); !errors.As(err, &vocab) || vocab.Got != "other" || vocab.Want != m.Tokenizer().Vocab() {
		t.Errorf("tokens of another vocabulary: %v", err)
	}
}

func TestHiddenInto(t *testing.T) {
	m := open(t, tinyBERT)
	ids := tokenize(t, m, "hello world").IDs
	hidden := make([]float32, len(ids)*m.Dim())
	dst := make([]float32, m.Dim())
	if err := m.HiddenInto(t.Context(), ids, hidden, dst); err != nil {
		t.Fatal(err)
	}
	if want, _ := embed(t, m, "hello world"); !slices.Equal(dst, want) {
		t.Error("not the vector of EmbedInto")
	}
	mean := make([]float32, m.Dim())
	for i, v := range hidden {
		mean[i%m.Dim()] += v
	}
	if c := cosine(mean, dst); !(c > 0.999999) {
		t.Errorf("cosine %v between the vector and the mean of the states", c)
	}
	var id *models.IDError
	if err := m.HiddenInto(t.Context(), []int32{2, 999}, hidden[:2*m.Dim()], dst); !errors.As(err, &id) || id.Index != 1 {
		t.Errorf("an id outside the vocabulary: %v", err)
	}
	var size *models.SizeError
	if err := m.HiddenInto(t.Context(), ids, hidden[1:], dst); !errors.As(err, &size) || size.Slice != "hidden" {
		t.Errorf("short hidden: %v", err)
	}
	var option *models.OptionError
	table, err := models.OpenFS(staticModel(t, "f32_mean"), "m")
	if err != nil {
		t.Fatal(err)
	}
	defer table.Close()
	if err := table.HiddenInto(t.Context(), nil, nil, nil); !errors.As(err, &option) {
		t.Errorf("states of a table: %v", err)
	}
}

func TestEmbedIDsErrors(t *testing.T) {
	m := open(t, tinyBERT)
	dst := make([]float32, m.Dim())
	if err := m.EmbedIDsInto(t.Context(), make([]int32, 48), dst); err != nil {
		t.Errorf("ids beyond the usual length, within the positions: %v", err)
	}
	var length *models.LengthError
	if err := m.EmbedIDsInto(t.Context(), make([]int32, 49), dst); !errors.As(err, &length) || *length != (models.LengthError{Tokens: 49, Max: 48}) {
		t.Errorf("49 ids: %v", err)
	}
	for _, bad := range []int32{-1, 141, math.MinInt32, math.MaxInt32} {
		var id *models.IDError
		if err := m.EmbedIDsInto(t.Context(), []int32{2, 5, bad, 3}, dst); !errors.As(err, &id) || *id != (models.IDError{Index: 2, ID: bad, Size: 141}) {
			t.Errorf("id %d: %v", bad, err)
		}
	}
	var size *models.SizeError
	if err := m.EmbedIDsInto(t.Context(), nil, dst); !errors.As(err, &size) || size.Slice != "ids" {
		t.Errorf("no ids: %v", err)
	}
	if err := m.EmbedIDsInto(t.Context(), []int32{2, 3}, dst[1:]); !errors.As(err, &size) || *size != (models.SizeError{Slice: "dst", Len: 31, Want: 32}) {
		t.Errorf("a short dst: %v", err)
	}
	if _, err := m.EmbedInto(t.Context(), "x", nil); !errors.As(err, &size) {
		t.Errorf("no dst: %v", err)
	}
}

func TestBatch(t *testing.T) {
	m := open(t, tinyBERT)
	long := strings.Repeat("cat ", 100)
	texts := []string{"hello", long, "", "a\xffb"}
	dst := make([]float32, len(texts)*m.Dim())
	infos := make([]types.Info, len(texts))
	for i := range dst {
		dst[i] = 99
	}
	if err := m.EmbedBatchInto(t.Context(), texts, dst, infos, models.Overflow(models.Refuse)); err != nil {
		t.Fatal(err)
	}
	var length *models.LengthError
	for i, text := range texts {
		row := dst[i*m.Dim():][:m.Dim()]
		if text == long {
			if !errors.As(infos[i].Err, &length) || slices.ContainsFunc(row, func(x float32) bool { return x != 0 }) {
				t.Errorf("the refused text: %+v, row %v", infos[i], row[:3])
			}
			continue
		}
		want, info := embed(t, m, text)
		if infos[i] != info || !slices.Equal(row, want) {
			t.Errorf("%q in a batch: %+v, alone %+v, or another vector", text, infos[i], info)
		}
	}
	err := m.EmbedBatchInto(t.Context(), texts, dst, nil, models.Overflow(models.Refuse))
	if !errors.As(err, &length) || !strings.HasPrefix(err.Error(), "text 1: ") {
		t.Errorf("a failing text without infos: %v", err)
	}
	if want, _ := embed(t, m, texts[3]); !slices.Equal(dst[3*m.Dim():], want) {
		t.Error("the texts after the failing one have no vectors")
	}
	var size *models.SizeError
	if err := m.EmbedBatchInto(t.Context(), texts, dst[1:], nil); !errors.As(err, &size) || size.Slice != "dst" {
		t.Errorf("a short dst: %v", err)
	}
	if err := m.EmbedBatchInto(t.Context(), texts, dst, infos[1:]); !errors.As(err, &size) || size.Slice != "infos" {
		t.Errorf("short infos: %v", err)
	}
	if err := m.EmbedBatchInto(t.Context(), nil, nil, nil); err != nil {
		t.Errorf("no texts: %v", err)
	}
}

// lookCtx is cancelled after some looks at it.
type lookCtx struct {
	context.Context
	left int
}

func (c *lookCtx) Err() error {
	if c.left--; c.left < 0 {
		return context.Canceled
	}
	return nil
}

func TestCancelledBatch(t *testing.T) {
	m := open(t, tinyBERT)
	texts := []string{"hello", "world", "cat"}
	count := &lookCtx{t.Context(), math.MaxInt}
	dst := make([]float32, m.Dim())
	if _, err := m.EmbedInto(count, texts[0], dst); err != nil {
		t.Fatal(err)
	}
	one := math.MaxInt - count.left
	all := make([]float32, 3*m.Dim())
	for i := range all {
		all[i] = 99
	}
	infos := make([]types.Info, 3)
	if err := m.EmbedBatchInto(&lookCtx{t.Context(), one + 10}, texts, all, infos); !errors.Is(err, context.Canceled) {
		t.Fatalf("cancelled in the second text: %v", err)
	}
	if !slices.Equal(all[:m.Dim()], dst) || infos[0].Err != nil {
		t.Errorf("the first text: %+v, or another vector", infos[0])
	}
	if slices.ContainsFunc(all[m.Dim():], func(x float32) bool { return x != 0 }) {
		t.Error("rows that were not reached are not zero")
	}
	if !errors.Is(infos[1].Err, context.Canceled) || !errors.Is(infos[2].Err, context.Canceled) {
		t.Errorf("infos %+v", infos)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := m.EmbedInto(ctx, "x", dst); !errors.Is(err, context.Canceled) {
		t.Errorf("a ctx that is done: %v", err)
	}
}

// Weights may be finite and their products not.
func TestVectorIsNeverNaN(t *testing.T) {
	files := tiny(t)
	weights(t, files, func(x safetensors.Tensor) []safetensors.Tensor {
		if x.Name == "encoder.layer.1.output.LayerNorm.weight" {
			x.Data = bytes.Clone(x.Data)
			for i := range x.Len() {
				binary.LittleEndian.PutUint32(x.Data[4*i:], math.Float32bits(math.MaxFloat32))
			}
		}
		return []safetensors.Tensor{x}
	})
	m, err := models.OpenFS(files, "m")
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	dst := make([]float32, m.Dim())
	dst[0] = 7
	if _, err := m.EmbedInto(t.Context(), "hello", dst); !errors.Is(err, models.ErrNotFinite) || dst[0] != 7 {
		t.Errorf("%v, dst[0] %v", err, dst[0])
	}
	infos := make([]types.Info, 1)
	if err := m.EmbedBatchInto(t.Context(), []string{"hello"}, dst, infos); err != nil || !errors.Is(infos[0].Err, models.ErrNotFinite) || dst[0] != 0 {
		t.Errorf("in a batch: %v, %+v, dst[0] %v", err, infos[0], dst[0])
	}
}

func TestEmbedTogether(t *testing.T) {
	m := open(t, tinyBERT)
	texts := texts(t)[:80]
	want := make([][]float32, len(texts))
	for i, text := range texts {
		want[i], _ = embed(t, m, text)
	}
	var wg sync.WaitGroup
	for g := range 6 {
		wg.Go(func() {
			dst := make([]float32, m.Dim())
			for i := range texts {
				i = (i*7 + g*11) % len(texts)
				if _, err := m.EmbedInto(t.Context(), texts[i], dst); err != nil || !slices.Equal(dst, want[i]) {
					t.Errorf("%.20q beside other calls: another vector, or %v", texts[i], err)
				}
			}
		})
	}
	wg.Wait()
}

func TestWarm(t *testing.T) {
	m := open(t, tinyBERT)
	if err := m.Warm(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := m.Warm(&lookCtx{t.Context(), 20}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestEmbedIntoAllocatesNothing(t *testing.T) {
	m := open(t, tinyBERT)
	ctx := t.Context()
	dst := make([]float32, m.Dim())
	opts := []models.Option{models.MaxTokens(40), models.Overflow(models.Truncate)}
	long := strings.Repeat("cat ", 100)
	texts := []string{"hello", long, ""}
	batch := make([]float32, 3*m.Dim())
	infos := make([]types.Info, 3)
	tokens := tokenize(t, m, long)
	if err := m.Warm(ctx); err != nil {
		t.Fatal(err)
	}
	for name, call := range map[string]func() error{
		"EmbedInto":             func() error { _, err := m.EmbedInto(ctx, "hello, cat", dst); return err },
		"EmbedInto, long":       func() error { _, err := m.EmbedInto(ctx, long, dst); return err },
		"EmbedInto, options":    func() error { _, err := m.EmbedInto(ctx, long, dst, opts...); return err },
		"EmbedInto, an option":  func() error { _, err := m.EmbedInto(ctx, long, dst, models.MaxTokens(7)); return err },
		"EmbedInto, a prompt":   func() error { _, err := m.EmbedInto(ctx, "hello, cat", dst, models.AsQuery); return err },
		"EmbedTokensInto":       func() error { _, err := m.EmbedTokensInto(ctx, &tokens, dst); return err },
		"EmbedIDsInto":          func() error { return m.EmbedIDsInto(ctx, tokens.IDs[:30], dst) },
		"EmbedBatchInto":        func() error { return m.EmbedBatchInto(ctx, texts, batch, infos) },
		"types.Embedder":        func() error { _, err := types.Embedder(m).EmbedInto(ctx, long, dst, opts...); return err },
		"types.Embedder, batch": func() error { return types.Embedder(m).EmbedBatchInto(ctx, texts, batch, infos, opts...) },
	} {
		n := testing.AllocsPerRun(20, func() {
			if err := call(); err != nil {
				t.Fatal(err)
			}
		})
		if n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}
