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

// resolve makes the Frame's ops from the program's: cells become pointers, and a Parallel in which
// nothing can suspend at present becomes straight-line code without fork and join. Once the engine has
// found calls that are worth it, branches that cannot suspend become the work of a spread.
func (f *Frame) resolve() {
	p := f.engine.prog
	f.mode = f.engine.mode.Load()
	f.spreads = nil
	if f.engine.spreads.Load() {
		f.spreads = make([]spread, len(p.Forks))
	}
	kinds, suspends := f.placed()
	width := slices.Repeat([]int32{1}, len(p.Ops)) // how many ops become of one
	ends := make([]*strand, len(p.Ops))            // the strand that an op ends
	for i := range p.Forks {
		k := &p.Forks[i]
		crew := f.spreadable(i, suspends)
		for n, b := range crew {
			kinds[k.Joins[b]] = opBranchEnd
			ends[k.Joins[b]] = &f.spreads[i].branches[n]
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
	at := make([]int32, len(p.Ops)+1)
	for i := range p.Ops {
		at[i+1] = at[i] + width[i]
	}
	f.target = at
	f.ops = make([]op, 0, at[len(p.Ops)])
	for i := range p.Ops {
		if width[i] > 0 {
			f.ops = append(f.ops, f.resolveOp(i, kinds[i], ends[i]))
		}
		if width[i] > 1 {
			f.ops = append(f.ops, f.resolveOp(i, opSpread, nil), f.resolveOp(i, OpJoin, nil))
			f.ops[at[i]+1].run = noStep
			f.ops[at[i]+1].pc, f.ops[at[i]+2].pc = at[i]+1, at[i]+2
		}
	}
	for i := range p.Forks {
		f.resolveFork(i, suspends)
	}
}

// placed says of the program's ops what they are at present, and how many before each can suspend.
func (f *Frame) placed() (kinds []OpKind, suspends []int) {
	p := f.engine.prog
	f.lane = false
	kinds, suspends = make([]OpKind, len(p.Ops)), make([]int, len(p.Ops)+1)
	for i := range p.Ops {
		o := &p.Ops[i]
		kinds[i] = o.Kind
		if o.Kind == OpStep && o.Info.OnLane() {
			kinds[i] = opLane
			f.lane = true
		}
		suspends[i+1] = suspends[i]
		if kinds[i] == opLane || o.Kind == OpDelay || o.Kind == OpRetry {
			suspends[i+1]++
		}
	}
	return kinds, suspends
}

// spreadable returns the branches of a fork that the crew may run, and makes their strands.
func (f *Frame) spreadable(fork int, suspends []int) (branches []int) {
	if f.spreads == nil {
		return nil
	}
	k := &f.engine.prog.Forks[fork]
	for b, start := range k.Starts {
		if suspends[k.Joins[b]] == suspends[start] {
			branches = append(branches, b)
		}
	}
	if len(branches) < 2 {
		return nil
	}
	p := &f.spreads[fork]
	p.profit = &f.engine.profits[fork]
	p.branches = make([]strand, len(branches))
	for i := range p.branches {
		s := &p.branches[i]
		s.frame, s.spread, s.ctx = f, p, &Context{strand: s}
	}
	return branches
}

func (f *Frame) resolveOp(i int, kind OpKind, ends *strand) op {
	o := &f.engine.prog.Ops[i]
	r := op{
		kind: kind, run: noStep, n: int32(o.N), pc: f.target[i], of: int32(i),
		in: f.cells.At[o.In], out: f.cells.At[o.Out],
	}
	switch kind {
	case OpStep:
		r.run = o.Run
	case OpBranch, OpJump:
		r.n = f.target[o.N]
	case opSpread:
		r.run, r.in = spreadOp, unsafe.Pointer(&f.spreads[o.N])
	case opBranchEnd:
		r.run, r.in = branchEnd, unsafe.Pointer(ends)
		ends.last = r.pc
	}
	return r
}

// resolveFork says where branches of a fork start: those that can suspend first, so that they wait while
// the others run.
func (f *Frame) resolveFork(fork int, suspends []int) {
	k := &f.engine.prog.Forks[fork]
	j := join{end: f.target[k.End]}
	var crew []int32
	for b, s := range k.Starts {
		if suspends[k.Joins[b]] > suspends[s] {
			j.starts = append(j.starts, f.target[s])
		} else {
			crew = append(crew, f.target[s])
		}
	}
	begin := f.target[k.Begin]
	switch {
	case f.spreads == nil || f.spreads[fork].profit == nil:
		j.starts = append(j.starts, crew...)
	case len(j.starts) == 0:
		f.spreads[fork].starts, f.spreads[fork].end = crew, j.end
	default:
		f.spreads[fork].starts, f.spreads[fork].end = crew, begin+2
		j.starts = append(j.starts, begin+1)
	}
	f.joins[fork] = j
}
