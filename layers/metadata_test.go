package layers

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/maida-ai/gomai/internal/settings"
	"github.com/maida-ai/gomai/kernel"
	"github.com/maida-ai/gomai/sched"
)

var metaKeys = [...]string{"a", "b", "c", "d"}

// metaSeen is what a context says, in a form to compare.
func metaSeen(get func(key string) string) string {
	var b strings.Builder
	for _, k := range metaKeys {
		fmt.Fprintf(&b, "%s=%s ", k, get(k))
	}
	return b.String()
}

func metaOf(ctx context.Context) string {
	return metaSeen(func(k string) string { return kernel.Metadata(ctx, k) })
}

// metaPairs is a list of entries of which the first with a key holds.
type metaPairs []settings.Pair

func (p metaPairs) options() (opts []Option) {
	for _, e := range p {
		opts = append(opts, Metadata(e.Key, e.Value))
	}
	return opts
}

// metaPipeline is a random pipeline. A call's input is its number, under which steps find what they
// must see.
type metaPipeline struct {
	t     *testing.T
	seed  uint64
	rand  *rand.Rand
	sched *sched.Sched
	steps int
	calls []metaCall
}

type metaCall struct {
	want map[string]string // what each context must say, by its name
	seen atomic.Int64      // how many were asked
}

// metaNode is a module and its model: what its contexts say in a call with metadata call, Withs round
// the module with, and metadata ctx of the calling context.
type metaNode struct {
	module Module[int, int]
	model  func(want map[string]string, call, with metaPairs, ctx map[string]string)
}

// metaModel is what a context says: the call's, else the innermost With's, else the calling context's.
func metaModel(call, with metaPairs, ctx map[string]string) map[string]string {
	m := maps.Clone(ctx)
	all := append(call[:len(call):len(call)], with...)
	for i := len(all) - 1; i >= 0; i-- {
		m[all[i].Key] = all[i].Value
	}
	return m
}

// pairs makes up to n entries, of values that occur once, some of them empty.
func (p *metaPipeline) pairs(n int) (list metaPairs) {
	for range p.rand.IntN(n + 1) {
		v := ""
		if p.rand.IntN(8) > 0 {
			v = fmt.Sprintf("%x", p.rand.Uint32())
		}
		list = append(list, settings.Pair{Key: metaKeys[p.rand.IntN(len(metaKeys))], Value: v})
	}
	return list
}

// check compares ctx, called name, with the model.
func (p *metaPipeline) check(ctx context.Context, call int, name string) {
	c := &p.calls[call]
	if got := metaOf(ctx); got != c.want[name] {
		p.t.Errorf("seed %d, call %d: %s sees %s, want %s", p.seed, call, name, got, c.want[name])
	}
}

// step makes a step that looks, derives a context, and may call another engine with it.
func (p *metaPipeline) step(depth int) metaNode {
	p.steps++
	name := fmt.Sprint("step", p.steps)
	derived := name + " derived"
	own, opts := p.pairs(2), p.pairs(3)
	wrap := p.rand.IntN(2) == 0
	var nested *metaNode
	var engine *Engine[int, int]
	if depth > 0 && p.rand.IntN(3) == 0 {
		n := p.node(depth - 1)
		nested, engine = &n, must(p.t, n.module, On(p.sched))
	}
	f := func(ctx context.Context, call int) (int, error) {
		p.check(ctx, call, name)
		d := ctx
		for i := len(own) - 1; i >= 0; i-- {
			d = kernel.WithMetadata(d, own[i].Key, own[i].Value)
		}
		if wrap {
			d = context.WithValue(d, ctxKey{}, call)
		}
		p.check(d, call, derived)
		runtime.Gosched()
		if engine != nil {
			if _, err := engine.Call(d, call, opts.options()...); err != nil {
				return 0, err
			}
		}
		p.check(d, call, derived)
		p.check(ctx, call, name)
		p.calls[call].seen.Add(2)
		return call, nil
	}
	m := Func(name, f)
	if marks := []Option{Blocking, Computing}; p.rand.IntN(3) > 0 {
		m = m.With(marks[p.rand.IntN(2)])
	}
	return metaNode{m, func(want map[string]string, call, with metaPairs, ctx map[string]string) {
		here := metaModel(call, with, ctx)
		want[name] = metaSeen(func(k string) string { return here[k] })
		here = metaModel(own, nil, here)
		want[derived] = metaSeen(func(k string) string { return here[k] })
		if nested != nil {
			nested.model(want, opts, nil, here)
		}
	}}
}

func (p *metaPipeline) node(depth int) metaNode {
	n := metaNode{}
	kind := p.rand.IntN(3)
	if depth == 0 {
		kind = 0
	}
	switch kind {
	case 0:
		n = p.step(depth)
	case 1:
		f, g := p.node(depth-1), p.node(depth-1)
		n.module = Sequential(f.module, g.module)
		n.model = func(want map[string]string, call, with metaPairs, ctx map[string]string) {
			f.model(want, call, with, ctx)
			g.model(want, call, with, ctx)
		}
	default:
		var kids []metaNode
		var modules []Module[int, int]
		for range 1 + p.rand.IntN(4) {
			k := p.node(depth - 1)
			kids, modules = append(kids, k), append(modules, k.module)
		}
		n.module = Sequential(Parallel(modules...), Plain("first", func(v []int) (int, error) { return v[0], nil }))
		n.model = func(want map[string]string, call, with metaPairs, ctx map[string]string) {
			for _, k := range kids {
				k.model(want, call, with, ctx)
			}
		}
	}
	for p.rand.IntN(2) == 0 {
		own, inner := p.pairs(2), n
		n.module = inner.module.With(own.options()...)
		n.model = func(want map[string]string, call, with metaPairs, ctx map[string]string) {
			inner.model(want, call, append(own[:len(own):len(own)], with...), ctx)
		}
	}
	return n
}

// Metadata that a With, a nested call or WithMetadata sets is seen below it and nowhere else: not in a
// sibling branch, on the lane or on the caller, not by the parent, and not by another call.
func TestMetadataOfRandomPipelines(t *testing.T) {
	pipelines, steps := 60, 0
	if testing.Short() {
		pipelines = 10
	}
	const callers, callsEach = 4, 5
	s := sched.New()
	defer s.Close()
	for seed := range pipelines {
		p := &metaPipeline{
			t: t, seed: uint64(seed), rand: rand.New(rand.NewPCG(uint64(seed), 0)), sched: s,
			calls: make([]metaCall, callers*callsEach),
		}
		root := p.node(5)
		steps += p.steps
		e := must(t, root.module, On(s))
		opts, above := make([]metaPairs, len(p.calls)), make([]metaPairs, len(p.calls))
		for i := range p.calls {
			opts[i], above[i] = p.pairs(3), p.pairs(3)
			p.calls[i].want = map[string]string{}
			root.model(p.calls[i].want, opts[i], nil, metaModel(above[i], nil, map[string]string{}))
		}
		var wg sync.WaitGroup
		for caller := range callers {
			wg.Go(func() {
				for i := caller; i < len(p.calls); i += callers {
					ctx := t.Context()
					for j := len(above[i]) - 1; j >= 0; j-- {
						ctx = kernel.WithMetadata(ctx, above[i][j].Key, above[i][j].Value)
					}
					before := metaOf(ctx)
					if _, err := e.Call(ctx, i, opts[i].options()...); err != nil {
						t.Errorf("seed %d, call %d: %v", seed, i, err)
					}
					if after := metaOf(ctx); after != before {
						t.Errorf("seed %d, call %d: the caller's metadata was %s and is %s", seed, i, before, after)
					}
				}
			})
		}
		wg.Wait()
		for i := range p.calls {
			if c := &p.calls[i]; int(c.seen.Load()) != len(c.want) {
				t.Errorf("seed %d, call %d: %d contexts were asked, the model has %d", seed, i, c.seen.Load(), len(c.want))
			}
		}
		if t.Failed() {
			t.Fatalf("the pipeline:\n%s", e.Explain())
		}
	}
	if steps < 5*pipelines {
		t.Errorf("%d pipelines have only %d steps", pipelines, steps)
	}
}
