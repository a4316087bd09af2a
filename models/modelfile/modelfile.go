// Package modelfile reads the small files of a model folder (configurations, vocabularies) and holds
// the one error that every reader of model files returns. It knows no format but JSON: what a field
// means is the business of its callers.
package modelfile

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"
)

// MaxSize bounds what ReadFile takes into memory: the largest tokenizer.json in use has 35 MB.
const MaxSize = 1 << 29

// Error says which file of a model is bad, where and why. Every reader in models/ returns it, so a
// caller tells a bad model from other failures with errors.As.
type Error struct {
	File   string // as it was opened; empty when the reader got bytes without a name
	Offset int64  // bytes from the start of the file, -1 when the error has no place in it
	Field  string // the JSON field, tensor or module concerned, or empty
	Reason string // what is wrong, for people
	Err    error  // the cause, or nil
}

// Errorf makes an Error without a place in the file.
func Errorf(file, field, format string, args ...any) *Error {
	return &Error{File: file, Offset: -1, Field: field, Reason: fmt.Sprintf(format, args...)}
}

func (e *Error) Error() string {
	var parts []string
	if e.File != "" {
		parts = append(parts, e.File)
	}
	if e.Offset >= 0 {
		parts = append(parts, fmt.Sprintf("offset %d", e.Offset))
	}
	if e.Field != "" {
		parts = append(parts, strconv.Quote(e.Field))
	}
	if e.Reason != "" {
		parts = append(parts, e.Reason)
	}
	if e.Err != nil {
		parts = append(parts, e.Err.Error())
	}
	return strings.Join(parts, ": ")
}

func (e *Error) Unwrap() error { return e.Err }

// ReadFile reads a whole file of a model. A missing file, a directory, an empty file and one beyond
// MaxSize are each an *Error; a missing one also matches fs.ErrNotExist.
func ReadFile(fsys fs.FS, name string) ([]byte, error) {
	info, err := fs.Stat(fsys, name)
	if err != nil {
		return nil, Wrap(name, err)
	}
	if err := CheckInfo(name, info); err != nil {
		return nil, err
	}
	if info.Size() > MaxSize {
		return nil, Errorf(name, "", "file of %d bytes, at most %d are read", info.Size(), MaxSize)
	}
	data, err := fs.ReadFile(fsys, name)
	if err != nil {
		return nil, Wrap(name, err)
	}
	if len(data) == 0 {
		return nil, Errorf(name, "", "empty file")
	}
	return data, nil
}

// CheckInfo refuses what cannot be a model file: a directory, a device or pipe, an empty file.
func CheckInfo(name string, info fs.FileInfo) error {
	switch {
	case info.IsDir():
		return Errorf(name, "", "a directory where a file belongs")
	case !info.Mode().IsRegular():
		return Errorf(name, "", "not a regular file")
	case info.Size() == 0:
		return Errorf(name, "", "empty file")
	}
	return nil
}

// DecodeJSON decodes data, the content of file, into v. Broken syntax, a value of the wrong type,
// ill-formed UTF-8 and anything after the value are an *Error with the offset where it was noticed.
func DecodeJSON(file string, data []byte, v any) error {
	if i := InvalidUTF8(data); i >= 0 {
		return &Error{File: file, Offset: int64(i), Reason: "not UTF-8"}
	}
	err := json.Unmarshal(data, v)
	if err == nil {
		return nil
	}
	e := &Error{File: file, Offset: -1, Reason: "broken JSON", Err: err}
	var syntax *json.SyntaxError
	var wrong *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		// encoding/json counts the byte that it stumbled over; where the input ends there is none.
		e.Offset = syntax.Offset
		if syntax.Error() != "unexpected end of JSON input" {
			e.Offset--
		}
	case errors.As(err, &wrong):
		e.Offset, e.Field = wrong.Offset, wrong.Field
		e.Reason, e.Err = fmt.Sprintf("a JSON %s where %s is expected", wrong.Value, expected(wrong.Type)), nil
	}
	return e
}

// expected is what JSON calls a value for a t. Numbers keep Go's name, which tells what is too large.
func expected(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Pointer:
		return expected(t.Elem())
	case reflect.Struct, reflect.Map:
		return "an object"
	case reflect.Slice, reflect.Array:
		return "an array"
	}
	return t.Kind().String()
}

// ReadJSON is ReadFile followed by DecodeJSON.
func ReadJSON(fsys fs.FS, name string, v any) error {
	data, err := ReadFile(fsys, name)
	if err != nil {
		return err
	}
	return DecodeJSON(name, data, v)
}

// InvalidUTF8 is the offset of the first byte of data that is no UTF-8, or -1.
func InvalidUTF8(data []byte) int {
	if utf8.Valid(data) {
		return -1
	}
	for i := 0; i < len(data); {
		r, n := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return -1
}

// Wrap makes an Error of what package os or fs returned for a file. Their operation and path are
// dropped: Error names the file.
func Wrap(name string, err error) *Error {
	var p *fs.PathError
	if errors.As(err, &p) {
		err = p.Err
	}
	return &Error{File: name, Offset: -1, Err: err}
}
