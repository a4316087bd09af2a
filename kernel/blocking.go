package kernel

import "github.com/maida-ai/gomai/internal/settings"

// OnLane reports whether the step goes to the lane at present.
func (i *Info) OnLane() bool {
	return i.Mark == settings.OptBlocking || i.Mark == settings.OptNone && i.Placement.OnLane()
}

// ranOnLane notes how long a run on the lane took.
func (e *Engine) ranOnLane(i *Info, took int64) {
	if i.Mark == settings.OptNone && i.Placement.RanOnLane(took) {
		e.mode.Add(1)
	}
}

// ranSlow notes a run on the caller that spanned two beats.
func (e *Engine) ranSlow(i *Info) {
	if i.Mark == settings.OptNone && i.Placement.RanSlow() {
		e.mode.Add(1)
	}
}
