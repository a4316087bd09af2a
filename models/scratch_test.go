package models

import "testing"

// The memory of an ordinary call is used again, that of an enormous one is not.
func TestScratchesForgetWhatIsEnormous(t *testing.T) {
	f := newScratches()
	s := f.get()
	s.text.IDs = make([]int32, 0, keep)
	f.put(s)
	if s = f.get(); cap(s.text.IDs) != keep {
		t.Error("the memory of an ordinary call is gone")
	}
	s.text.IDs = make([]int32, 0, keep+1)
	f.put(s)
	if s = f.get(); s.text.IDs != nil {
		t.Error("the memory of an enormous text is kept")
	}
}
