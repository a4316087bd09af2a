package models

import (
	"errors"
	"fmt"

	"github.com/maida-ai/gomai/models/modelfile"
	"github.com/maida-ai/gomai/types"
)

// FormatError says which file of a model is bad, where and why: what Open returns for a model that
// cannot be read.
type FormatError = modelfile.Error

// ErrClosed is returned by every call on a closed Model.
var ErrClosed = errors.New("models: the model is closed")

// ErrNotFinite is returned when weights, though finite themselves, drive a text's vector to NaN or
// infinity.
var ErrNotFinite = errors.New("models: the vector is not finite")

// ErrOverloaded is returned at once when as many calls as QueueLimit says wait for a processor already.
var ErrOverloaded = errors.New("models: too many calls wait")

// PanicError is a panic of an encoder, turned into the error of the text that made it. It is a defect
// of gomai.
type PanicError struct {
	Value any
	Stack []byte
}

func (e *PanicError) Error() string { return fmt.Sprint("models: panic: ", e.Value) }

// Unwrap returns the value if it is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// LengthError is returned for a text, or ids, of more tokens than are allowed.
type LengthError struct {
	Tokens, Max int // special tokens included
}

func (e *LengthError) Error() string {
	return fmt.Sprintf("models: %d tokens, at most %d are allowed", e.Tokens, e.Max)
}

// IDError is returned for an id that the model's vocabulary does not have.
type IDError struct {
	Index int   // in the ids of the call
	ID    int32 // what was found there
	Size  int   // of the vocabulary: ids are below it
}

func (e *IDError) Error() string {
	return fmt.Sprintf("models: ids[%d] is %d, outside the vocabulary of %d tokens", e.Index, e.ID, e.Size)
}

// SizeError is returned when a caller's slice does not have the length that the call needs.
type SizeError struct {
	Slice     string // its name in the call
	Len, Want int
}

func (e *SizeError) Error() string {
	return fmt.Sprintf("models: %s has length %d, want %d", e.Slice, e.Len, e.Want)
}

// VocabError is returned for tokens of another vocabulary than the model's.
type VocabError struct {
	Got, Want types.VocabID
}

func (e *VocabError) Error() string {
	return fmt.Sprintf("models: tokens of the vocabulary %q given to a model with %q", string(e.Got), string(e.Want))
}
