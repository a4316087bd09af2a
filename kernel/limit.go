package kernel

import (
	"math"
	"time"

	"github.com/maida-ai/gomai/internal/settings"
	"github.com/maida-ai/gomai/sched"
)

// limit is a settings.Limit at work. Until somebody asks when it is due, only its beginning is known.
type limit struct {
	after time.Duration // 0: at holds
	beat  uint32        // at which it began
	at    int64         // on the scheduler's scale, or noDeadline
}

const noDeadline = math.MaxInt64

func (s *strand) startLimit(l settings.Limit) limit {
	switch {
	case l.After > 0 && l.After <= sched.Remembered:
		return limit{after: l.After, beat: s.beat}
	case !l.At.IsZero():
		return limit{at: s.frame.sched.At(l.At)}
	case l.After > 0:
		return limit{at: sched.Add(s.frame.sched.Now(), l.After)}
	}
	return limit{at: noDeadline}
}

// deadline returns the earliest limit round a step, each time the same. The caller's ctx has its own.
// It writes, so a Context holds its lock.
func (f *Frame) deadline(i *Info) int64 {
	d := f.limits[0].due(f.sched)
	for _, l := range i.Limits {
		d = min(d, f.limits[l].due(f.sched))
	}
	return d
}

func (l *limit) due(s *sched.Sched) int64 {
	if l.after > 0 {
		l.at, l.after = sched.Add(s.Anchor(l.beat), l.after), 0
	}
	return l.at
}
