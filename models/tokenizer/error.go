package tokenizer

import (
	"fmt"
	"strings"
)

// Error says what is wrong with a tokeniser's file, or with a text.
type Error struct {
	File   string // "" if it is no file
	Offset int64  // byte in File; -1 if the error has no place
	Field  string // such as model.vocab; "" if there is none
	Err    error
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("tokenizer: ")
	if e.File != "" {
		fmt.Fprintf(&b, "%s: ", e.File)
	}
	if e.Offset >= 0 {
		fmt.Fprintf(&b, "offset %d: ", e.Offset)
	}
	if e.Field != "" {
		fmt.Fprintf(&b, "%s: ", e.Field)
	}
	b.WriteString(e.Err.Error())
	return b.String()
}

func (e *Error) Unwrap() error { return e.Err }
