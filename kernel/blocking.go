package kernel

import "github.com/maida-ai/gomai/internal/settings"

// onLane reports whether the step goes to the lane at present.
func (i *Info) onLane() bool {
	return i.Mark == settings.OptBlocking || i.Mark == settings.OptNone && i.Placement.OnLane()
}

// Place says in words where the step runs at present.
func (i *Info) Place() string {
	switch {
	case i.Mark == settings.OptBlocking:
		return "blocking"
	case i.Mark == settings.OptComputing:
		return "computing"
	case i.onLane():
		return "undeclared, on the lane"
	}
	return "undeclared, on the caller"
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
