package main

import (
	"bufio"
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/maida-ai/gomai/models/modelfile"
)

// vectors is what a file of vectors holds.
type vectors struct {
	file  string
	dim   int
	rows  []float32 // (n, dim)
	texts []string  // of each row, or nil
}

// vectorLine is a line that embed writes, as far as search reads it.
type vectorLine struct {
	text      *string
	embedding []float32
}

// vectorLines are the lines of embed.
var vectorLines = kind[vectorLine]{
	item: "vector",
	jsonLine: func(line []byte) (vectorLine, error) {
		var v struct {
			Text      *string   `json:"text"`
			Embedding []float32 `json:"embedding"`
		}
		if err := modelfile.DecodeJSON("", line, &v); err != nil {
			return vectorLine{}, err
		}
		if len(v.Embedding) == 0 {
			return vectorLine{}, missing("embedding")
		}
		return vectorLine{v.Text, v.Embedding}, nil
	},
}

// readVectors reads a file of vectors, whose first bytes tell which kind it is, or lines from stdin.
func readVectors(cmd *cobra.Command, path string) (*vectors, error) {
	if path == "-" {
		v := &vectors{file: "stdin"}
		return v, v.readLines(cmd.Context(), cmd.InOrStdin(), newProgress(cmd, 0))
	}
	v := &vectors{file: path}
	f, info, err := openFile(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	size := int64(0)
	if info.Mode().IsRegular() {
		size = info.Size()
	}
	bar := newProgress(cmd, size)
	defer bar.finish()
	buf := bufio.NewReaderSize(f, 1<<16)
	if first, err := buf.Peek(len(npyMagic)); err == nil && string(first) == npyMagic {
		return v, v.readNPY(cmd.Context(), buf, size, bar)
	}
	return v, v.readLines(cmd.Context(), buf, bar)
}

// readLines reads what embed writes.
func (v *vectors) readLines(ctx context.Context, r io.Reader, bar *progress) error {
	source := &source[vectorLine]{kind: vectorLines, name: v.file, r: r, jsonl: true}
	n, texts := 0, false
	for b, err := range source.batches(ctx) {
		if err != nil {
			return err
		}
		for _, line := range b.items {
			if n == 0 {
				v.dim = len(line.embedding)
			}
			if len(line.embedding) != v.dim {
				return &inputError{File: v.file, Err: fmt.Errorf("vector %d has %d components, those before it %d", n, len(line.embedding), v.dim)}
			}
			v.rows = append(v.rows, line.embedding...)
			v.texts = append(v.texts, "")
			if line.text != nil {
				v.texts[n], texts = *line.text, true
			}
			n++
		}
		bar.set(b.read)
	}
	if !texts {
		v.texts = nil
	}
	return nil
}
