package graph

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/maida-ai/gomai/internal/settings"
	"github.com/maida-ai/gomai/kernel"
)

// planVersion is the version of the JSON form of a plan.
const planVersion = 1

// ErrUnversioned is wrapped by the error of a plan that has a step without a registered name and
// version: such a plan runs, but it has no hash and cannot be stored.
var ErrUnversioned = errors.New("the step has no version")

// WorkflowPlan is what Compile emits: a program to run, and the description of it that has an identity.
type WorkflowPlan struct {
	root    *Node
	program *kernel.Program
}

// Program returns what a kernel.Engine runs.
func (p *WorkflowPlan) Program() *kernel.Program { return p.program }

// Root returns the node that was compiled.
func (p *WorkflowPlan) Root() *Node { return p.root }

// planNode is the JSON form of a node. Fields are written in this order and map keys sorted, so equal
// plans have equal bytes.
type planNode struct {
	Kind     string                     `json:"kind"`
	Name     string                     `json:"name,omitempty"`
	Version  string                     `json:"version,omitempty"`
	In       string                     `json:"in"`
	Out      string                     `json:"out"`
	Wait     string                     `json:"wait,omitempty"`
	Retry    *retryForm                 `json:"retry,omitempty"`
	Timeout  string                     `json:"timeout,omitempty"`
	Deadline string                     `json:"deadline,omitempty"`
	Marks    []string                   `json:"marks,omitempty"`
	Reads    []string                   `json:"reads,omitempty"`
	Settings map[string]json.RawMessage `json:"settings,omitempty"`
	Metadata map[string]string          `json:"metadata,omitempty"`
	Kids     []*planNode                `json:"modules,omitempty"`
}

// JSON returns the canonical form of the plan. Credentials are not part of it.
func (p *WorkflowPlan) JSON() ([]byte, error) {
	n, err := describeNode(p.root, "", paths{})
	if err != nil {
		return nil, err
	}
	return json.Marshal(struct {
		Version int       `json:"plan_version"`
		Root    *planNode `json:"root"`
	}{planVersion, n})
}

// Hash returns the SHA-256 of JSON in hexadecimal.
func (p *WorkflowPlan) Hash() (string, error) {
	b, err := p.JSON()
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:]), nil
}

// describeNode describes n, which is inside of what path names.
func describeNode(n *Node, path string, used paths) (*planNode, error) {
	label := n.label()
	path = used.of(label, path)
	d := &planNode{Kind: n.Kind.String(), Name: label, Version: n.version(), In: n.In.String(), Out: n.Out.String()}
	if n.Kind == Leaf && d.Version == "" {
		return nil, errorAt(path, "%w: give it one with layers.Version", ErrUnversioned)
	}
	if n.Kind == Retry {
		if n.Policy.When != nil && d.Version == "" {
			return nil, errorAt(path, "%w for its When: give it one with layers.Version", ErrUnversioned)
		}
		d.Retry = n.Policy.form()
	}
	if n.delays() {
		d.Wait = n.Wait.String()
	}
	if err := d.describeOptions(n); err != nil {
		return nil, &CompileError{where(n, path), err}
	}
	for i, k := range n.Kids {
		if n.Kind == Conditional && i == 0 && k.version() == "" {
			k = k.With(settings.Option{Kind: settings.OptVersion, Text: d.Version}) // it is part of the Conditional
		}
		kid, err := describeNode(k, n.branch(path, i), used)
		if err != nil {
			return nil, err
		}
		d.Kids = append(d.Kids, kid)
	}
	return d, nil
}

// describeOptions notes the options of n; of several values of one setting the innermost holds.
func (d *planNode) describeOptions(n *Node) error {
	var limit settings.Limit
	place := settings.OptNone // where it runs
	for i := range n.Options {
		o := &n.Options[i]
		switch o.Kind {
		case settings.OptTimeout, settings.OptDeadline:
			if err := limit.Add(*o); err != nil {
				return err
			}
		case settings.OptMetadata:
			if d.Metadata == nil {
				d.Metadata = map[string]string{}
			}
			if _, ok := d.Metadata[o.Name]; !ok {
				d.Metadata[o.Name] = o.Text
			}
		case settings.OptSet, settings.OptSetNamed:
			set, err := settings.Resolve(o, n.reads(nil))
			if err != nil {
				return err
			}
			if err := d.describeSetting(set); err != nil {
				return err
			}
		case settings.OptReads:
			for _, k := range o.Any.([]*settings.Key) {
				d.Reads = append(d.Reads, k.Name+" "+k.Type.String())
			}
		case settings.OptBlocking, settings.OptComputing:
			if place == settings.OptNone {
				place = o.Kind
				d.Marks = append(d.Marks, strings.ToLower(o.Kind.String()))
			}
		case settings.OptPure, settings.OptEffect, settings.OptFresh, settings.OptWaitAll:
			d.Marks = append(d.Marks, strings.ToLower(o.Kind.String()))
		}
	}
	d.Marks, d.Reads = sortedSet(d.Marks), sortedSet(d.Reads)
	if limit.After > 0 {
		d.Timeout = limit.After.String()
	}
	if !limit.At.IsZero() {
		d.Deadline = limit.At.UTC().Format(time.RFC3339Nano)
	}
	return nil
}

// describeSetting notes a setting unless one further in has the same key. A value that its JSON form
// does not hold whole would make two plans look like one, so it is an error.
func (d *planNode) describeSetting(s settings.Setting) error {
	if _, ok := d.Settings[s.Key.Name]; ok {
		return nil
	}
	v := s.Key.Unpack(s)
	b, err := json.Marshal(v)
	if err == nil {
		back := reflect.New(s.Key.Type)
		if err = json.Unmarshal(b, back.Interface()); err == nil && !reflect.DeepEqual(back.Elem().Interface(), v) {
			err = errors.New("part of it is lost")
		}
	}
	if err != nil {
		return &kernel.SettingError{Setting: s.Key.Name, Reason: "cannot be written as JSON: " + err.Error()}
	}
	if d.Settings == nil {
		d.Settings = map[string]json.RawMessage{}
	}
	d.Settings[s.Key.Name] = b
	return nil
}

func sortedSet(s []string) []string {
	slices.Sort(s)
	return slices.Compact(s)
}

var opNames = map[kernel.OpKind]string{
	kernel.OpStep: "step", kernel.OpDelay: "delay", kernel.OpEnter: "enter", kernel.OpExit: "exit",
	kernel.OpTry: "try", kernel.OpRetry: "retry", kernel.OpFork: "fork", kernel.OpJoin: "join", kernel.OpRaise: "raise", kernel.OpBranch: "branch",
	kernel.OpJump: "jump", kernel.OpMove: "move", kernel.OpEnd: "end",
}

// Explain returns the program as text, an op a line: its number, what it does, the path of its module,
// the types it takes and returns, and where a step runs at present.
func (p *WorkflowPlan) Explain() string {
	var b strings.Builder
	limit := func(l settings.Limit) string {
		if l.After > 0 {
			return "timeout " + l.After.String()
		}
		return "deadline " + l.At.UTC().Format(time.RFC3339Nano)
	}
	prog := p.program
	fmt.Fprintf(&b, "%s -> %s", p.root.In, p.root.Out)
	if l := prog.Limits[0]; l != (settings.Limit{}) {
		b.WriteString(", " + limit(l))
	}
	if prog.CopyOut != nil {
		b.WriteString(", result copied")
	}
	b.WriteByte('\n')
	for i := range prog.Ops {
		o := &prog.Ops[i]
		fmt.Fprintf(&b, "%3d  %-6s  %s", i, opNames[o.Kind], o.Info.Path)
		switch o.Kind {
		case kernel.OpStep:
			cells := prog.Cells
			fmt.Fprintf(&b, "  %s -> %s  (%s)", cells[o.In].Type.Name, cells[o.Out].Type.Name, place(o.Info))
		case kernel.OpDelay:
			fmt.Fprintf(&b, "  %v", o.Wait)
		case kernel.OpEnter:
			b.WriteString("  " + limit(prog.Limits[o.N]))
		case kernel.OpFork:
			fmt.Fprintf(&b, "  %d branches", len(prog.Forks[o.N].Starts))
		case kernel.OpRetry:
			fmt.Fprintf(&b, "  from %d, up to %d times", prog.Catches[o.N].Begin, prog.Catches[o.N].Retry.Max)
		case kernel.OpBranch:
			fmt.Fprintf(&b, "  else to %d", o.N)
		case kernel.OpJump:
			fmt.Fprintf(&b, "  to %d", o.N)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// place says in words where a step runs at present.
func place(i *kernel.Info) string {
	switch {
	case i.Mark == settings.OptBlocking:
		return "blocking"
	case i.Mark == settings.OptComputing:
		return "computing"
	case i.OnLane():
		return "undeclared, on the lane"
	}
	return "undeclared, on the caller"
}
