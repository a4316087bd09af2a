package kernel

import (
	"slices"
	"unsafe"
)

// op is an Op resolved for one Frame: cells are pointers and targets indices in Frame.ops.
type op struct {
	run     Step // noStep for what is no step
	in, out unsafe.Pointer
	kind    OpKind
	n, pc   int32
	of      int32 // index in Program.Ops: what is rarely needed stays there
}

func (f *Frame) info(o *op) *Info { return f.engine.prog.Ops[o.of].Info }

// join counts the branches of a Fork that are still under way.
type join struct {
	starts []int32
	end    int32
	open   int32
}

// layout is a Program as it runs at present, before it has cells. Frames share it.
type layout struct {
	mode    uint32 // of the engine
	lane    bool   // some op goes to the lane
	ops     []op
	target  []int32 // where an op of the program went in ops; where the next one went if it was skipped
	joins   []join
	spreads []spreadLayout // by Fork; nil unless the engine has found calls that are worth it
}

// spreadLayout is where the branches are that the crew may run, if there are any.
type spreadLayout struct {
	op           int32
	starts, ends []int32
	end          int32 // where the Frame goes on
}

// layout returns the program as it runs at present: a Parallel in which nothing can suspend becomes
// straight-line code without fork and join. Once the engine has found calls that are worth it, branches
// that cannot suspend become the work of a spread.
func (e *Engine) layout() *layout {
	mode := e.mode.Load()
	if l := e.present.Load(); l != nil && l.mode == mode {
		return l
	}
	p := e.prog
	l := &layout{mode: mode, joins: make([]join, len(p.Forks))}
	if e.spreads.Load() {
		l.spreads = make([]spreadLayout, len(p.Forks))
	}
	kinds, suspends := l.place(p)
	width := slices.Repeat([]int32{1}, len(p.Ops)) // how many ops become of one
	for i := range p.Forks {
		k := &p.Forks[i]
		crew := l.crew(k, suspends)
		for _, b := range crew {
			kinds[k.Joins[b]] = opBranchEnd
		}
		switch quiet := len(k.Starts) == 1 || suspends[k.End] == suspends[k.Begin]; {
		case quiet && crew != nil:
			kinds[k.Begin] = opSpread
		case quiet:
			width[k.Begin] = 0
			for _, j := range k.Joins {
				width[j] = 0
			}
		case crew != nil: // they are one branch of the fork, with a join of its own
			width[k.Begin] = 3
		}
	}
	l.target = make([]int32, len(p.Ops)+1)
	for i := range p.Ops {
		l.target[i+1] = l.target[i] + width[i]
	}
	for i := range p.Ops {
		if width[i] > 0 {
			l.add(p, i, kinds[i])
		}
		if width[i] > 1 {
			l.add(p, i, opSpread).run = noStep
			l.add(p, i, OpJoin)
		}
	}
	for i := range p.Forks {
		l.fork(i, &p.Forks[i], suspends)
	}
	e.present.Store(l)
	return l
}

// place says of the program's ops what they are at present, and how many before each can suspend.
func (l *layout) place(p *Program) (kinds []OpKind, suspends []int) {
	kinds, suspends = make([]OpKind, len(p.Ops)), make([]int, len(p.Ops)+1)
	for i := range p.Ops {
		o := &p.Ops[i]
		kinds[i] = o.Kind
		if o.Kind == OpStep && o.Info.OnLane() {
			kinds[i] = opLane
			l.lane = true
		}
		suspends[i+1] = suspends[i]
		if kinds[i] == opLane || o.Kind == OpDelay || o.Kind == OpRetry {
			suspends[i+1]++
		}
	}
	return kinds, suspends
}

// crew returns the branches that the crew may run: those that cannot suspend, if there are several.
func (l *layout) crew(k *Fork, suspends []int) (branches []int) {
	for b, start := range k.Starts {
		if suspends[k.Joins[b]] == suspends[start] {
			branches = append(branches, b)
		}
	}
	if l.spreads == nil || len(branches) < 2 {
		return nil
	}
	return branches
}

func (l *layout) add(p *Program, i int, kind OpKind) *op {
	o := op{kind: kind, run: noStep, n: int32(p.Ops[i].N), pc: int32(len(l.ops)), of: int32(i)}
	switch kind {
	case OpStep:
		o.run = p.Ops[i].Run
	case OpBranch, OpJump:
		o.n = l.target[o.n]
	case opSpread:
		o.run = spreadOp
	case opBranchEnd:
		o.run = branchEnd
	}
	l.ops = append(l.ops, o)
	return &l.ops[o.pc]
}

// fork says where branches start: those that can suspend first, so that they wait while the others run.
func (l *layout) fork(i int, k *Fork, suspends []int) {
	j, crew := &l.joins[i], l.crew(k, suspends)
	j.end = l.target[k.End]
	for _, first := range [...]bool{true, false} {
		for b, s := range k.Starts {
			if waits := suspends[k.Joins[b]] > suspends[s]; waits == first && (waits || crew == nil) {
				j.starts = append(j.starts, l.target[s])
			}
		}
	}
	if crew == nil {
		return
	}
	sp := &l.spreads[i]
	if sp.op, sp.end = l.target[k.Begin], j.end; len(j.starts) > 0 {
		sp.op, sp.end = sp.op+1, sp.op+2
		j.starts = append(j.starts, sp.op)
	}
	for _, b := range crew {
		sp.starts, sp.ends = append(sp.starts, l.target[k.Starts[b]]), append(sp.ends, l.target[k.Joins[b]])
	}
}

// resolve makes the Frame's ops from the present layout: cells become pointers.
func (f *Frame) resolve() {
	l, p := f.engine.layout(), f.engine.prog
	f.layout = l
	f.ops, f.joins = append(f.ops[:0], l.ops...), append(f.joins[:0], l.joins...)
	for i := range f.ops {
		o := &f.ops[i]
		o.in, o.out = f.cells.At[p.Ops[o.of].In], f.cells.At[p.Ops[o.of].Out]
	}
	f.spreads = make([]spread, len(l.spreads))
	for i := range l.spreads {
		at, sp := &l.spreads[i], &f.spreads[i]
		sp.profit, sp.starts, sp.end = &f.engine.profits[i], at.starts, at.end
		sp.branches = make([]strand, len(at.starts))
		for b, end := range at.ends {
			s := &sp.branches[b]
			s.frame, s.spread, s.last, s.ctx = f, sp, end, &Context{strand: s}
			f.ops[end].in, f.ops[at.op].in = unsafe.Pointer(s), unsafe.Pointer(sp)
		}
	}
}
