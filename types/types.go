// Package types holds the words that the numeric and the execution column share: texts, tokens,
// embeddings and the interfaces between them. It computes nothing, knows no file format and imports
// no other package of the project.
package types

import (
	"context"
	"fmt"
)

// RawText is text before tokenisation: valid or broken UTF-8, any length.
type RawText = string

// Offset is the half-open byte range of a token in its text. Special tokens have {0, 0}.
type Offset struct {
	Start, End int32
}

// VocabID names a vocabulary together with the rules that split text: equal IDs give equal ids.
type VocabID string

// TokenizedText is what a tokeniser makes of one text. The zero value is ready to be filled; filling
// it again reuses its slices.
type TokenizedText struct {
	IDs     []int32  // (tokens,), special tokens included, never truncated
	Offsets []Offset // (tokens,)
	Known   float32  // share of the tokens, special ones aside, that the vocabulary knows; 1 if there are none
	Invalid int32    // maximal subparts of ill-formed UTF-8 that were read as U+FFFD
	Vocab   VocabID
}

// Tokenizer splits text into the ids of a vocabulary. Implementations are safe for concurrent use.
type Tokenizer interface {
	// TokenizeInto fills dst, reusing its slices.
	TokenizeInto(text string, dst *TokenizedText) error
	// Vocab names the vocabulary and the splitting rules.
	Vocab() VocabID
}

// SpaceID says which vectors may be compared with each other. It covers weights, tokeniser, pooling,
// role, dimension and precision; equal texts under equal SpaceIDs have equal vectors.
type SpaceID string

// SpaceError is returned when vectors of two spaces are compared or mixed.
type SpaceError struct {
	A, B SpaceID
}

func (e *SpaceError) Error() string {
	return fmt.Sprintf("embeddings of different spaces: %q and %q", string(e.A), string(e.B))
}

// Embedding is one vector. Exactly one of F32, I8 and Bits is set.
type Embedding struct {
	F32   []float32 // (dim,)
	I8    []int8    // (dim,), quanta: multiply by Scale for reals
	Bits  []uint64  // (dim/64,) rounded up, signs, bit i%64 of word i/64 is component i
	Scale float32
	Space SpaceID
}

// Info says what a model saw of a text.
type Info struct {
	Tokens      int     // after truncation, special tokens included: what the model saw
	Truncated   bool    // the text was longer than the limit
	RoleMissing bool    // the model was trained to be told queries from documents, and was not told
	Known       float32 // share of known tokens before truncation, special ones aside; 1 for an empty text
	Err         error   // in a batch: why this text has no vector
}

// EmbedOption is a setting of one embedding call. Package models makes them. Through an interface a
// call's options escape, so callers that must not allocate keep the slice.
type EmbedOption struct {
	Kind  EmbedOptionKind
	Value int64
	Any   any // what is no number: a logger, a name
}

// EmbedOptionKind tells the settings apart.
type EmbedOptionKind uint8

// The settings that package models defines.
const (
	OptionNone EmbedOptionKind = iota
	OptionRole
	OptionMaxTokens
	OptionOverflow
	OptionPrecision
	OptionLogger
	OptionBatching
	OptionClass
	OptionQueueLimit
	OptionDimensions
	OptionOutput
	OptionTokenizer
	OptionCalibration
	OptionSpread
	OptionProgress
	OptionLicence
	OptionCache
)

// Embedder turns text into vectors. Implementations are safe for concurrent use.
type Embedder interface {
	// Dim is the number of components of a vector.
	Dim() int
	// Space names the space of the vectors made without options.
	Space() SpaceID
	// EmbedInto writes the vector of text to dst. len(dst) must be Dim.
	EmbedInto(ctx context.Context, text string, dst []float32, opts ...EmbedOption) (Info, error)
	// EmbedBatchInto writes the vectors of texts to dst, (len(texts), Dim) row by row, and what the
	// model saw of each to infos, which is nil or as long as texts. A text that fails does so alone:
	// its row is zero and its Info has Err.
	EmbedBatchInto(ctx context.Context, texts []string, dst []float32, infos []Info, opts ...EmbedOption) error
}

// TokenEmbedder is an Embedder that also takes tokens made earlier.
type TokenEmbedder interface {
	Embedder
	// EmbedTokensInto is EmbedInto for a text that is already tokenised; ids beyond the model's
	// limit are dropped and the special token at the end kept. Tokens of another vocabulary are an error.
	EmbedTokensInto(ctx context.Context, tokens *TokenizedText, dst []float32, opts ...EmbedOption) (Info, error)
}

// Runner spreads n independent pieces of work over goroutines and returns when all are done. A nil
// Runner means the caller's own goroutine.
type Runner interface {
	Run(n int, f func(i int))
}
