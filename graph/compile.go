package graph

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"
	"unsafe"

	"github.com/maida-ai/gomai/internal/cells"
	"github.com/maida-ai/gomai/internal/invariants"
	"github.com/maida-ai/gomai/internal/settings"
	"github.com/maida-ai/gomai/kernel"
)

// Compile turns a graph into a plan. Errors are *CompileError or *kernel.SettingError and name the
// module.
func Compile(root *Node) (*WorkflowPlan, error) {
	if root == nil {
		return nil, &CompileError{"", errNil}
	}
	c := &compiler{types: map[reflect.Type]*cells.Type{}, paths: paths{}}
	c.prog.Limits = []settings.Limit{{}}
	c.prog.Catches = []kernel.Catch{{}}
	if err := c.addKeys(root); err != nil {
		return nil, err
	}
	if err := check(root, root.label()); err != nil {
		return nil, err
	}
	c.prog.In = c.newCell(cells.Cell{Type: c.typ(root.In), Parent: -1})
	c.prog.Out = c.newCell(cells.Cell{Type: c.typ(root.Out), Parent: -1})
	top := scope{info: &kernel.Info{Path: where(root, root.label())}, root: true}
	own, err := c.lower(root, c.prog.In, c.prog.Out, top, memory{})
	if err != nil {
		return nil, err
	}
	c.emit(kernel.Op{Kind: kernel.OpEnd, Info: top.info})
	if own.reachedBy(root.Out) {
		if c.prog.CopyOut, err = copyOut(root.Out, own); err != nil {
			return nil, err
		}
	}
	if c.prog.Lanes > 0 && !frozen(root.In) {
		c.prog.CopyIn = copyIn(root.In)
	}
	return &WorkflowPlan{root: root, program: &c.prog}, nil
}

var errNil = errors.New("nil Module")

type compiler struct {
	prog  kernel.Program
	types map[reflect.Type]*cells.Type
	paths paths
}

// scope is what a node inherits from those round it.
type scope struct {
	info   *kernel.Info
	path   string
	catch  int
	retry  int
	effect bool
	forked bool
	root   bool
}

func (c *compiler) typ(t reflect.Type) *cells.Type {
	d := c.types[t]
	if d == nil {
		if d = new(cells.Type); t != nil { // check reports a missing type
			d = describe(t)
		}
		c.types[t] = d
	}
	return d
}

func (c *compiler) newCell(cell cells.Cell) int {
	c.prog.Cells = append(c.prog.Cells, cell)
	return len(c.prog.Cells) - 1
}

func (c *compiler) emit(o kernel.Op) int {
	c.prog.Ops = append(c.prog.Ops, o)
	return len(c.prog.Ops) - 1
}

// here is the index of the next op.
func (c *compiler) here() int { return len(c.prog.Ops) }

// addKeys collects the keys that steps read. One name means one type throughout a plan.
func (c *compiler) addKeys(root *Node) error {
	for _, k := range root.reads(nil) {
		if k == nil {
			return &kernel.SettingError{Setting: settings.OptReads.String(), Reason: "a key was not made by NewKey"}
		}
		for _, other := range c.prog.Keys {
			if other.Name == k.Name && other != k {
				return &kernel.SettingError{Setting: k.Name, Reason: fmt.Sprintf("is read as a %s and as a %s", other.Type, k.Type)}
			}
		}
		if !slices.Contains(c.prog.Keys, k) {
			c.prog.Keys = append(c.prog.Keys, k)
		}
	}
	return nil
}

// paths counts how often each was used.
type paths map[string]int

// of returns a path for what is called label inside of what has the path outer. No other has it.
func (p paths) of(label, outer string) string {
	if label == "" {
		return outer
	}
	path := label
	if outer != "" {
		path = outer + "/" + label
	}
	unique := path
	for p[unique] > 0 { // a step may be named like a repeat
		p[path]++
		unique = fmt.Sprintf("%s#%d", path, p[path])
	}
	p[unique]++
	return unique
}

// where is the path of n for an error: an unnamed Sequential adds nothing to a path.
func where(n *Node, path string) string {
	if path == "" {
		return n.Kind.String()
	}
	return path
}

// check reports what is wrong with n itself.
func check(n *Node, path string) error {
	path = where(n, path)
	switch {
	case n.Err != nil:
		return &CompileError{path, n.Err}
	case int(n.Kind) >= len(kindNames):
		return errorAt(path, "unknown kind of module")
	case n.In == nil || n.Out == nil:
		return errorAt(path, "has no types")
	case n.Kind == Leaf && n.Step == nil:
		return errorAt(path, "nil function")
	case n.Kind != Leaf && !n.delays() && len(n.Kids) == 0:
		return errorAt(path, "no modules")
	case n.Kind == Retry && len(n.Kids) != 1:
		return errorAt(path, "takes one module")
	case n.Kind == Retry && n.Policy.Check() != nil:
		return &CompileError{path, n.Policy.Check()}
	case n.delays() && n.In != n.Out:
		return errorAt(path, "passes on a %s as a %s", n.In, n.Out)
	case n.delays() && n.Wait < 0:
		return errorAt(path, "delay must not be negative, is %v", n.Wait)
	}
	for i, k := range n.Kids {
		if k == nil {
			return errorAt(path, "module %d of %d: %w", i+1, len(n.Kids), errNil)
		}
	}
	return nil
}

// lower emits the ops of n, which reads cell in and writes cell out. own is the engine memory that the
// input may point into; what the output may point into comes back.
func (c *compiler) lower(n *Node, in, out int, s scope, own memory) (memory, error) {
	path := c.paths.of(n.label(), s.path)
	if err := check(n, path); err != nil {
		return memory{}, err
	}
	if c.prog.Cells[in].Type != c.typ(n.In) || c.prog.Cells[out].Type != c.typ(n.Out) {
		return memory{}, errorAt(where(n, path), "takes %s and returns %s where %s and %s are wanted",
			n.In, n.Out, c.prog.Cells[in].Type.Name, c.prog.Cells[out].Type.Name)
	}
	info := &kernel.Info{
		Path: where(n, path), Limits: s.info.Limits, Forked: s.forked, Catch: s.catch, Retry: s.retry, Mark: s.info.Mark, Auth: s.info.Auth,
	}
	limit, err := c.settings(n, info, s)
	if err != nil {
		return memory{}, err
	}
	if limit.entered {
		c.emit(kernel.Op{Kind: kernel.OpEnter, N: limit.index, Info: s.info})
	}
	effect := s.effect || n.has(settings.OptEffect) // it holds for what is inside
	if effect && s.retry > 0 {
		return memory{}, errorAt(where(n, path), "is marked Effect, which never runs twice, inside a Retry")
	}
	if effect && n.Kind == Retry {
		return memory{}, errorAt(where(n, path), "is in what is marked Effect, which never runs twice")
	}
	inner := scope{info: info, path: path, catch: s.catch, retry: s.retry, effect: effect, forked: s.forked}
	switch n.Kind {
	case Leaf:
		own = c.leaf(n, in, out, info, own)
	case BlockingDelay:
		info.Out = c.typ(n.Out)
		info.Mark = settings.OptBlocking
		c.prog.Lanes++
		c.emit(kernel.Op{Kind: kernel.OpStep, Run: sleep(n.Wait, info.Out), In: in, Out: out, Info: info})
	case Retry:
		own, err = c.retry(n, in, out, inner, own)
	case Delay:
		info.Out = c.typ(n.Out)
		c.emit(kernel.Op{Kind: kernel.OpDelay, In: in, Out: out, Wait: n.Wait, Info: info})
	case Sequential:
		own, err = c.sequential(n, in, out, inner, own)
	case Parallel, Both:
		own, err = c.parallel(n, in, out, inner, own)
	case Conditional:
		own, err = c.conditional(n, in, out, inner, own)
	}
	if err != nil {
		return memory{}, err
	}
	if limit.entered {
		c.emit(kernel.Op{Kind: kernel.OpExit, Info: info})
	}
	return own, nil
}

// ownLimit is the limit of a node's own.
type ownLimit struct {
	entered bool // it begins and ends with the node; the root's begins with the call
	index   int
}

// settings applies the options of n to its info.
func (c *compiler) settings(n *Node, info *kernel.Info, s scope) (own ownLimit, err error) {
	var limit settings.Limit
	bad := func(o *settings.Option, reason string) error {
		return &kernel.SettingError{Path: info.Path, Setting: o.Kind.String(), Reason: reason}
	}
	marked, authorised := false, false
	for i := range n.Options {
		o := &n.Options[i]
		switch o.Kind {
		case settings.OptTimeout, settings.OptDeadline:
			if err := limit.Add(*o); err != nil {
				return own, bad(o, err.Error())
			}
		case settings.OptMetadata:
			info.Metadata = append(info.Metadata, settings.Pair{Key: o.Name, Value: o.Text})
		case settings.OptAuth:
			if !authorised {
				info.Auth, authorised = *o, true
			}
		case settings.OptSet, settings.OptSetNamed:
			set, err := settings.Resolve(o, n.reads(nil))
			if err != nil {
				err.(*kernel.SettingError).Path = info.Path
				return own, err
			}
			info.Settings = append(info.Settings, set)
		case settings.OptBlocking, settings.OptComputing:
			if !marked {
				info.Mark, marked = o.Kind, true
			}
		case settings.OptWaitAll:
			if n.Kind != Parallel && n.Kind != Both {
				return own, bad(o, "is a setting of Parallel and Both")
			}
		case settings.OptFresh:
			if n.Kind != Leaf {
				return own, bad(o, "is a setting of a step")
			}
		case settings.OptReads, settings.OptPure, settings.OptEffect, settings.OptName, settings.OptVersion, settings.OptNone:
		default:
			return own, bad(o, "is no setting of a Module")
		}
	}
	info.Metadata = append(info.Metadata, s.info.Metadata...)
	info.Settings = append(info.Settings, s.info.Settings...)
	switch {
	case limit == (settings.Limit{}):
	case s.root:
		c.prog.Limits[0] = limit
	default:
		own = ownLimit{true, len(c.prog.Limits)}
		c.prog.Limits = append(c.prog.Limits, limit)
		info.Limits = append(slices.Clip(info.Limits), own.index)
	}
	return own, nil
}

func (c *compiler) leaf(n *Node, in, out int, info *kernel.Info, own memory) memory {
	info.Out = c.typ(n.Out)
	own = own.inside(n.In)
	if n.has(settings.OptFresh) || !own.held.reachedBy(n.Out) {
		own = memory{}
	}
	own.step = info.Path
	step := n.Step
	if n.Into {
		c.prog.Cells[out].Engine = true
		own = cellMemory(n.Out, own, typeSet{})
		if invariants.On {
			step = checked(n, info.Path)
		}
	}
	if info.Mark != settings.OptComputing {
		c.prog.Lanes++
		if info.Mark == settings.OptNone {
			info.Placement.Try()
		}
	}
	c.emit(kernel.Op{Kind: kernel.OpStep, Run: step, In: in, Out: out, Info: info})
	return own
}

// checked panics when an Into step stores part of its input in its output.
func checked(n *Node, path string) kernel.Step {
	return func(ctx *kernel.Context, in, out unsafe.Pointer) error {
		err := n.Step(ctx, in, out)
		if storesInput(n.In, in, n.Out, out) {
			panic("gomai: " + path + " stored part of its input in its output")
		}
		return err
	}
}

func (c *compiler) sequential(n *Node, in, out int, s scope, own memory) (_ memory, err error) {
	for i, k := range n.Kids {
		to := out
		if i < len(n.Kids)-1 {
			to = c.newCell(cells.Cell{Type: c.typ(k.Out), Parent: -1})
		}
		if own, err = c.lower(k, in, to, s, own); err != nil {
			return memory{}, err
		}
		in = to
	}
	return own, nil
}

// parallel lets the branches write straight into the elements of the slice that it gathers, or into
// the fields of the struct.
func (c *compiler) parallel(n *Node, in, out int, s scope, own memory) (memory, error) {
	if err := c.parts(n, out, s.path); err != nil {
		return memory{}, err
	}
	k := len(c.prog.Forks)
	fork := kernel.Fork{Begin: c.emit(kernel.Op{Kind: kernel.OpFork, N: k, Info: s.info})}
	c.prog.Forks = append(c.prog.Forks, fork)
	all := n.has(settings.OptWaitAll)
	if all {
		fork.Catch = len(c.prog.Catches)
		c.prog.Catches = append(c.prog.Catches, make([]kernel.Catch, len(n.Kids))...)
	}
	var parts []memory
	for i, kid := range n.Kids {
		branch := s
		branch.forked = s.forked || len(n.Kids) > 1
		branch.path = n.branch(s.path, i)
		if all {
			branch.catch = fork.Catch + i
		}
		fork.Starts = append(fork.Starts, c.here())
		cell := cells.Cell{Type: c.typ(kid.Out), Parent: out, Offset: uintptr(i) * kid.Out.Size()}
		if n.Kind == Both {
			cell.Offset = n.Out.Field(i).Offset
		}
		o, err := c.lower(kid, in, c.newCell(cell), branch, own)
		if err != nil {
			return memory{}, err
		}
		parts = append(parts, o)
		fork.Joins = append(fork.Joins, c.emit(kernel.Op{Kind: kernel.OpJoin, N: k, Info: s.info}))
		if all {
			c.prog.Catches[branch.catch] = kernel.Catch{Begin: fork.Starts[i], End: fork.Joins[i]}
		}
	}
	fork.End = c.here()
	c.prog.Forks[k] = fork
	if all {
		c.emit(kernel.Op{Kind: kernel.OpRaise, N: k, Info: s.info})
	}
	if n.Kind == Both {
		return memory{fields: parts}, nil
	}
	elem := memory{}
	for _, o := range parts {
		elem = elem.or(o)
	}
	return memory{elem: &elem}, nil
}

// parts prepares the cell that the branches of n write into.
func (c *compiler) parts(n *Node, out int, path string) error {
	for i, k := range n.Kids {
		var want reflect.Type
		switch {
		case n.Kind == Parallel && n.Out.Kind() == reflect.Slice:
			want = n.Out.Elem()
		case n.Kind == Both && n.Out.Kind() == reflect.Struct && n.Out.NumField() == len(n.Kids):
			want = n.Out.Field(i).Type
		default:
			return errorAt(path, "cannot gather in a %s", n.Out)
		}
		if k.Out != want {
			return errorAt(n.branch(path, i), "returns %v where %s is gathered", k.Out, want)
		}
	}
	if n.Kind == Parallel {
		c.prog.Cells[out].Width = len(n.Kids)
	} else {
		c.prog.Cells[out].Parts = true
	}
	return nil
}

// conditional gives each branch a cell of its own, unless sharing one cannot mix engine memory with
// memory that belongs to somebody else.
func (c *compiler) conditional(n *Node, in, out int, s scope, own memory) (memory, error) {
	if len(n.Kids) != 3 || n.Kids[0].Out != reflect.TypeFor[bool]() {
		return memory{}, errorAt(s.path, "takes a predicate and two modules")
	}
	yes := c.newCell(cells.Cell{Type: c.typ(n.Kids[0].Out), Parent: -1})
	if _, err := c.lower(n.Kids[0], in, yes, s, own); err != nil {
		return memory{}, err
	}
	branch := c.emit(kernel.Op{Kind: kernel.OpBranch, In: yes, Info: s.info})
	var jump int
	var all memory
	for i, kid := range n.Kids[1:] {
		to := out
		if !flat(n.Out) {
			to = c.newCell(cells.Cell{Type: c.typ(kid.Out), Parent: -1})
		}
		inner := s
		inner.path = n.branch(s.path, i+1)
		if kid.Out != n.Out {
			return memory{}, errorAt(inner.path, "returns %v, not %s", kid.Out, n.Out)
		}
		o, err := c.lower(kid, in, to, inner, own)
		if err != nil {
			return memory{}, err
		}
		all = all.or(o)
		if to != out {
			c.emit(kernel.Op{Kind: kernel.OpMove, In: to, Out: out, Info: s.info})
		}
		if i == 0 {
			jump = c.emit(kernel.Op{Kind: kernel.OpJump, Info: s.info})
			c.prog.Ops[branch].N = c.here()
		}
	}
	c.prog.Ops[jump].N = c.here()
	return all, nil
}

// sleep is the step of a BlockingDelay.
func sleep(d time.Duration, t *cells.Type) kernel.Step {
	return func(ctx *kernel.Context, in, out unsafe.Pointer) error {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
			t.Move(out, in)
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (c *compiler) retry(n *Node, in, out int, s scope, own memory) (memory, error) {
	catch := len(c.prog.Catches)
	c.prog.Catches = append(c.prog.Catches, kernel.Catch{})
	c.emit(kernel.Op{Kind: kernel.OpTry, N: catch, Info: s.info})
	begin, inner := c.here(), s
	inner.catch, inner.retry = catch, catch
	to := c.newCell(cells.Cell{Type: c.typ(n.Out), Parent: -1}) // out may be part of a cell that others write, too
	own, err := c.lower(n.Kids[0], in, to, inner, own)
	if err != nil {
		return memory{}, err
	}
	r := n.Policy.kernel()
	r.Cells, r.Inner = [2]int{to, len(c.prog.Cells)}, [2]int{catch + 1, len(c.prog.Catches)}
	end := c.emit(kernel.Op{Kind: kernel.OpRetry, N: catch, Info: s.info})
	c.emit(kernel.Op{Kind: kernel.OpMove, In: to, Out: out, Info: s.info})
	c.prog.Catches[catch] = kernel.Catch{Begin: begin, End: end, Retry: r}
	return own, nil
}
