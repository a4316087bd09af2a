package placement

import "testing"

// trial notes n runs on the lane, of which the first slow took too long, and reports whether any of them
// moved the step.
func trial(d *Detector, n, slow int) (moves bool) {
	for i := range n {
		took := slowRun
		if i < slow {
			took++
		}
		moves = d.RanOnLane(took) || moves
	}
	return moves
}

func TestDetector(t *testing.T) {
	var d Detector
	if d.OnLane() {
		t.Fatal("a step that nobody tries goes to the lane")
	}
	d.Try()
	if trial(&d, trialRuns-1, 0) || !d.OnLane() {
		t.Fatal("the trial is over early")
	}
	if !trial(&d, 1, 0) || d.OnLane() {
		t.Fatal("16 fast runs do not move the step to the caller")
	}
	if trial(&d, 16, 16) || d.OnLane() {
		t.Fatal("runs that began before the move moved it back")
	}
	for i := 1; i <= slowRuns; i++ {
		if moves := d.RanSlow(); moves != (i == slowRuns) || d.OnLane() != moves {
			t.Fatalf("after %d slow runs on the caller it moves: %v", i, moves)
		}
	}
	if d.RanSlow() {
		t.Error("a step that is on the lane moves there")
	}
	if trial(&d, trialRuns, slowRuns) || !d.OnLane() {
		t.Fatal("3 slow runs of 16 do not keep the step on the lane")
	}
	if !trial(&d, 1, 0) || d.OnLane() { // the oldest of the three falls out of the last 16
		t.Fatal("2 slow runs of the last 16 keep the step on the lane")
	}
	for range slowRuns - 1 {
		if d.RanSlow() {
			t.Error("slow runs of before the trial count")
		}
	}
}
