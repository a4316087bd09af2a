package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/spf13/cobra"
)

// stream makes a record of each item, on all cores, and writes the records to stdout, one a line, in
// the order of the items. f is called from several goroutines; it returns the record and the flaws of
// the texts of the item with that index. Memory is bounded by the batches of items. The first error
// ends the stream after the records before it.
func stream[T, R any](cmd *cobra.Command, in *source[T], f func(ctx context.Context, index int, item T) (R, []flawed, error)) error {
	ctx := cmd.Context()
	out := newLineWriter(cmd.OutOrStdout())
	bar := newProgress(cmd, in.size)
	warn := &warnings{w: bar, nameOf: in.kind.nameOf}
	done := 0
	err := func() error {
		defer bar.finish()
		var results [maxBatch]struct {
			record R
			flaws  []flawed
			err    error
		}
		for b, err := range in.batches(ctx) {
			if err != nil {
				return err
			}
			parallel(len(b.items), func(i int) {
				r := &results[i]
				r.record, r.flaws, r.err = f(ctx, b.first+i, b.items[i])
			})
			for i := range b.items {
				r := &results[i]
				if r.err != nil {
					return errors.Join(fmt.Errorf("%s %d: %w", in.kind.item, b.first+i, r.err), out.flush())
				}
				for _, f := range r.flaws {
					warn.tell(f)
				}
				if err := out.write(r.record); err != nil {
					return err
				}
				done++
			}
			if err := out.flush(); err != nil {
				return err
			}
			bar.set(b.read)
		}
		return nil
	}()
	warn.sum(done * in.kind.texts)
	if err == nil && done == 0 {
		fmt.Fprintf(cmd.ErrOrStderr(), "mai: warning: %s holds no %s\n", in.name, in.kind.item)
	}
	return err
}

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
