package kernel

import (
	"slices"
	"time"
)

// TraceHandle receives what a call did, step by step. The zero value is ready; a handle that is used
// again keeps its memory. It belongs to one call at a time and is complete when the call returns.
type TraceHandle struct {
	Start    time.Time     // of the call
	Duration time.Duration // of the call
	Parent   uint64        // StepID of the step that made the call; 0: not made inside a step
	Spans    []Span        // in the order in which the steps ended
}

// Span is one run of one step.
type Span struct {
	Path     string
	StepID   uint64
	Start    time.Duration // since the start of the call
	Duration time.Duration
	Bytes    int64 // size of the output, what it points to included; 0 on an error
	Retries  int
	Err      error
}

// span notes the run of the step at pc, which began at start.
func (s *strand) span(pc int32, start int64, err error) {
	f := s.frame
	now := f.sched.Now()
	o := &f.ops[pc]
	info := f.info(o)
	span := Span{
		Path:     info.Path,
		StepID:   f.stepID(pc),
		Start:    time.Duration(start - f.began),
		Duration: time.Duration(now - start),
		Retries:  f.catches[info.Retry].retries,
		Err:      err,
	}
	if err == nil && info.Out != nil {
		span.Bytes = info.Out.Measure(o.out)
	}
	f.tracing.Lock()
	f.trace.Spans = append(f.trace.Spans, span)
	f.tracing.Unlock()
	s.boundary = now
}

// spanLate notes that the result of the step that ran last is dropped, because it came too late.
func (s *strand) spanLate(err error) {
	f := s.frame
	if f.trace == nil {
		return
	}
	f.tracing.Lock()
	defer f.tracing.Unlock()
	id := f.stepID(s.pc) // not always the last span: branches on the crew append theirs, too
	if i := slices.IndexFunc(f.trace.Spans, func(s Span) bool { return s.StepID == id }); i >= 0 {
		f.trace.Spans[i].Err, f.trace.Spans[i].Bytes = err, 0
	}
}
