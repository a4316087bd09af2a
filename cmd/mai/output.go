package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
)

// lineWriter writes lines. What it holds back goes out with flush.
type lineWriter struct {
	buf *bufio.Writer
}

func newLineWriter(w io.Writer) *lineWriter {
	return &lineWriter{bufio.NewWriterSize(w, 1<<16)}
}

func (w *lineWriter) write(line []byte) error {
	_, err := w.buf.Write(line)
	return outputError(err)
}

func (w *lineWriter) flush() error { return outputError(w.buf.Flush()) }

// appendLine adds a record to b with an end of line: a string as it is, anything else as JSON.
func appendLine(b *bytes.Buffer, record any) error {
	if line, ok := record.(string); ok {
		b.WriteString(line)
		b.WriteByte('\n')
		return nil
	}
	enc := json.NewEncoder(b)
	enc.SetEscapeHTML(false)
	return enc.Encode(record)
}

// outputError says what failed when writing to stdout did.
func outputError(err error) error {
	if err != nil {
		return fmt.Errorf("writing the output: %w", err)
	}
	return nil
}
