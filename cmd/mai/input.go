package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/maida-ai/gomai/models/modelfile"
)

// Texts are taken in batches, so that memory is bounded however long the input is: a batch ends after
// maxBatch texts or batchBytes bytes, or when no further whole line has arrived yet. So a person or a
// program that writes one line and waits gets its answer.
const (
	maxBatch   = 64
	batchBytes = 1 << 20
	maxLine    = 64 << 20
)

// textInput is where a command takes its texts from: --file and --jsonl, or the arguments.
type textInput struct {
	file  string
	jsonl bool
}

func (in *textInput) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&in.file, "file", "", "read the texts from `FILE`, one a line; - is stdin")
	f.BoolVar(&in.jsonl, "jsonl", false, `a line is {"text": "..."}; on by itself for *.jsonl`)
}

// open returns the texts that the command line names.
func (in *textInput) open(args []string, stdin io.Reader) (*texts, error) {
	switch {
	case in.file == "" && len(args) == 0:
		return nil, usagef("no text: give it as an argument, or a file of texts with --file (--file - reads stdin)")
	case in.file != "" && len(args) > 0:
		return nil, usagef("texts both as arguments and from --file %s", in.file)
	case in.file == "" && in.jsonl:
		return nil, usagef("--jsonl tells how to read --file, which is not given")
	case in.file == "":
		return &texts{args: args}, nil
	case in.file == "-":
		return &texts{name: "stdin", r: stdin, jsonl: in.jsonl}, nil
	}
	f, err := os.Open(in.file)
	if err != nil {
		return nil, &inputError{File: in.file, Err: cause(err)}
	}
	info, err := f.Stat()
	if err == nil && info.IsDir() {
		err = errors.New("a directory where a file belongs")
	}
	if err != nil {
		f.Close()
		return nil, &inputError{File: in.file, Err: cause(err)}
	}
	t := &texts{name: in.file, r: f, c: f, jsonl: in.jsonl || strings.EqualFold(filepath.Ext(in.file), ".jsonl")}
	if info.Mode().IsRegular() {
		t.size = info.Size()
	}
	return t, nil
}

// cause drops the operation and path that package os puts before an error.
func cause(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// texts is an opened textInput.
type texts struct {
	args  []string
	name  string
	r     io.Reader
	c     io.Closer
	jsonl bool
	size  int64 // bytes, 0 if unknown
}

func (t *texts) Close() error {
	if t.c != nil {
		return t.c.Close()
	}
	return nil
}

// batch is a run of texts.
type batch struct {
	first int // index of the first text
	texts []string
	read  int64 // bytes of the file read so far
}

// batches yields the texts in order. An error comes last, after the texts before it. It returns soon
// after ctx is done, even while a read blocks.
func (t *texts) batches(ctx context.Context) iter.Seq2[batch, error] {
	return func(yield func(batch, error) bool) {
		if t.args != nil {
			for i := 0; i < len(t.args); i += maxBatch {
				if !yield(batch{first: i, texts: t.args[i:min(i+maxBatch, len(t.args))]}, ctx.Err()) {
					return
				}
			}
			return
		}
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		type result struct {
			batch
			err error
		}
		ch := make(chan result)
		go func() {
			defer close(ch)
			r := &lineReader{texts: t, buf: bufio.NewReaderSize(t.r, 1<<16)}
			for more := true; more; {
				b, err := r.next()
				more = err == nil
				if err == io.EOF {
					err = nil
				}
				select {
				case ch <- result{b, err}:
				case <-ctx.Done():
					return
				}
			}
		}()
		for {
			select {
			case r, ok := <-ch:
				if !ok {
					r.err = ctx.Err() // the reader may have noticed first
				}
				if len(r.texts) > 0 && !yield(r.batch, nil) || !ok && r.err == nil {
					return
				}
				if r.err != nil {
					yield(batch{}, r.err)
					return
				}
			case <-ctx.Done():
				yield(batch{}, ctx.Err())
				return
			}
		}
	}
}

// lineReader cuts a file into batches.
type lineReader struct {
	*texts
	buf   *bufio.Reader
	line  int   // lines read so far
	index int   // texts read so far
	read  int64 // bytes read so far
}

// next returns the next batch. At the end of the file the error is io.EOF, with the last texts.
func (r *lineReader) next() (batch, error) {
	b := batch{first: r.index}
	for size := 0; len(b.texts) < maxBatch && size < batchBytes; {
		text, ok, err := r.text()
		if ok {
			b.texts = append(b.texts, text)
			r.index++
			size += len(text)
		}
		if err != nil {
			b.read = r.read
			return b, err
		}
		if len(b.texts) > 0 && !r.lineIsThere() {
			break
		}
	}
	b.read = r.read
	return b, nil
}

// lineIsThere says whether a whole line can be had without waiting.
func (r *lineReader) lineIsThere() bool {
	waiting, err := r.buf.Peek(r.buf.Buffered())
	return err == nil && bytes.IndexByte(waiting, '\n') >= 0
}

// text returns the text of the next line; false if the line holds none. The last line may lack its
// end and comes with io.EOF then.
func (r *lineReader) text() (string, bool, error) {
	start := r.read
	line, err := r.rawLine()
	if err != nil && err != io.EOF {
		return "", false, err
	}
	if len(line) == 0 && err == io.EOF {
		return "", false, io.EOF
	}
	line = bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))
	if r.line == 1 {
		bare := bytes.TrimPrefix(line, []byte("\ufeff")) // the mark that some editors write
		start += int64(len(line) - len(bare))
		line = bare
	}
	if !r.jsonl {
		return string(line), true, err
	}
	if len(bytes.TrimSpace(line)) == 0 {
		return "", false, err
	}
	var v struct {
		Text *string `json:"text"`
	}
	bad := modelfile.DecodeJSON("", line, &v)
	var place *modelfile.Error
	switch {
	case errors.As(bad, &place) && place.Offset >= 0:
		place.Offset += start
	case bad == nil && v.Text == nil:
		bad = modelfile.Errorf("", "text", "missing, or null")
	}
	if bad != nil {
		return "", false, &inputError{File: r.name, Line: r.line, Err: bad}
	}
	return *v.Text, true, err
}

// rawLine reads up to the next end of line, which is included.
func (r *lineReader) rawLine() ([]byte, error) {
	r.line++
	var line []byte
	for {
		part, err := r.buf.ReadSlice('\n')
		r.read += int64(len(part))
		if len(line)+len(part) > maxLine {
			return nil, &inputError{File: r.name, Line: r.line, Err: errors.New("longer than 64 MiB")}
		}
		if line == nil && err == nil {
			return part, nil // valid until the next read
		}
		line = append(line, part...)
		switch err {
		case nil, io.EOF:
			return line, err
		case bufio.ErrBufferFull:
		default:
			return nil, &inputError{File: r.name, Line: r.line, Err: cause(err)}
		}
	}
}
