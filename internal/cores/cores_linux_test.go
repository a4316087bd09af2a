package cores

import (
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

func TestAvoid(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before, after unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		t.Skip(err)
	}
	stayed := 0
	for range 100 {
		core := Current()
		if core < 0 || !before.IsSet(core) {
			t.Fatalf("on core %d, which is none of those allowed", core)
		}
		if Avoid(core); Current() == core {
			stayed++ // or has come back meanwhile
		}
	}
	if stayed > 50 && before.Count() > 1 {
		t.Errorf("%d of 100 times the thread was where it had been", stayed)
	}
	Avoid(-1)
	if err := unix.SchedGetaffinity(0, &after); err != nil || after != before {
		t.Errorf("allowed are %v (%v), before %v", after, err, before)
	}
}
