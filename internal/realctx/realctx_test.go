package realctx

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestLazy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		parent, cancel := context.WithCancelCause(context.Background())
		var before, after, late, child Lazy
		before.End()
		if !late.Unused() || before.Unused() {
			t.Error("Unused is wrong of contexts that nobody asked for")
		}
		if err := before.Get(parent, time.Now().Add(time.Hour)).Err(); err != context.Canceled {
			t.Errorf("one that ended before its first use has the error %v", err)
		}
		c := after.Get(parent, time.Time{})
		if _, ok := c.Deadline(); ok || c.Err() != nil || after.Get(context.Background(), time.Now()) != c || after.Unused() {
			t.Error("without a deadline: not one context that goes on")
		}
		after.End()
		if c.Err() != context.Canceled {
			t.Error("End did not cancel it")
		}
		c = late.Get(parent, time.Now().Add(time.Second))
		time.Sleep(time.Second)
		synctest.Wait()
		if c.Err() != context.DeadlineExceeded {
			t.Errorf("after its deadline: %v", c.Err())
		}
		c = child.Get(parent, time.Time{})
		why := errors.New("why")
		cancel(why)
		if context.Cause(c) != why {
			t.Errorf("the cause is %v, want the parent's", context.Cause(c))
		}
	})
}

// hidden is a context type that package context does not know.
type hidden struct{ context.Context }

func (h hidden) Value(key any) any {
	if key == CancelKey {
		return h.Context.Value(key)
	}
	return nil
}

// A context that answers CancelKey passes for a real one: its cause is found.
func TestCancelKey(t *testing.T) {
	why := errors.New("why")
	c, cancel := context.WithCancelCause(context.Background())
	cancel(why)
	if got := context.Cause(hidden{c}); got != why {
		t.Errorf("the cause is %v, want %v", got, why)
	}
}
