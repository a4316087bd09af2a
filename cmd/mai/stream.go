package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/spf13/cobra"
)

// answer is what a command makes of an item: a record, see appendLine, or an error.
type answer struct {
	record any
	flaws  []flawed
	err    error
}

// stream makes a record of each item, on all cores, and writes the records to stdout, one a line, in
// the order of the items. f is called from several goroutines; it returns the record and the flaws of
// the texts of the item with that index. Memory is bounded by a few batches of items. The first error
// ends the stream after the records before it.
func stream[T, R any](cmd *cobra.Command, in *source[T], f func(ctx context.Context, index int, item T) (R, []flawed, error)) error {
	return streamGroups(cmd, in, runtime.GOMAXPROCS(0), 1, func(ctx context.Context, first int, items []T, answers []answer) {
		for i, item := range items {
			a := &answers[i]
			a.record, a.flaws, a.err = f(ctx, first+i, item)
		}
	})
}

// streamGroups is stream for an f that answers up to group items at a time, on that many threads.
func streamGroups[T any](cmd *cobra.Command, in *source[T], threads, group int, f func(ctx context.Context, first int, items []T, answers []answer)) error {
	out := newLineWriter(cmd.OutOrStdout())
	bar := newProgress(cmd, in.size)
	warn := &warnings{w: bar, nameOf: in.kind.nameOf}
	done := 0
	err := func() error {
		defer bar.finish()
		ctx, cancel := context.WithCancel(cmd.Context())
		p := newPipeline(ctx, in, threads, group, f)
		defer p.wait() // f is not called after stream has returned
		defer cancel()
		for j := range p.jobs {
			if j.err != nil {
				return j.err
			}
			select {
			case <-j.done:
			case <-ctx.Done():
				return ctx.Err()
			}
			for i := range j.items {
				a := &j.answers[i]
				if a.err != nil {
					return errors.Join(fmt.Errorf("%s %d: %w", in.kind.item, j.first+i, a.err), out.flush())
				}
				for _, f := range a.flaws {
					warn.tell(f)
				}
				if err := out.write(j.lines[i].Bytes()); err != nil {
					return err
				}
				done++
			}
			if err := out.flush(); err != nil {
				return err
			}
			bar.set(j.read)
			p.free(j)
		}
		return ctx.Err()
	}()
	warn.sum(done * in.kind.texts)
	if err == nil && done == 0 {
		fmt.Fprintf(cmd.ErrOrStderr(), "mai: warning: %s holds no %s\n", in.name, in.kind.item)
	}
	return err
}

// pipeline answers batches of items on several goroutines: the next batches are read and answered while
// one is written. Their number bounds its memory.
type pipeline[T any] struct {
	jobs    chan *job[T] // in the order of the items, done or not; closed at the end
	spare   chan *job[T]
	workers sync.WaitGroup
}

// job is a batch and what has been made of it.
type job[T any] struct {
	batch[T]
	err     error // of reading; the last job has it, and no items
	answers [maxBatch]answer
	lines   [maxBatch]bytes.Buffer // the records as they are written
	left    atomic.Int64           // groups without answers
	done    chan struct{}          // gets a token when there are none left
}

// part is a group of the items of a job.
type part[T any] struct {
	job        *job[T]
	begin, end int
}

func newPipeline[T any](ctx context.Context, in *source[T], threads, group int, f func(ctx context.Context, first int, items []T, answers []answer)) *pipeline[T] {
	batches := 3 + threads*group/maxBatch
	p := &pipeline[T]{jobs: make(chan *job[T], batches), spare: make(chan *job[T], batches)}
	for range batches {
		p.spare <- &job[T]{done: make(chan struct{}, 1)}
	}
	parts := make(chan part[T])
	p.workers.Go(func() {
		defer close(p.jobs)
		defer close(parts)
		for b, err := range in.batches(ctx) {
			var j *job[T]
			select {
			case j = <-p.spare:
			case <-ctx.Done():
				return
			}
			j.batch, j.err = b, err
			n := len(b.items)
			j.left.Store(int64((n + group - 1) / group))
			p.jobs <- j // there is room for all
			for i := 0; i < n; i += group {
				select {
				case parts <- part[T]{j, i, min(i+group, n)}:
				case <-ctx.Done():
					return
				}
			}
		}
	})
	for range threads {
		p.workers.Go(func() {
			for part := range parts {
				part.job.answer(ctx, part.begin, part.end, f)
			}
		})
	}
	return p
}

// answer fills in what is made of the items from begin to end.
func (j *job[T]) answer(ctx context.Context, begin, end int, f func(ctx context.Context, first int, items []T, answers []answer)) {
	answers := j.answers[begin:end]
	clear(answers)
	f(ctx, j.first+begin, j.items[begin:end], answers)
	for i := range answers {
		a, line := &answers[i], &j.lines[begin+i]
		line.Reset()
		if a.err == nil {
			a.err = appendLine(line, a.record)
		}
		a.record = nil
	}
	if j.left.Add(-1) == 0 {
		j.done <- struct{}{}
	}
}

// keptLine bounds the memory of a line that is kept for the next one.
const keptLine = 1 << 16

// free gives the memory of a job back.
func (p *pipeline[T]) free(j *job[T]) {
	j.items = nil
	for i := range j.lines {
		if j.lines[i].Cap() > keptLine {
			j.lines[i] = bytes.Buffer{}
		}
	}
	p.spare <- j
}

// wait returns when all goroutines have ended, which they do soon after ctx is done.
func (p *pipeline[T]) wait() { p.workers.Wait() }

// parallel calls f with 0 to n-1, on as many goroutines as there are cores, and returns when all
// calls have.
func parallel(n int, f func(i int)) {
	var next atomic.Int64
	work := func() {
		for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
			f(int(i))
		}
	}
	var wg sync.WaitGroup
	for range min(n, runtime.GOMAXPROCS(0)) - 1 {
		wg.Go(work)
	}
	work()
	wg.Wait()
}
