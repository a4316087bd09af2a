// Package distill makes a static micro-model out of an encoder: a table with one short vector per
// token, taught offline to point where the encoder points. It needs the encoder alone, no corpus,
// and takes minutes; what it writes is read by package static.
//
// The recipe. Each token is read by the encoder as a text of its own, which gives the initial rows.
// Then the encoder embeds word salads, bags of unrelated words, and the rows are trained until their
// mean points where the encoder's vector does. Sentences of the user's own may continue the training.
// The result is quantised to 4 bits.
//
// Nothing that serves requests may import this package: it is a tool, and brings linear algebra that
// a server has no use for.
package distill

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"

	"github.com/maida-ai/gomai/models/modelfile"
	"github.com/maida-ai/gomai/models/static"
	"github.com/maida-ai/gomai/models/tokenizer"
)

// Read lets an encoder read one text: ids, special tokens included. It fills hidden, (len(ids), hidden
// size), with the states after the last layer and vector, (hidden size,), with the text's embedding.
// It is called from several goroutines and must give equal answers for equal ids.
type Read func(ctx context.Context, ids []int32, hidden, vector []float32) error

// Source is the encoder to learn from. Open makes one of a model folder.
type Source struct {
	Name    string // of the model, for the record
	License string // its identifier as the model's card has it, or empty
	Weights string // the SHA-256 of its weights, in hex, for the record

	Read       Read
	HiddenSize int
	MaxTokens  int // special ones included; longer sentences are cut

	TokenizerJSON []byte               // the tokenizer.json, of type WordPiece
	Tokenizer     *tokenizer.Tokenizer // the same, loaded

	close func() error
}

// Options are what a caller decides. The zero value makes a table of 192 dimensions.
type Options struct {
	Dims     int      // a multiple of 32, at most the encoder's hidden size; 0 means 192
	Salads   int      // 0 means 40,000
	Corpus   []string // sentences to go on with; best of the kind of text that the table is for
	Workers  int      // goroutines that run the encoder; 0 means GOMAXPROCS
	Progress Progress // may be nil
}

// Progress is told how far a stage has come. It is never called from two goroutines at once.
type Progress func(stage string, done, total int)

// OptionError is returned for a setting that the source cannot satisfy.
type OptionError struct {
	Option string
	Reason string
}

func (e *OptionError) Error() string { return fmt.Sprintf("distill: %s: %s", e.Option, e.Reason) }

const (
	defaultDims   = 192
	defaultSalads = 40_000
	maxSalads     = 10_000_000 // beyond what fits memory
	seed          = 1
)

// The streams of random numbers: drawing more from one leaves the other as it was.
const (
	saladStream = iota + 1
	trainStream
)

// Run distils src into the new folder out, which may exist only if it is empty. The folder appears
// when all is done and not at all if ctx ends or something fails before. Equal sources and options
// give equal bytes on one machine, whatever the number of workers.
//
// Errors: *OptionError; *modelfile.Error for a tokenizer.json that is no WordPiece; what the file
// system says of out, *fs.PathError among them; ctx.Err(); what src.Read returns.
func Run(ctx context.Context, src *Source, out string, opts Options) error {
	if err := opts.complete(src); err != nil {
		return err
	}
	tok, err := readTokenizer(src.TokenizerJSON)
	if err != nil {
		return err
	}
	if n := len(tok.Model.Vocab); n != src.Tokenizer.Size() {
		return modelfile.Errorf(tokenizerName, "vocab", "%d tokens, the tokeniser has %d", n, src.Tokenizer.Size())
	}
	v, err := newVocabulary(tok.Model.Vocab, tok.special)
	if err != nil {
		return modelfile.Errorf(tokenizerName, "vocab", "%v", err)
	}
	teacher := newTeacher(src, &opts)
	if teacher.room() < saladMax {
		return fmt.Errorf("distill: %s has room for %d tokens of text, word salads have up to %d", src.Name, teacher.room(), saladMax)
	}
	o, err := createOutput(out)
	if err != nil {
		return err
	}
	defer o.discard()
	lessons, err := v.collect(ctx, teacher, &opts)
	if err != nil {
		return err
	}
	t, err := v.fit(ctx, lessons, opts.Dims, rand.New(rand.NewPCG(seed, trainStream)), opts.Progress)
	if err != nil {
		return err
	}
	if err := o.writeAll(t, tok.subset(v), src.provenance(&opts)); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return o.commit()
}

// complete checks o and fills in what was left open.
func (o *Options) complete(src *Source) error {
	if o.Dims == 0 {
		o.Dims = defaultDims
	}
	if o.Dims < 0 || o.Dims%static.Group != 0 || o.Dims > src.HiddenSize {
		return &OptionError{"Dims", fmt.Sprintf("%d is no multiple of %d up to the encoder's %d", o.Dims, static.Group, src.HiddenSize)}
	}
	if o.Salads == 0 {
		o.Salads = defaultSalads
	}
	if o.Salads < 0 || o.Salads > maxSalads {
		return &OptionError{"Salads", fmt.Sprintf("%d is not between 0 and %d", o.Salads, maxSalads)}
	}
	if o.Workers <= 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	if o.Progress == nil {
		o.Progress = func(string, int, int) {}
	}
	return nil
}

// collect asks the teacher.
func (v *vocabulary) collect(ctx context.Context, t *teacher, opts *Options) (*lessons, error) {
	h := t.source.HiddenSize
	l := &lessons{
		hidden: h,
		pooled: make([]float32, len(v.ids)*h),
		inner:  make([]float32, len(v.ids)*h),
		salads: v.salads(opts.Salads, rand.New(rand.NewPCG(seed, saladStream))),
		said:   make([]float32, opts.Salads*h),
	}
	var sentences *bags
	if len(opts.Corpus) > 0 {
		var err error
		if sentences, err = t.tokenize(opts.Corpus); err != nil {
			return nil, err
		}
		if sentences = v.withRows(sentences); sentences.len() == 0 {
			return nil, &OptionError{"Corpus", "none of its sentences has a word that the table knows"}
		}
	}
	if err := t.tokens(ctx, v.ids, l.pooled, l.inner); err != nil {
		return nil, err
	}
	if err := t.texts(ctx, "reading salads", v.idsOf(l.salads), l.said); err != nil {
		return nil, err
	}
	if sentences != nil {
		l.corpus, l.wrote = v.rowsOf(sentences), make([]float32, sentences.len()*h)
		if err := t.texts(ctx, "reading the corpus", sentences, l.wrote); err != nil {
			return nil, err
		}
	}
	return l, nil
}

// provenance is the record of a run. It names no path and no time, so that equal runs give equal
// files.
func (s *Source) provenance(opts *Options) Provenance {
	p := Provenance{
		From: s.Name, License: s.License, WeightsSHA256: s.Weights,
		TokenizerSHA256: fmt.Sprintf("%x", sha256.Sum256(s.TokenizerJSON)),
		Salads:          opts.Salads,
		Command:         fmt.Sprintf("mai distill %s -o OUT --dims %d", s.Name, opts.Dims),
	}
	if len(opts.Corpus) > 0 {
		h := sha256.New()
		for _, line := range opts.Corpus {
			io.WriteString(h, line)
			h.Write([]byte{'\n'})
		}
		p.CorpusLines, p.CorpusSHA256 = len(opts.Corpus), fmt.Sprintf("%x", h.Sum(nil))
		p.Command += " --corpus FILE"
	}
	return p
}
