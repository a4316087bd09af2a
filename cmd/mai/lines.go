package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"iter"

	"github.com/maida-ai/gomai/models/modelfile"
)

// Items are taken in batches, so that memory is bounded however long the input is: a batch ends after
// maxBatch items or batchBytes bytes, or when no further whole line has arrived yet. So a person or a
// program that writes one line and waits gets its answer.
const (
	maxBatch   = 64
	batchBytes = 1 << 20
	maxLine    = 64 << 20
)

// source is an opened input.
type source[T any] struct {
	kind  kind[T]
	args  []T
	name  string
	r     io.Reader
	c     io.Closer
	jsonl bool
	size  int64 // bytes, 0 if unknown
}

func (s *source[T]) Close() error {
	if s.c != nil {
		return s.c.Close()
	}
	return nil
}

// batch is a run of items.
type batch[T any] struct {
	first int // index of the first item
	items []T
	read  int64 // bytes of the file read so far
}

// batches yields the items in order. An error comes last, after the items before it. It returns soon
// after ctx is done, even while a read blocks.
func (s *source[T]) batches(ctx context.Context) iter.Seq2[batch[T], error] {
	return func(yield func(batch[T], error) bool) {
		if s.args != nil {
			for i := 0; i < len(s.args); i += maxBatch {
				if !yield(batch[T]{first: i, items: s.args[i:min(i+maxBatch, len(s.args))]}, ctx.Err()) {
					return
				}
			}
			return
		}
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		type result struct {
			batch[T]
			err error
		}
		ch := make(chan result)
		go func() {
			defer close(ch)
			r := &lineReader[T]{source: s, buf: bufio.NewReaderSize(s.r, 1<<16)}
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
				if len(r.items) > 0 && !yield(r.batch, nil) || !ok && r.err == nil {
					return
				}
				if r.err != nil {
					yield(batch[T]{}, r.err)
					return
				}
			case <-ctx.Done():
				yield(batch[T]{}, ctx.Err())
				return
			}
		}
	}
}

// lineReader cuts a file into batches.
type lineReader[T any] struct {
	*source[T]
	buf   *bufio.Reader
	line  int   // lines read so far
	index int   // items read so far
	read  int64 // bytes read so far
}

// next returns the next batch. At the end of the file the error is io.EOF, with the last items.
func (r *lineReader[T]) next() (batch[T], error) {
	b := batch[T]{first: r.index}
	for size := 0; len(b.items) < maxBatch && size < batchBytes; {
		start := r.read
		item, ok, err := r.item()
		size += int(r.read - start)
		if ok {
			b.items = append(b.items, item)
			r.index++
		}
		if err != nil {
			b.read = r.read
			return b, err
		}
		if len(b.items) > 0 && !r.lineIsThere() {
			break
		}
	}
	b.read = r.read
	return b, nil
}

// lineIsThere says whether a whole line can be had without waiting.
func (r *lineReader[T]) lineIsThere() bool {
	waiting, err := r.buf.Peek(r.buf.Buffered())
	return err == nil && bytes.IndexByte(waiting, '\n') >= 0
}

// item returns the item of the next line; false if the line holds none. The last line may lack its end
// and comes with io.EOF then.
func (r *lineReader[T]) item() (item T, ok bool, err error) {
	start := r.read
	line, err := r.rawLine()
	if err != nil && err != io.EOF {
		return item, false, err
	}
	if len(line) == 0 && err == io.EOF {
		return item, false, io.EOF
	}
	line = bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))
	if r.line == 1 {
		bare := bytes.TrimPrefix(line, []byte("\ufeff")) // the mark that some editors write
		start += int64(len(line) - len(bare))
		line = bare
	}
	parse := r.kind.plain
	if r.jsonl {
		if len(bytes.TrimSpace(line)) == 0 {
			return item, false, err
		}
		parse = r.kind.jsonLine
	}
	item, bad := parse(line)
	if bad != nil {
		var place *modelfile.Error
		if errors.As(bad, &place) && place.Offset >= 0 {
			place.Offset += start
		}
		return item, false, &inputError{File: r.name, Line: r.line, Err: bad}
	}
	return item, true, err
}

// rawLine reads up to the next end of line, which is included.
func (r *lineReader[T]) rawLine() ([]byte, error) {
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
