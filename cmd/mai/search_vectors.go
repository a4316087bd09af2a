package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

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

// vectorLines are the lines of embed, all of as many components as the first.
func vectorLines() kind[vectorLine] {
	dim := 0
	return kind[vectorLine]{
		item: "vector",
		jsonLine: func(line []byte) (vectorLine, error) {
			v, err := parseVector(line)
			switch n := len(v.embedding); {
			case err != nil && dim == 0:
				return v, notVectors(line, err)
			case err != nil:
				return v, err
			case dim != 0 && n != dim:
				return v, modelfile.Errorf("", "embedding", "components: %d, in the lines before: %d", n, dim)
			default:
				dim = n
			}
			return v, nil
		},
	}
}

func parseVector(line []byte) (vectorLine, error) {
	var v struct {
		Text      *string   `json:"text"`
		Embedding []float32 `json:"embedding"`
	}
	if err := modelfile.DecodeJSON("", line, &v); err != nil {
		return vectorLine{}, err
	}
	if v.Embedding == nil {
		return vectorLine{}, missing("embedding")
	}
	if len(v.Embedding) == 0 {
		return vectorLine{}, modelfile.Errorf("", "embedding", "empty")
	}
	// encoding/json leaves a number as it is where the text has null. Pointers show it, but take thrice
	// the memory, so only a line that has the word is read again.
	if bytes.Contains(line, []byte("null")) {
		var nulls struct {
			Embedding []*float32 `json:"embedding"`
		}
		if err := modelfile.DecodeJSON("", line, &nulls); err != nil {
			return vectorLine{}, err
		}
		if i := slices.Index(nulls.Embedding, nil); i >= 0 {
			return vectorLine{}, modelfile.Errorf("", "embedding", "component %d is null", i)
		}
	}
	return vectorLine{v.Text, v.Embedding}, nil
}

// notVectors is err, or says what a file really is that begins with line.
func notVectors(line []byte, err error) error {
	switch {
	case bytes.HasPrefix(line, []byte(npyMagic)):
		return errors.New("a .npy file, which is not read from stdin: give its name")
	case bytes.HasPrefix(line, []byte("PK\x03\x04")):
		return errors.New("a .npz or other zip file: save one array with numpy.save")
	case !bytes.HasPrefix(bytes.TrimSpace(line), []byte("{")):
		return fmt.Errorf("%w; make vectors with 'mai embed --file'", err)
	}
	return err
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
	source := &source[vectorLine]{kind: vectorLines(), name: v.file, r: r, jsonl: true}
	n, texts := 0, false
	for b, err := range source.batches(ctx) {
		if err != nil {
			return err
		}
		for _, line := range b.items {
			if n == 0 {
				v.dim = len(line.embedding)
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
