// Package models turns text into vectors. Open reads a model from a folder in the layout of
// sentence-transformers (an encoder of the BERT family) or model2vec (a static table), and a Model
// embeds: text, many texts, tokens or bare ids.
//
// What a model is made of lies below: safetensors reads weights, tokenizer splits text, bert and
// static compute, modelfile holds what reading model files needs. Nothing here touches the network or
// knows of Modules and engines. No goroutine lives while no call is inside.
package models

import (
	"cmp"
	"context"
	"log/slog"
	"runtime"
	"sync"
	"unsafe"

	"github.com/maida-ai/gomai/models/tokenizer"
	"github.com/maida-ai/gomai/types"
)

// Model is an open model. It is safe for concurrent use; Close it when it is not used any more.
type Model struct {
	encoder   encoder
	tokenizer *tokenizer.Tokenizer
	card      card
	prompts   [3]string        // by role
	spaces    [3]types.SpaceID // by role, of whole vectors of float32
	space     types.SpaceID    // of the defaults
	defaults  settings
	counts    counts
	gate      *gate
	free      *scratches
	batcher   *batcher // nil for models that do not batch
	packed    manifest // of a packed file; zero otherwise
}

var _ types.TokenEmbedder = (*Model)(nil)

// Dim is the number of components of a vector: all that the model makes, unless Open was given
// Dimensions.
func (m *Model) Dim() int { return m.defaults.dims }

// Space names the space of vectors made without options, beyond those given to Open.
func (m *Model) Space() types.SpaceID { return m.space }

// SpaceOf names the space of vectors made with opts: a role for which the model has a prompt, other
// Dimensions and another Output each have one of their own. A query and a document of one model are made
// to be compared all the same: who does so gives the query the space of the documents.
func (m *Model) SpaceOf(opts ...Option) (types.SpaceID, error) {
	set, err := m.apply(m.defaults, opts)
	if err != nil {
		return "", err
	}
	return m.spaceOf(set), nil
}

// Tokenizer returns the tokeniser of the model. It outlives Close.
func (m *Model) Tokenizer() *tokenizer.Tokenizer { return m.tokenizer }

// Embed returns the vector of text in fresh memory, in the form that Output sets. See EmbedInto.
func (m *Model) Embed(ctx context.Context, text string, opts ...Option) (types.Embedding, error) {
	if !m.gate.enter() {
		return types.Embedding{}, ErrClosed
	}
	defer m.gate.leave()
	set, err := m.apply(m.defaults, opts)
	if err != nil {
		return types.Embedding{}, err
	}
	v := make([]float32, set.dims)
	if _, err := m.embedText(ctx, set, text, v); err != nil {
		return types.Embedding{}, err
	}
	e := set.output.quantize(v)
	e.Space = m.spaceOf(set)
	return e, nil
}

// EmbedInto writes the vector of text to dst and says what the model saw of it. Ill-formed UTF-8 is
// read as U+FFFD.
//
// Shape:  dst (Dim,), or as many as Dimensions says.
// Errors: *SizeError, *OptionError, *LengthError under Overflow(Refuse), ErrNotFinite, ErrClosed,
// ErrOverloaded, *PanicError, and ctx.Err() soon after ctx is done. dst is then unchanged.
// Cost:   no allocation once as many calls have run at once; while all processors compute the call waits
// and asks ctx for Done, for which package context allocates a channel once a ctx. Queueing costs a lone
// caller 0.2 us, see Batching. The whole text is tokenised, however long,
// to tell Info.Known.
func (m *Model) EmbedInto(ctx context.Context, text string, dst []float32, opts ...Option) (types.Info, error) {
	if !m.gate.enter() {
		return types.Info{}, ErrClosed
	}
	defer m.gate.leave()
	set, err := m.intoFloats(opts)
	if err != nil {
		return types.Info{}, err
	}
	if len(dst) != set.dims {
		return types.Info{}, &SizeError{"dst", len(dst), set.dims}
	}
	return m.embedText(ctx, set, text, dst)
}

// EmbedBatchInto writes the vectors of texts to dst and what the model saw of each to infos. A text
// that fails does so alone: its row is zero and its Info has Err; without infos the error of the
// first such text is returned, after all rows are done.
//
// Shape:  dst (len(texts), Dim), row by row, or as many as Dimensions says; infos nil or (len(texts),).
// Errors: as EmbedInto; when ctx is done, the rows that were not reached are zero.
// Cost:   as EmbedInto. Texts are queued a batch at a time, so that other calls come in between.
func (m *Model) EmbedBatchInto(ctx context.Context, texts []string, dst []float32, infos []types.Info, opts ...Option) error {
	if !m.gate.enter() {
		return ErrClosed
	}
	defer m.gate.leave()
	set, err := m.intoFloats(opts)
	if err != nil {
		return err
	}
	dim := set.dims
	if len(dst) != len(texts)*dim {
		return &SizeError{"dst", len(dst), len(texts) * dim}
	}
	if infos != nil && len(infos) != len(texts) {
		return &SizeError{"infos", len(infos), len(texts)}
	}
	out := rows{dst: dst, dim: dim, infos: infos}
	if m.batcher == nil || set.direct {
		err = m.embedTexts(ctx, set, texts, &out)
	} else {
		err = m.batcher.embedTexts(ctx, m, set, texts, &out)
	}
	switch {
	case err != nil:
		return err
	case infos != nil:
		return nil
	}
	return out.err
}

// EmbedTokensInto is EmbedInto for a text that the model's tokeniser, or an equal one, has split. A
// role for which the model has a prompt is an *OptionError: the prompt would have to be in the tokens.
// Tokens of another vocabulary are a *VocabError.
func (m *Model) EmbedTokensInto(ctx context.Context, tokens *types.TokenizedText, dst []float32, opts ...Option) (types.Info, error) {
	if !m.gate.enter() {
		return types.Info{}, ErrClosed
	}
	defer m.gate.leave()
	set, err := m.intoFloats(opts)
	if err != nil {
		return types.Info{}, err
	}
	switch {
	case m.prompts[set.role] != "":
		return types.Info{}, &OptionError{"AsQuery, AsDocument", "tokens cannot be given the model's prompt for this role"}
	case tokens.Vocab != m.tokenizer.Vocab():
		return types.Info{}, &VocabError{Got: tokens.Vocab, Want: m.tokenizer.Vocab()}
	case len(dst) != set.dims:
		return types.Info{}, &SizeError{"dst", len(dst), set.dims}
	}
	s := m.free.get()
	ids, info, err := m.cut(set, s, tokens)
	return info, m.embedIDs(ctx, set, s, ids, dst, err)
}

// EmbedIDsInto writes the vector of ids, taken as they are: special tokens are in them and nothing
// is cut.
//
// Shape:  ids (tokens,), as many as the model has positions at most; dst (Dim,).
// Errors: *IDError, *LengthError, and as EmbedInto.
func (m *Model) EmbedIDsInto(ctx context.Context, ids []int32, dst []float32) error {
	if !m.gate.enter() {
		return ErrClosed
	}
	defer m.gate.leave()
	if len(dst) != m.Dim() {
		return &SizeError{"dst", len(dst), m.Dim()}
	}
	return m.embedIDs(ctx, m.defaults, m.free.get(), ids, dst, m.checkIDs(ids))
}

// Warm computes one text of the model's maximum length, so that weights are in memory and buffers
// have their size before the first real call. Before, it does what CheckGolden does.
func (m *Model) Warm(ctx context.Context) error {
	if err := m.CheckGolden(ctx); err != nil {
		return err
	}
	ids := make([]int32, cmp.Or(m.defaults.maxTokens, 512))
	return m.EmbedIDsInto(ctx, ids, make([]float32, m.Dim()))
}

// Close gives the model's memory back after the calls inside have left, for which it waits. Later
// calls get ErrClosed. A second Close waits too and does nothing.
func (m *Model) Close() error { return m.gate.shut(context.Background()) }

// Shutdown is Close that waits until ctx is done at most. The memory is given back when the last
// call leaves, also after that.
func (m *Model) Shutdown(ctx context.Context) error { return m.gate.shut(ctx) }

func (m *Model) embedText(ctx context.Context, set settings, text string, dst []float32) (types.Info, error) {
	s := m.free.get()
	ids, info, err := m.readText(ctx, set, s, text)
	return info, m.embedIDs(ctx, set, s, ids, dst, err)
}

// embedTexts fills out, text by text. Its error is why it stopped early.
func (m *Model) embedTexts(ctx context.Context, set settings, texts []string, out *rows) error {
	s := m.free.get()
	defer m.free.put(s)
	for i, text := range texts {
		ids, info, err := m.readText(ctx, set, s, text)
		out.inform(i, info)
		if err == nil {
			err = s.embed(ctx, m.encoder, ids, out.row(i))
		}
		if err != nil && ctx.Err() != nil {
			out.failFrom(i, ctx.Err())
			return ctx.Err()
		}
		out.end(i, err)
	}
	return nil
}

// readText makes the ids that the encoder gets. They are the caller's of s.
func (m *Model) readText(ctx context.Context, set settings, s *scratch, text string) ([]int32, types.Info, error) {
	if err := ctx.Err(); err != nil {
		return nil, types.Info{}, err
	}
	if p := m.prompts[set.role]; p != "" {
		s.prompted = append(append(s.prompted[:0], p...), text...)
		text = unsafe.String(unsafe.SliceData(s.prompted), len(s.prompted)) // nobody keeps it
	}
	if err := m.tokenizer.TokenizeInto(text, &s.text); err != nil {
		return nil, types.Info{}, err
	}
	if l := set.logger; l != nil {
		if s.text.Invalid > 0 {
			l.LogAttrs(ctx, slog.LevelWarn, "text is not UTF-8, ill-formed parts are read as U+FFFD", slog.Int("parts", int(s.text.Invalid)))
		}
		if s.text.Known < 0.5 {
			l.LogAttrs(ctx, slog.LevelWarn, "the model knows less than half of the text", slog.Float64("known", float64(s.text.Known)))
		}
	}
	return m.cut(set, s, &s.text)
}

// cut returns the ids of tokens, or as many as are allowed, and checks them.
func (m *Model) cut(set settings, s *scratch, tokens *types.TokenizedText) ([]int32, types.Info, error) {
	info := types.Info{Tokens: len(tokens.IDs), Known: tokens.Known, RoleMissing: set.role == roleNone && m.wantsRole()}
	ids := tokens.IDs
	if set.maxTokens > 0 && len(ids) > set.maxTokens {
		if set.overflow == Refuse {
			m.counts.refused.Add(1)
			return nil, info, &LengthError{Tokens: len(ids), Max: set.maxTokens}
		}
		end := m.tokenizer.Special().After
		s.ids = append(s.ids[:0], ids[:set.maxTokens-len(end)]...)
		s.ids = append(s.ids, end...)
		ids, info.Tokens, info.Truncated = s.ids, set.maxTokens, true
		m.counts.truncated.Add(1)
	}
	return ids, info, m.checkIDs(ids)
}

// embedIDs writes the vector of ids, which may be memory of s, to dst, unless err says that there are
// none. It gives s back.
func (m *Model) embedIDs(ctx context.Context, set settings, s *scratch, ids []int32, dst []float32, err error) error {
	if err != nil || m.batcher == nil || set.direct {
		defer m.free.put(s)
		if err != nil {
			return err
		}
		return s.embed(ctx, m.encoder, ids, dst)
	}
	return m.batcher.embed(ctx, m, set, s, ids, dst)
}

// checkIDs reports whether the encoder can take ids.
func (m *Model) checkIDs(ids []int32) error {
	if limit := m.encoder.positions(); limit > 0 {
		if len(ids) == 0 {
			return &SizeError{"ids", 0, 1}
		}
		if len(ids) > limit {
			return &LengthError{Tokens: len(ids), Max: limit}
		}
	}
	size := m.encoder.size()
	for i, id := range ids {
		if id < 0 || int(id) >= size {
			return &IDError{Index: i, ID: id, Size: size}
		}
	}
	return nil
}

// scratches keeps the memory of past calls: for as many as can run at once, and as many again three times
// for those that lost their processor half-way. The last one put back is the first one used, so that
// what such moments added stays small. A list and not a sync.Pool: the garbage collector empties a pool.
type scratches struct {
	mu   sync.Mutex
	free []*scratch
}

// keep bounds the tokens for which a call's memory is kept: one enormous text shall not be paid for
// ever after.
const keep = 1 << 16

func newScratches() *scratches {
	return &scratches{free: make([]*scratch, 0, max(16, 4*runtime.GOMAXPROCS(0)))}
}

func (f *scratches) get() *scratch {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := len(f.free)
	if n == 0 {
		return new(scratch)
	}
	s := f.free[n-1]
	f.free = f.free[:n-1]
	return s
}

func (f *scratches) put(s *scratch) {
	if cap(s.text.IDs) > keep || cap(s.ids) > keep || cap(s.prompted) > 8*keep {
		s = new(scratch)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.free) < cap(f.free) {
		f.free = append(f.free, s)
	}
}
