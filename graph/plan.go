package graph

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

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
	Kind     string            `json:"kind"`
	Name     string            `json:"name,omitempty"`
	Version  string            `json:"version,omitempty"`
	In       string            `json:"in"`
	Out      string            `json:"out"`
	Wait     string            `json:"wait,omitempty"`
	Timeout  string            `json:"timeout,omitempty"`
	Deadline string            `json:"deadline,omitempty"`
	Marks    []string          `json:"marks,omitempty"`
	Reads    []string          `json:"reads,omitempty"`
	Settings map[string]any    `json:"settings,omitempty"`
	Metadata map[string]string `json:"metadata,omitempty"`
	Kids     []*planNode       `json:"modules,omitempty"`
}

// JSON returns the canonical form of the plan. Credentials are not part of it.
func (p *WorkflowPlan) JSON() ([]byte, error) {
	n, err := p.describe(p.root, "")
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

func (p *WorkflowPlan) describe(n *Node, path string) (*planNode, error) {
	label := n.label()
	if label != "" {
		path = strings.TrimPrefix(path+"/"+label, "/")
	}
	d := &planNode{Kind: n.Kind.String(), Name: label, Version: n.version(), In: n.In.String(), Out: n.Out.String()}
	if n.Kind == Leaf && d.Version == "" {
		return nil, errorAt(path, "%w: give it one with layers.Version", ErrUnversioned)
	}
	if n.Kind == Delay {
		d.Wait = n.Wait.String()
	}
	if err := p.describeOptions(n, d); err != nil {
		return nil, &CompileError{path, err}
	}
	for i, k := range n.Kids {
		kid, err := p.describe(k, n.branch(path, i))
		if err != nil {
			return nil, err
		}
		d.Kids = append(d.Kids, kid)
	}
	return d, nil
}

// describeOptions notes the options of n; of several values of one setting the innermost holds.
func (p *WorkflowPlan) describeOptions(n *Node, d *planNode) error {
	var limit kernel.Limit
	for i := range n.Options {
		o := &n.Options[i]
		switch o.Kind {
		case kernel.OptTimeout, kernel.OptDeadline:
			if err := limit.Add(*o); err != nil {
				return err
			}
		case kernel.OptMetadata:
			if d.Metadata == nil {
				d.Metadata = map[string]string{}
			}
			if _, ok := d.Metadata[o.Name]; !ok {
				d.Metadata[o.Name] = o.Text
			}
		case kernel.OptSet, kernel.OptSetNamed:
			set, err := kernel.ResolveSetting(o, n.reads(nil))
			if err != nil {
				return err
			}
			if d.Settings == nil {
				d.Settings = map[string]any{}
			}
			if _, ok := d.Settings[set.Key.Name]; !ok {
				d.Settings[set.Key.Name] = set.Key.Unpack(set)
			}
		case kernel.OptReads:
			for _, k := range o.Any.([]*kernel.Key) {
				d.Reads = append(d.Reads, k.Name+" "+k.Type.String())
			}
		case kernel.OptBlocking, kernel.OptComputing, kernel.OptPure, kernel.OptEffect, kernel.OptFresh, kernel.OptWaitAll:
			d.Marks = append(d.Marks, strings.ToLower(o.Kind.String()))
		}
	}
	if limit.After > 0 {
		d.Timeout = limit.After.String()
	}
	if !limit.At.IsZero() {
		d.Deadline = limit.At.UTC().Format(time.RFC3339Nano)
	}
	return nil
}

var opNames = map[kernel.OpKind]string{
	kernel.OpStep: "step", kernel.OpDelay: "delay", kernel.OpEnter: "enter", kernel.OpExit: "exit",
	kernel.OpFork: "fork", kernel.OpJoin: "join", kernel.OpRaise: "raise", kernel.OpBranch: "branch",
	kernel.OpJump: "jump", kernel.OpMove: "move", kernel.OpEnd: "end",
}

// Explain returns the program as text, an op a line: its number, what it does, the path of its module,
// the types it takes and returns, and where a step runs at present.
func (p *WorkflowPlan) Explain() string {
	var b strings.Builder
	limit := func(l kernel.Limit) string {
		if l.After > 0 {
			return "timeout " + l.After.String()
		}
		return "deadline " + l.At.Format(time.RFC3339Nano)
	}
	prog := p.program
	fmt.Fprintf(&b, "%s -> %s", p.root.In, p.root.Out)
	if l := prog.Limits[0]; l != (kernel.Limit{}) {
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
			fmt.Fprintf(&b, "  %s -> %s  (%s)", cells[o.In].Type.Name, cells[o.Out].Type.Name, o.Info.Placement())
		case kernel.OpDelay:
			fmt.Fprintf(&b, "  %v", o.Wait)
		case kernel.OpEnter:
			b.WriteString("  " + limit(prog.Limits[o.N]))
		case kernel.OpFork:
			fmt.Fprintf(&b, "  %d branches", len(prog.Forks[o.N].Starts))
		case kernel.OpBranch:
			fmt.Fprintf(&b, "  else to %d", o.N)
		case kernel.OpJump:
			fmt.Fprintf(&b, "  to %d", o.N)
		}
		b.WriteByte('\n')
	}
	return b.String()
}
