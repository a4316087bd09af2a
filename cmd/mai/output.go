package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
)

// lineWriter writes lines: a string as it is, anything else as JSON. What it holds back goes out with
// flush.
type lineWriter struct {
	buf *bufio.Writer
	enc *json.Encoder
}

func newLineWriter(w io.Writer) *lineWriter {
	buf := bufio.NewWriterSize(w, 1<<16)
	enc := json.NewEncoder(buf)
	enc.SetEscapeHTML(false)
	return &lineWriter{buf, enc}
}

func (w *lineWriter) write(v any) error {
	if line, ok := v.(string); ok {
		_, err := fmt.Fprintln(w.buf, line)
		return outputError(err)
	}
	return outputError(w.enc.Encode(v))
}

func (w *lineWriter) flush() error { return outputError(w.buf.Flush()) }

// outputError says what failed when writing to stdout did.
func outputError(err error) error {
	if err != nil {
		return fmt.Errorf("writing the output: %w", err)
	}
	return nil
}
