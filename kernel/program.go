// Package kernel runs compiled programs. A Program is a flat array of ops over memory cells; a Frame
// is the memory of one call; the loop (loop.go, the hot path) walks the ops on the caller's own
// goroutine. Steps get a Context, which is engine memory too. An op may suspend its branch, for a
// delay or for a blocking step that runs on the lane of package sched.
//
// The kernel knows no types: packages layers and graph compile typed Modules to it. "Kernel" means
// this loop; the numeric routines of package simd are called primitives.
package kernel

import (
	"time"
	"unsafe"

	"github.com/maida-ai/gomai/internal/cells"
	"github.com/maida-ai/gomai/internal/placement"
	"github.com/maida-ai/gomai/internal/settings"
)

// Step is the closure round a user's function: it reads its input cell and writes its output cell.
type Step func(c *Context, in, out unsafe.Pointer) error

// Info is what the Frames of an engine share about a step or a composite.
type Info struct {
	Path      string
	Limits    []int // the Limits round it, outer first; 0, the call's, is not listed
	Settings  []settings.Setting
	Metadata  []settings.Pair
	Auth      settings.Option // settings.OptAuth or settings.OptNone
	Mark      settings.Kind   // settings.OptBlocking, settings.OptComputing or settings.OptNone
	Forked    bool            // in a Parallel: it has siblings
	Catch     int             // the Catch that its error goes to; 0: it ends the call
	Retry     int             // the innermost Catch round it that is a Retry; 0: none
	Out       *cells.Type
	Placement placement.Detector // of a step without a mark
}

// OpKind tells ops apart.
type OpKind uint8

// The ops. Jump targets are indices in Program.Ops.
const (
	OpStep   OpKind = iota // Run on In, Out
	OpDelay                // wait for Wait, then move In to Out
	OpEnter                // Limits[N] begins
	OpExit                 // and ends: the poll before this op is what matters
	OpFork                 // the branches of Forks[N] begin
	OpJoin                 // a branch of Forks[N] ends
	OpTry                  // the Retry Catches[N] begins
	OpRetry                // an attempt of it ends
	OpRaise                // the WaitAll Forks[N] fails with the first error of its branches
	OpBranch               // jump to N unless the bool in In is true
	OpJump                 // jump to N
	OpMove                 // move In to Out
	OpEnd

	opLane      // an OpStep that goes to the lane at present
	opSpread    // the branches of a Fork that the crew may run
	opBranchEnd // an OpJoin of one of them
)

// Op is an instruction. In and Out are indices in Program.Cells.
type Op struct {
	Kind    OpKind
	Run     Step
	In, Out int
	N       int
	Wait    time.Duration
	Info    *Info
}

// Fork is a Parallel whose branches can suspend.
type Fork struct {
	Begin  int   // its OpFork
	Starts []int // first op of each branch
	Joins  []int // last op of each branch
	End    int   // the op after it
	Catch  int   // Catches[Catch+i] is branch i of a WaitAll; 0: it fails fast
}

// Catch is where errors of the ops from Begin on go: to the op at End, which joins a branch of a WaitAll
// Parallel or is an OpRetry.
type Catch struct {
	Begin, End int
	Retry      *Retry // nil: a branch
}

// Program is what Compile emits: immutable, shared by all Frames of an engine.
type Program struct {
	Ops     []Op
	Cells   []cells.Cell
	In, Out int
	Limits  []settings.Limit // of With; [0] is the root's, which a call's replaces
	Forks   []Fork
	Catches []Catch         // [0] stands for the call
	Keys    []*settings.Key // what some step reads
	Lanes   int             // steps that may go to the lane
	// CopyIn copies an input deeply into fresh memory; nil: it shares nothing that can change.
	CopyIn func(dst, src unsafe.Pointer)
	// CopyOut copies a result out of engine memory, reusing the slices that dst holds; nil: it
	// cannot point there.
	CopyOut func(dst, src unsafe.Pointer)
}
