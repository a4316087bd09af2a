package kernel

import (
	"time"

	"github.com/maida-ai/gomai/sched"
)

// Retry is the Catch of ops that are run again if they fail. An OpMove hands on what they return.
type Retry struct {
	Max   int                             // retries after the first attempt
	Delay func(retries int) time.Duration // before the next one
	Again func(err error) bool            // whether err is worth another attempt
	Cells [2]int                          // from the first on, up to the second, are written by its ops alone
	Inner [2]int                          // Catches in it, likewise
}

// caught is what a Frame knows of a Catch. The first stands for the call itself.
type caught struct {
	err     error
	retries int
	id      uint64 // of the attempt, 0: nobody has asked
}

// retry ends an attempt: it was a success, or it is repeated after a delay, or its error stands. There is
// no other attempt if it could only begin at the deadline.
func (s *strand) retry(o *op) (*op, error) {
	f := s.frame
	catch, a := &f.engine.prog.Catches[o.n], &f.catches[o.n]
	err := a.err
	if err == nil {
		return &f.ops[o.pc+1], nil
	}
	s.pc, a.err = o.pc, nil
	at, due := sched.Add(f.sched.Now(), catch.Retry.Delay(a.retries)), f.deadline(f.info(o))
	if t, ok := f.parent.Deadline(); ok {
		due = min(due, f.sched.At(t))
	}
	if a.retries >= catch.Retry.Max || at >= due || !catch.Retry.Again(err) {
		return s.caughtBy(f.info(o).Catch, err)
	}
	a.retries, a.id = a.retries+1, 0
	clear(f.catches[catch.Retry.Inner[0]:catch.Retry.Inner[1]]) // a WaitAll that did not get to its end left errors
	if f.lost {
		f.leaveCells(catch)
	}
	return s.wait(o.pc, f.sched.Now(), at, due, nil)
}

// leaveCells leaves the cells that the ops of a Retry write to an abandoned run.
func (f *Frame) leaveCells(c *Catch) {
	f.cells.Leave(c.Retry.Cells[0], c.Retry.Cells[1])
	p := f.engine.prog
	for i := c.Begin; i <= c.End+1; i++ { // with the OpMove after it
		for k := f.layout.target[i]; k < f.layout.target[i+1]; k++ {
			if o := &f.ops[k]; o.kind < opSpread {
				o.in, o.out = f.cells.At[p.Ops[i].In], f.cells.At[p.Ops[i].Out]
			}
		}
	}
}
