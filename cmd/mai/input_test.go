package main

import (
	"context"
	"errors"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

// collect reads all texts and checks that they are numbered.
func collect(t *testing.T, in *source[string]) ([]string, error) {
	t.Helper()
	var all []string
	for b, err := range in.batches(t.Context()) {
		if err != nil {
			return all, err
		}
		if b.first != len(all) || len(b.items) == 0 || len(b.items) > maxBatch {
			t.Errorf("batch of %d texts starts at %d, after %d", len(b.items), b.first, len(all))
		}
		all = append(all, b.items...)
	}
	return all, nil
}

func TestLines(t *testing.T) {
	long := strings.Repeat("x", 1<<20)
	many := slices.Repeat([]string{"a", "", "bc"}, 100)
	for _, c := range []struct {
		name, input string
		want        []string
	}{
		{"empty", "", nil},
		{"one blank line", "\n", []string{""}},
		{"no end of the last line", "a\nb", []string{"a", "b"}},
		{"blank lines are texts", "\n\na\n\n", []string{"", "", "a", ""}},
		{"Windows", "\ufeffa\r\nb\r\n\r\n", []string{"a", "b", ""}},
		{"only a mark", "\ufeff", []string{""}},
		{"bytes that are no UTF-8 and NUL", "a\xff\x00b\n", []string{"a\xff\x00b"}},
		{"longer than the buffer", long + "\n" + long, []string{long, long}},
		{"many", strings.Join(many, "\n") + "\n", many},
	} {
		for _, r := range []io.Reader{
			strings.NewReader(c.input),
			iotest.DataErrReader(strings.NewReader(c.input)),
			iotest.HalfReader(strings.NewReader(c.input)),
		} {
			got, err := collect(t, &source[string]{kind: texts, name: "f", r: r})
			if err != nil || !slices.Equal(got, c.want) {
				t.Errorf("%s: %d texts, %v; want %d", c.name, len(got), err, len(c.want))
			}
		}
	}
}

func TestJSONLines(t *testing.T) {
	got, err := collect(t, &source[string]{kind: texts, name: "f", jsonl: true, r: strings.NewReader(
		"\ufeff{\"text\": \"a\\nb\"}\r\n\n  \n{\"id\": 1, \"text\": \"\"}\n{\"text\":\"c\"}")})
	if want := []string{"a\nb", "", "c"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}

	for _, c := range []struct{ input, message string }{
		{"{\"text\": \"a\"}\n\n{\"text\": b}\n", `f: line 3: offset 24: broken JSON`},
		{"{\"text\": \"a\"}\n{\"text\": \"b", `f: line 2: offset 25: broken JSON`},
		{"{\"text\": \"a\"}\n{\"text\": \"\xff\"}", `f: line 2: offset 24: not UTF-8`},
		{"{\"text\": \"a\"}\n{\"text\": 1}", `f: line 2: offset 24: "text": a JSON number where string is expected`},
		{"{\"text\": \"a\"}\n{\"texts\": \"b\"}", `f: line 2: "text": missing, or null`},
		{"{\"text\": \"a\"}\n{\"text\": null}", `f: line 2: "text": missing, or null`},
		{"{\"text\": \"a\"}\n{\"text\": \"b\"} x", `f: line 2: offset 28: broken JSON`},
	} {
		got, err := collect(t, &source[string]{kind: texts, name: "f", jsonl: true, r: strings.NewReader(c.input)})
		var bad *inputError
		if !errors.As(err, &bad) || !strings.HasPrefix(err.Error(), c.message) {
			t.Errorf("%q: error %q, want %q", c.input, err, c.message)
		}
		if want := []string{"a"}; !slices.Equal(got, want) {
			t.Errorf("%q: texts before the error are %q, want %q", c.input, got, want)
		}
	}
}

func TestLineTooLong(t *testing.T) {
	_, err := collect(t, &source[string]{kind: texts, name: "f", r: io.LimitReader(letters{}, maxLine+1)})
	var bad *inputError
	if !errors.As(err, &bad) || bad.Line != 1 {
		t.Errorf("a line beyond the limit: %v", err)
	}
}

// letters is an endless line.
type letters struct{}

func (letters) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

func TestReadError(t *testing.T) {
	broken := errors.New("broken disk")
	r := io.MultiReader(strings.NewReader("a\nb\nc"), iotest.ErrReader(broken))
	got, err := collect(t, &source[string]{kind: texts, name: "f", r: r})
	if want := []string{"a", "b"}; !errors.Is(err, broken) || !slices.Equal(got, want) {
		t.Errorf("got %q, %v; want %q and the reader's error", got, err, want)
	}
}

// A line that has arrived is answered although the next has not, and a read that blocks does not keep
// the command from ending.
func TestBatchesDoNotWait(t *testing.T) {
	r, w := io.Pipe()
	defer w.Close()
	go w.Write([]byte("first\nhalf of the sec"))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var got []string
	for b, err := range (&source[string]{kind: texts, name: "f", r: r}).batches(ctx) {
		if err != nil {
			if !errors.Is(err, context.Canceled) {
				t.Errorf("after cancelling: %v", err)
			}
			break
		}
		got = append(got, b.items...)
		cancel()
	}
	if want := []string{"first"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestBatchesBoundMemory(t *testing.T) {
	line := strings.Repeat("x", batchBytes/4) + "\n"
	for b, err := range (&source[string]{kind: texts, name: "f", r: strings.NewReader(strings.Repeat(line, 64))}).batches(t.Context()) {
		if size := len(strings.Join(b.items, "")); err != nil || size > 2*batchBytes {
			t.Errorf("batch of %d bytes, %v", size, err)
		}
	}
}

// The error of a cancelled context is never lost, whoever notices first: here the goroutine that reads
// has time to end while the consumer is busy.
func TestBatchesCancelled(t *testing.T) {
	lines := strings.Repeat("a\n", 2*maxBatch)
	for range 100 {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var last error
		for _, err := range (&source[string]{kind: texts, name: "f", r: strings.NewReader(lines)}).batches(ctx) {
			last = err
			cancel()
			for range 100 {
				runtime.Gosched()
			}
		}
		if !errors.Is(last, context.Canceled) {
			t.Fatalf("the texts end with %v", last)
		}
	}
}
