package layers_test

import (
	"context"
	"runtime"
	"runtime/debug"
	"sync"
	"testing"

	"github.com/maida-ai/gomai/layers"
)

// Calls for which the engine has no slot leave their Frames to those of the next burst.
func TestBurstsShareFrames(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	const calls = 500
	var inside sync.WaitGroup
	var open chan struct{}
	engine, err := layers.Compile(layers.Into("hold", func(_ context.Context, in []int, out *[]int) error {
		inside.Done()
		<-open
		*out = append((*out)[:0], in...)
		return nil
	}).With(layers.Computing))
	if err != nil {
		t.Fatal(err)
	}
	defer engine.Close()
	in := make([]int, 100)
	burst := func() uint64 {
		open = make(chan struct{})
		inside.Add(calls)
		var all sync.WaitGroup
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range calls {
			all.Go(func() {
				var out []int
				if err := engine.CallInto(t.Context(), in, &out); err != nil || len(out) != len(in) {
					t.Error(err, len(out))
				}
			})
		}
		inside.Wait()
		close(open)
		all.Wait()
		runtime.ReadMemStats(&after)
		return after.TotalAlloc - before.TotalAlloc
	}
	burst() // goroutines, too, are used again
	first := burst()
	runtime.GC()
	runtime.GC() // twice, and the Frames are gone
	if second := burst(); second < first+calls*8*uint64(len(in))/2 {
		t.Errorf("a burst allocates %d bytes, one without old Frames %d", first, second)
	}
}
