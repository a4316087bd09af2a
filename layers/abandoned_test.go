package layers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/maida-ai/gomai/kernel"
	"github.com/maida-ai/gomai/sched"
)

var abandonedLevel = NewKey("abandoned_test level", 0)

// abandonedInput holds memory that its caller may change after the call.
type abandonedInput struct {
	Numbers []int
	Rows    [][]string
}

// When the caller of an abandoned run has left, it overwrites the input, the options and what its context
// stands on, and calls the engine again: the run goes on to see what was there when it began. For the race
// detector, too.
func TestAbandonedRunSeesItsOwn(t *testing.T) { inBubble(t, abandonedRunSeesItsOwn) }

func abandonedRunSeesItsOwn(t *testing.T, s *sched.Sched) {
	var seen atomic.Int64
	var engines []*Engine[abandonedInput, [][]int]
	left := make(chan bool)
	look := func(ctx context.Context, in abandonedInput, id int) {
		want := fmt.Sprint([]int{id, id + 1}, [][]string{{fmt.Sprint("row", id)}, nil}, "call", id, "with", "outer", id, id, id)
		got := fmt.Sprint(in.Numbers, in.Rows, kernel.Metadata(ctx, "call"), kernel.Metadata(ctx, "with"), kernel.Metadata(ctx, "outer"),
			" ", abandonedLevel.Get(ctx), " ", ctx.Value(ctxKey{}), " ", kernel.Auth(ctx))
		if squeeze(got) != squeeze(want) {
			t.Errorf("run %d sees %s, want %s", id, got, want)
		}
	}
	stuck := Into("stuck", func(ctx context.Context, in abandonedInput, out *[]int) error {
		id := abandonedLevel.Get(ctx)
		look(ctx, in, id)
		step := kernel.StepID(ctx)
		<-left // and the engine was used again since
		look(ctx, in, id)
		if ctx.Err() == nil || kernel.StepID(ctx) != step {
			t.Errorf("run %d: Err is %v, the step's id was %d and is %d", id, ctx.Err(), step, kernel.StepID(ctx))
		}
		if d, ok := ctx.Deadline(); !ok || time.Until(d) > time.Hour {
			t.Errorf("run %d has the deadline %v", id, d)
		}
		*out = append((*out)[:0], in.Numbers...) // into memory of the engine
		seen.Add(1)
		return nil
	}).With(Blocking, Reads(abandonedLevel), Metadata("with", "with"))
	quick := Into("quick", func(_ context.Context, in abandonedInput, out *[]int) error {
		*out = append((*out)[:0], in.Numbers...)
		return nil
	}).With(Computing)
	bad := Plain("bad", func(in abandonedInput) ([]int, error) { return in.Numbers, errBoom }).With(Computing)

	outer := kernel.WithMetadata(context.Background(), "outer", "outer")
	id := 0
	for name, m := range map[string]Module[abandonedInput, [][]int]{
		"deadline":  Parallel(quick, stuck),
		"cancelled": Parallel(stuck, quick),
		"error":     Parallel(stuck, bad),
		"panic":     Parallel(stuck, Sequential(quick, Plain("panics", func([]int) ([]int, error) { panic(errBoom) }).With(Computing))),
	} {
		e := must(t, m, On(s))
		in := abandonedInput{make([]int, 2), make([][]string, 2)}
		opts := make([]Option, 4)
		for i := range 25 {
			id++
			in.Numbers[0], in.Numbers[1] = id, id+1
			in.Rows[0] = append(in.Rows[0][:0], fmt.Sprint("row", id))
			limit := time.Hour
			if name == "deadline" {
				limit = 2 * ms
			}
			opts[0], opts[1], opts[2], opts[3] = Timeout(limit), abandonedLevel.Set(id), Metadata("call", fmt.Sprint("call", id)), Auth(id)
			ctx, cancel := context.WithCancel(context.WithValue(outer, ctxKey{}, id))
			if name == "cancelled" {
				time.AfterFunc(2*ms, cancel)
			}
			out, err := e.Call(ctx, in, opts...)
			if err == nil {
				t.Fatalf("%s, call %d: no error, %v", name, i, out)
			}
			cancel()
			in.Numbers[0], in.Numbers[1], in.Rows[0][0], in.Rows[1] = -1, -1, "overwritten", []string{"overwritten"}
			in.Rows[1] = nil
			clear(opts)
		}
		if st := e.Stats(); st.Abandoned != 25 || st.Blocking != 25 || st.Inside != 0 {
			t.Errorf("%s: %+v, want 25 abandoned runs", name, st)
		}
		wantShutdownError(t, name, e.Close(), nil, 0, 25)
		engines = append(engines, e)
	}
	close(left)
	synctest.Wait()
	for _, e := range engines {
		if st := e.Stats(); st != (Stats{Calls: 25}) {
			t.Errorf("%+v when all is over", st)
		}
	}
	if seen.Load() != 100 {
		t.Errorf("%d runs went on to their end, want 100", seen.Load())
	}
}

func squeeze(s string) string { return strings.ReplaceAll(s, " ", "") }

// The result of an abandoned run, which writes to engine memory late, shows in no later call.
func TestAbandonedRunWritesNowhere(t *testing.T) {
	s := sched.New()
	defer s.Close()
	e := must(t, Parallel(
		Into("slow", func(ctx context.Context, in int, out *[]int) error {
			*out = append((*out)[:0], in, in, in)
			if in < 0 {
				<-ctx.Done()
				for i := range 3 {
					(*out)[i] = -2
					runtime.Gosched()
				}
				*out = []int{-3}
			}
			return nil
		}).With(Blocking),
		Into("quick", func(_ context.Context, in int, out *[]int) error { *out = append((*out)[:0], in); return nil }).With(Computing),
	), On(s))
	for i := range 200 {
		if i%3 == 0 {
			_, err := e.Call(t.Context(), -1, Timeout(time.Duration(1+i)*µs))
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Fatalf("call %d: %v", i, err)
			}
		}
		got, err := e.Call(t.Context(), i)
		if err != nil || !slices.Equal(got[0], []int{i, i, i}) || !slices.Equal(got[1], []int{i}) {
			t.Fatalf("call %d returned %v, %v", i, got, err)
		}
	}
}

// However an abandoned run ends, it ends alone: nothing hears of it but the count in Stats.
func TestAbandonedRunEndsAlone(t *testing.T) {
	inBubble(t, func(t *testing.T, s *sched.Sched) {
		for name, end := range map[string]func(){
			"returns": func() {}, "panics": func() { panic("oops") }, "Goexit": runtime.Goexit,
		} {
			e := must(t, Plain("step", func(in int) (int, error) { time.Sleep(time.Duration(in)); end(); return in, nil }).With(Blocking), On(s))
			for range 20 {
				_, err := e.Call(t.Context(), int(time.Second), Timeout(10*ms))
				wantError(t, err, context.DeadlineExceeded, "step")
			}
			if st := e.Stats(); st != (Stats{Calls: 20, Blocking: 20, Abandoned: 20}) {
				t.Errorf("%s: %+v with 20 abandoned runs", name, st)
			}
			time.Sleep(2 * time.Second)
			if st := e.Stats(); st != (Stats{Calls: 20}) {
				t.Errorf("%s: %+v when they have ended", name, st)
			}
		}
	}, sched.MaxBlocking(20))
}

// selfCopy copies itself as it is told.
type selfCopy struct {
	data []int
	how  func()
}

func (c *selfCopy) CopyTo(dst *selfCopy) {
	if c.how != nil {
		c.how()
	}
	dst.data = append(dst.data[:0], c.data...)
}

// A CopyTo that panics is an error of the call; one that calls Goexit holds up nothing.
func TestCopyToFails(t *testing.T) {
	fill := Into("fill", func(_ context.Context, how func(), out *selfCopy) error {
		out.data, out.how = append(out.data[:0], 1, 2), how
		return nil
	}).With(Computing)
	take := Plain("take", func(in selfCopy) (int, error) { return len(in.data), nil }).With(Blocking)
	output, input := must(t, fill), must(t, take)
	for name, c := range map[string]struct {
		call  func(how func()) error
		stats func() Stats
		path  string
	}{
		"of an output": {func(how func()) error { _, err := output.Call(t.Context(), how); return err }, output.Stats, "fill"},
		"of an input":  {func(how func()) error { _, err := input.Call(t.Context(), selfCopy{[]int{1}, how}); return err }, input.Stats, "take"},
	} {
		for i := range int64(40) {
			var p *kernel.PanicError
			err := c.call(func() { crashes(io.EOF) })
			wantError(t, err, io.EOF, c.path)
			if !errors.As(err, &p) || !strings.Contains(string(p.Stack), "layers.crashes(") {
				t.Fatalf("CopyTo %s panics: %v", name, err)
			}
			if !goexits(func() { _ = c.call(runtime.Goexit) }) {
				t.Fatalf("CopyTo %s calls Goexit, and its goroutine goes on", name)
			}
			if st := c.stats(); st.Inside != 0 || st.Calls != 3*i+2 {
				t.Fatalf("CopyTo %s: %+v after %d calls", name, st, 3*i+2)
			}
			if err := c.call(nil); err != nil {
				t.Fatalf("CopyTo %s: the next call: %v", name, err)
			}
		}
	}
}
