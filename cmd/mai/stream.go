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

// stream makes a record of each text, on all cores, and writes the records to stdout as JSON lines,
// in the order of the texts. f is called from several goroutines; it returns the record and the flaws
// of the text with that index. Memory is bounded by the batches of texts. The first error ends the
// stream after the records before it.
func stream[R any](cmd *cobra.Command, in *texts, f func(ctx context.Context, index int, text string) (R, []flaw, error)) error {
	ctx := cmd.Context()
	out := newLineWriter(cmd.OutOrStdout())
	bar := newProgress(cmd, in.size)
	warn := &warnings{w: bar}
	done := 0
	err := func() error {
		defer bar.finish()
		var results [maxBatch]struct {
			record R
			flaws  []flaw
			err    error
		}
		for b, err := range in.batches(ctx) {
			if err != nil {
				return err
			}
			parallel(len(b.texts), func(i int) {
				r := &results[i]
				r.record, r.flaws, r.err = f(ctx, b.first+i, b.texts[i])
			})
			for i := range b.texts {
				r := &results[i]
				if r.err != nil {
					return errors.Join(fmt.Errorf("text %d: %w", b.first+i, r.err), out.flush())
				}
				for _, flaw := range r.flaws {
					warn.tell(b.first+i, flaw)
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
	warn.sum(done)
	if err == nil && done == 0 {
		fmt.Fprintf(cmd.ErrOrStderr(), "mai: warning: %s holds no text\n", in.name)
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
