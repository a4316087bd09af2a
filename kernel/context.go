package kernel

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/maida-ai/gomai/internal/invariants"
	"github.com/maida-ai/gomai/internal/realctx"
	"github.com/maida-ai/gomai/internal/settings"
)

// Context is the context of a step. Unpinned it is a view of its Frame, used for the next step too.
// The first Done, Value or AfterFunc by anyone but the engine pins it: it copies what it needs,
// forgets the Frame and is never reused, so it stays valid, cancelled and with its own values, however
// long someone keeps it. Err, as long as it is nil, Deadline and the accessors of this package do not pin.
//
// A first use after the step is over is a data race: hand Detach(ctx) to what outlives the step.
type Context struct {
	state  atomic.Uint32
	strand *strand // never written after creation
	mu     sync.Mutex
	view   // valid once pinned
	lazy   realctx.Lazy
}

const (
	unpinned = iota
	pinned
	ended // pinned, and its step is over
	dead  // its step is over and nobody had pinned it: only under invariants
)

// view is what a context answers from.
type view struct {
	parent   context.Context
	step     *Info
	deadline int64 // noDeadline: none
	set      []settings.Setting
	meta     []settings.Pair
	auth     *settings.Credentials
	retries  int
	id       uint64
}

// nearestKey asks a context for the nearest *Context or *metadataContext in it.
type nearestKey struct{}

func nearest(ctx context.Context) any {
	switch c := ctx.(type) {
	case *Context, *metadataContext:
		return c
	case nil:
		return nil
	}
	return ctx.Value(nearestKey{})
}

// stepContext returns the nearest step's context in ctx, also through WithValue and WithCancel.
func stepContext(ctx context.Context) *Context {
	for {
		switch c := nearest(ctx).(type) {
		case *Context:
			return c
		case *metadataContext:
			ctx = c.Context
		default:
			return nil
		}
	}
}

// metadataContext carries one entry of metadata.
type metadataContext struct {
	context.Context
	pair settings.Pair
}

func (c *metadataContext) Value(key any) any {
	if key == (nearestKey{}) {
		return c
	}
	return c.Context.Value(key)
}

// WithMetadata returns a copy of ctx in which the calls made with it see key as value. The step that
// made it, its siblings and its caller do not.
func WithMetadata(ctx context.Context, key, value string) context.Context {
	return &metadataContext{orBackground(ctx), settings.Pair{Key: key, Value: value}}
}

// Metadata returns the value of key for the step of ctx, "" if there is none: the call's, else the
// innermost With's, outer Withs', or what the calling context has. It neither allocates nor pins.
func Metadata(ctx context.Context, key string) string {
	for {
		switch c := nearest(ctx).(type) {
		case *Context:
			v := c.look()
			for _, pairs := range [...][]settings.Pair{v.meta, v.step.Metadata} {
				for i := range pairs {
					if pairs[i].Key == key {
						return pairs[i].Value
					}
				}
			}
			ctx = v.parent
		case *metadataContext:
			if c.pair.Key == key {
				return c.pair.Value
			}
			ctx = c.Context
		default:
			return ""
		}
	}
}

// Lookup returns the value of k that holds for the step of ctx: the call's, else the innermost
// With's, else an outer With's. It neither allocates nor pins.
func Lookup(ctx context.Context, k *settings.Key) (settings.Setting, bool) {
	c := stepContext(ctx)
	if c == nil {
		return settings.Setting{}, false
	}
	v := c.look()
	for _, set := range [...][]settings.Setting{v.set, v.step.Settings} {
		for i := range set {
			if set[i].Key == k {
				return set[i], true
			}
		}
	}
	return settings.Setting{}, false
}

// Auth returns what layers.Auth set for the step of ctx, nil if nothing: the call's, else the
// innermost With's, or the calling step's. Errors, traces and Explain never show it.
func Auth(ctx context.Context) any {
	for c := stepContext(ctx); c != nil; {
		v := c.look()
		if v.auth != nil {
			return v.auth.Value()
		}
		if auth, ok := v.step.Auth.Any.(*settings.Credentials); ok {
			return auth.Value()
		}
		c = stepContext(v.parent)
	}
	return nil
}

// RetryCount returns how often the innermost Retry round the step of ctx has begun again, or that round
// the step that made the call; 0 if there is none.
func RetryCount(ctx context.Context) int {
	for c := stepContext(ctx); c != nil; {
		v := c.look()
		if v.step.Retry > 0 {
			return v.retries
		}
		c = stepContext(v.parent)
	}
	return 0
}

// StepID returns a number that this run of this step alone has within the process, 0 outside a step.
func StepID(ctx context.Context) uint64 {
	c := stepContext(ctx)
	if c == nil {
		return 0
	}
	if !c.left() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.state.Load() == unpinned {
			return c.strand.frame.stepID(c.strand.pc)
		}
	}
	return c.id
}

// Detach returns a context with the values of ctx that has no deadline and is never cancelled, for
// what outlives the step.
func Detach(ctx context.Context) context.Context {
	Keep(ctx)
	return context.WithoutCancel(orBackground(ctx))
}

// Keep makes the context of a step fit for goroutines that outlive the step. They find it cancelled then.
func Keep(ctx context.Context) {
	if c := stepContext(ctx); c != nil {
		c.pin()
	}
}

func orBackground(ctx context.Context) context.Context {
	if ctx == nil {
		return context.Background()
	}
	return ctx
}

// look returns the present view without pinning.
func (c *Context) look() view {
	if c.left() {
		return c.view
	}
	return c.strand.frame.view(c.strand.pc)
}

// view is what the context of the step at pc answers from. It shares the Frame's memory.
func (f *Frame) view(pc int32) view {
	info := f.info(&f.ops[pc])
	return view{
		parent: f.parent, step: info, deadline: noDeadline, set: f.told.Set, meta: f.told.Metadata, auth: f.told.Auth,
		retries: f.catches[info.Retry].retries,
	}
}

// left reports whether the context has left its Frame.
func (c *Context) left() bool {
	s := c.state.Load()
	if invariants.On && s == dead {
		panic("gomai: first use of a step's context after the step; use kernel.Detach")
	}
	return s != unpinned
}

// pin copies what the context needs. What it stands on, the context of a calling step, is pinned too.
func (c *Context) pin() {
	if c.left() {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state.Load() == unpinned {
		c.view = c.strand.frame.snapshot(c.strand.pc)
		c.state.Store(pinned)
		c.strand.want = never
	}
}

// snapshot copies, for the step at pc, what outlives the Frame's present use.
func (f *Frame) snapshot(pc int32) view {
	if outer := stepContext(f.parent); outer != nil {
		outer.pin()
	}
	v := f.view(pc)
	v.deadline, v.id = f.deadline(v.step), f.stepID(pc)
	v.set, v.meta = slices.Clone(v.set), slices.Clone(v.meta)
	return v
}

// end cancels a pinned context when its step is over.
func (c *Context) end() {
	c.state.Store(ended)
	c.lazy.End()
}

// real returns the context of package context behind a pinned one.
func (c *Context) real() context.Context {
	c.pin()
	var deadline time.Time
	if c.deadline != noDeadline {
		deadline = c.strand.frame.sched.Time(c.deadline)
	}
	return c.lazy.Get(c.parent, deadline)
}

// Done pins and, at its first use, makes a channel.
func (c *Context) Done() <-chan struct{} { return c.real().Done() }

// Value pins.
func (c *Context) Value(key any) any {
	if key == (nearestKey{}) {
		return c
	}
	if key == realctx.CancelKey {
		return c.real().Value(key)
	}
	c.pin()
	return c.parent.Value(key)
}

// Err does not pin as long as it is nil; afterwards it always returns the same.
func (c *Context) Err() error {
	if !c.left() {
		f := c.strand.frame
		if f.parent.Err() == nil && (f.sched.Beat().Load() == c.strand.beat || f.sched.Now() < c.due()) {
			return nil
		}
		return c.real().Err()
	}
	if c.lazy.Unused() && c.parent.Err() == nil && c.strand.frame.sched.Now() < c.deadline {
		return nil
	}
	return c.real().Err()
}

// Deadline does not pin.
func (c *Context) Deadline() (time.Time, bool) {
	parent := c.look().parent
	t, ok := parent.Deadline()
	due := c.due()
	if due == noDeadline {
		return t, ok
	}
	if own := c.strand.frame.sched.Time(due); !ok || own.Before(t) {
		return own, true
	}
	return t, true
}

// due is the context's own deadline on the scheduler's scale.
func (c *Context) due() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f := c.strand.frame; c.state.Load() == unpinned {
		return f.deadline(f.info(&f.ops[c.strand.pc]))
	}
	return c.deadline
}

func (c *Context) String() string { return "gomai step context" }
