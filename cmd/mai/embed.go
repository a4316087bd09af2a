package main

import (
	"context"
	"encoding/binary"
	"runtime"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"golang.org/x/text/encoding/unicode"

	"github.com/maida-ai/gomai/models"
	"github.com/maida-ai/gomai/simd"
	"github.com/maida-ai/gomai/types"
)

// embedRecord is what embed prints for a text: one of Embedding, I8 and Bits.
type embedRecord struct {
	Index     int       `json:"index"`
	Text      string    `json:"text"`
	Tokens    int       `json:"tokens"` // that the model saw, special ones included
	Truncated bool      `json:"truncated"`
	Embedding []float32 `json:"embedding,omitempty"`
	I8        []int8    `json:"i8,omitempty"`
	Scale     *float32  `json:"scale,omitempty"` // of I8
	Bits      []int     `json:"bits,omitempty"`  // eight components in each, the first in the lowest bit
}

// embedFlags are what embed is told of how to embed.
type embedFlags struct {
	precision  string
	maxTokens  int
	role       string
	output     string
	dimensions int
	threads    int
}

func newEmbed() *cobra.Command {
	var model modelFlag
	var flags embedFlags
	in := input[string]{kind: texts}
	cmd := &cobra.Command{
		Use:   "embed [TEXT...]",
		Short: "Turn texts into vectors",
		Long: `Turn texts into vectors: one JSON line each, in order, as
{"index", "text", "tokens", "truncated", "embedding"}.

A file holds one text a line; a blank line is an empty text and gets a vector too. Memory
stays bounded however long the file is, and each line is answered as it arrives.

--output int8 has "i8" and "scale" in place of "embedding": a component is scale times its
number. --output binary has "bits", the signs of eight components in each number, the first
in the lowest bit.

Models that were trained with prompts for queries and for documents want to be told --role.
--dimensions cuts vectors short, for models that were trained for that (Matryoshka).`,
		Example: `  mai embed "hello world"`,
		RunE: func(cmd *cobra.Command, args []string) error {
			opts, err := flags.options(cmd)
			if err != nil {
				return err
			}
			source, err := in.open(args, cmd.InOrStdin())
			if err != nil {
				return err
			}
			defer source.Close()
			m, err := model.open(opts...)
			if err != nil {
				return err
			}
			defer m.Close()
			e := embedding{m: m, output: flags.output}
			return streamGroups(cmd, source, flags.threads, embedGroup, e.answer)
		},
	}
	model.flags(cmd)
	in.flags(cmd)
	f := cmd.Flags()
	f.StringVar(&flags.precision, "precision", "auto", "compute in `P`: auto, f32, bf16 or int8; an error where the model or the CPU does not offer it")
	f.IntVar(&flags.maxTokens, "max-tokens", 0, "read at most `N` tokens of a text (default: the model's own limit)")
	f.StringVar(&flags.role, "role", "", "the texts are of `ROLE`: query or document")
	f.StringVar(&flags.output, "output", "f32", "print vectors of `FORM`: f32, int8 or binary")
	f.IntVar(&flags.dimensions, "dimensions", 0, "print the first `N` components (default: all)")
	f.IntVar(&flags.threads, "threads", runtime.GOMAXPROCS(0), "compute on `N` threads")
	return cmd
}

// precisions are the values of --precision.
var precisions = map[string]models.NumberFormat{"f32": models.F32, "bf16": models.BF16, "int8": models.Int8, "auto": models.Auto}

var roles = map[string]models.Option{"": {}, "query": models.AsQuery, "document": models.AsDocument}

// options checks the flags. What it returns is for all texts.
func (f *embedFlags) options(cmd *cobra.Command) ([]models.Option, error) {
	precision, knownPrecision := precisions[f.precision]
	role, knownRole := roles[f.role]
	given := cmd.Flags().Changed
	switch {
	case !knownPrecision:
		return nil, usagef("--precision %s: must be f32, bf16, int8 or auto", f.precision)
	case !knownRole || f.role == "" && given("role"):
		return nil, usagef("--role %s: must be query or document", f.role)
	case f.output != "f32" && f.output != "int8" && f.output != "binary":
		return nil, usagef("--output %s: must be f32, int8 or binary", f.output)
	case f.maxTokens < 1 && given("max-tokens"):
		return nil, usagef("--max-tokens %d: must be at least 1", f.maxTokens)
	case f.dimensions < 1 && given("dimensions"):
		return nil, usagef("--dimensions %d: must be at least 1", f.dimensions)
	case f.threads < 1:
		return nil, usagef("--threads %d: must be at least 1", f.threads)
	}
	opts := []models.Option{models.Precision(precision), role}
	if f.maxTokens > 0 {
		opts = append(opts, models.MaxTokens(f.maxTokens))
	}
	if f.dimensions > 0 {
		opts = append(opts, models.Dimensions(f.dimensions))
	}
	return opts, nil
}

// embedGroup is how many texts the model gets at once: what they share of its weights is read once.
const embedGroup = 16

// embedding makes records of texts.
type embedding struct {
	m      *models.Model
	output string
}

// answer embeds a group of texts.
func (e *embedding) answer(ctx context.Context, first int, texts []string, answers []answer) {
	dim := e.m.Dim()
	clean := make([]string, len(texts))
	for i, text := range texts {
		clean[i] = text
		if !utf8.ValidString(text) {
			answers[i].flaws = append(answers[i].flaws, flawed{first + i, illFormed})
			clean[i] = wellFormed(text)
		}
	}
	dst, infos := make([]float32, len(texts)*dim), make([]types.Info, len(texts))
	if err := e.m.EmbedBatchInto(ctx, clean, dst, infos); err != nil {
		for i := range answers {
			answers[i].err = err
		}
		return
	}
	for i := range answers {
		a, info := &answers[i], infos[i]
		a.err = info.Err
		a.flaws = append(a.flaws, flawsOf(first+i, info)...)
		if info.RoleMissing {
			a.flaws = append(a.flaws, flawed{first + i, roleMissing})
		}
		r := embedRecord{Index: first + i, Text: clean[i], Tokens: info.Tokens, Truncated: info.Truncated}
		r.set(e.output, dst[i*dim:(i+1)*dim])
		a.record = r
	}
}

// set puts a vector into the record.
func (r *embedRecord) set(output string, v []float32) {
	switch output {
	case "int8":
		r.I8 = make([]int8, len(v))
		scale := simd.QuantizeF32I8(r.I8, v)
		r.Scale = &scale
	case "binary":
		words := make([]uint64, (len(v)+63)/64)
		simd.BinarizeF32U64(words, v)
		var bytes []byte
		for _, w := range words {
			bytes = binary.LittleEndian.AppendUint64(bytes, w)
		}
		r.Bits = make([]int, (len(v)+7)/8)
		for i := range r.Bits {
			r.Bits[i] = int(bytes[i])
		}
	default:
		r.Embedding = v
	}
}

// flawsOf says what of a text its vector does not show.
func flawsOf(index int, info types.Info) (found []flawed) {
	if info.Truncated {
		found = append(found, flawed{index, truncated})
	}
	if info.Known < mostlyUnknown {
		found = append(found, flawed{index, unknown})
	}
	return found
}

// embedText returns the vector of one text, and the text as the model read it.
func embedText(ctx context.Context, m *models.Model, index int, text string, opts []models.Option) ([]float32, string, []flawed, error) {
	var found []flawed
	if !utf8.ValidString(text) {
		found = append(found, flawed{index, illFormed})
		text = wellFormed(text)
	}
	v := make([]float32, m.Dim())
	info, err := m.EmbedInto(ctx, text, v, opts...)
	if err != nil {
		return nil, "", nil, err
	}
	return v, text, append(found, flawsOf(index, info)...), nil
}

// wellFormed replaces each maximal subpart of ill-formed UTF-8 by U+FFFD, as the tokenisers do.
// Package json would replace each byte.
func wellFormed(s string) string {
	// This decoder never fails: it replaces.
	s, _ = unicode.UTF8.NewDecoder().String(s)
	return s
}
