package placement

import "testing"

func measured(work int64) *Profit {
	p := new(Profit)
	p.Learn(work, Stay, 1)
	return p
}

func TestProfitByWork(t *testing.T) {
	for _, c := range []struct {
		work    int64
		helpers int
		want    int
	}{
		{0, 1, Stay}, {Worthwhile - 1, 1, Stay}, {Worthwhile, 1, 0}, {Worthwhile, 0, 1}, {worthWaking, 1, 0}, {worthWaking, 0, 7},
	} {
		p := new(Profit)
		if c.work > 0 {
			p = measured(c.work)
		}
		if got := p.Wake(1, 8, c.helpers, 5); got != c.want || p.Stays(1) != (c.work < Worthwhile) {
			t.Errorf("8 branches of %d ns with %d helpers: %d, stays: %v, want %d", c.work, c.helpers, got, p.Stays(1), c.want)
		}
	}
}

func TestProfitFollowsWork(t *testing.T) {
	p := measured(10 * Worthwhile)
	for range 20 {
		p.Learn(10, Stay, 1)
	}
	if !p.Stays(1) {
		t.Error("20 short runs did not make long work small")
	}
}

// One run of 64 stays, to be timed, unless everything is handed over.
func TestProfitMeasures(t *testing.T) {
	p := measured(Worthwhile)
	for run := range uint32(200) {
		if got := p.Wake(run, 8, 1, 1); (got == Stay) != (run%64 == 0) || p.Stays(run) {
			t.Errorf("run %d: %d, stays: %v", run, got, p.Stays(run))
		}
		if small := new(Profit); small.Stays(run) != (run%64 != 0) {
			t.Errorf("run %d of small work stays: %v", run, small.Stays(run))
		}
		if always := (&Profit{Always: true}); always.Stays(run) || always.Wake(run, 8, 0, 1) != 8 {
			t.Errorf("run %d is not handed over", run)
		}
	}
}

// On trial a helper is woken once a beat, less often if that gains nothing.
func TestProfitTrials(t *testing.T) {
	p := measured(Worthwhile)
	beat, trials := uint32(1), []uint32{}
	for ; beat < 5000; beat++ {
		for range 3 {
			if p.Wake(1, 2, 0, beat) == 1 {
				trials = append(trials, beat)
				p.Learn(Worthwhile+1, 1, beat)
			}
		}
	}
	for i, b := range trials[1:] {
		if want := min(uint32(1)<<(i+1), 1<<maxBackoff); b-trials[i] != want {
			t.Errorf("trial %d came %d beats after the one before, want %d", i+1, b-trials[i], want)
		}
	}
	if len(trials) < maxBackoff {
		t.Fatalf("%d trials in 5,000 beats", len(trials))
	}
	beat += 1 << maxBackoff
	if p.Wake(1, 2, 0, beat) != 1 || p.Wake(1, 2, 0, beat) != Stay {
		t.Fatal("not one trial in the beat after the pause")
	}
	p.Learn(Worthwhile-1, 1, beat) // it gained
	if p.Wake(1, 2, 0, beat+1) != 1 {
		t.Error("no trial in the beat after one that gained")
	}
}

func TestProfitBacksOff(t *testing.T) {
	p := measured(Worthwhile)
	pause := func() (n int) {
		for p.Wake(1, 2, 1, 1) == Stay {
			n++
		}
		return n
	}
	for i := 1; i <= maxBackoff+2; i++ {
		p.Learn(Worthwhile, 0, 1)
		if got, want := pause(), 1<<min(i, maxBackoff); got != want {
			t.Errorf("after %d losses: %d runs stay, want %d", i, got, want)
		}
	}
	p.Learn(1, 0, 1)
	p.Learn(Worthwhile, 0, 1)
	if got := pause(); got != 2 {
		t.Errorf("after a gain and a loss: %d runs stay, want 2", got)
	}
}

func TestWorth(t *testing.T) {
	var w Worth
	for i, c := range []struct {
		took int64
		want bool
	}{
		{Worthwhile, false}, {1, false}, {Worthwhile, false}, {Worthwhile, false}, {Worthwhile, false}, {Worthwhile, true},
		{1, true}, {1, true}, {Worthwhile, true}, {1, true}, {1, true}, {1, false}, {Worthwhile, false},
	} {
		if got := w.Sample(c.took); got != c.want {
			t.Errorf("sample %d of %d ns: %v, want %v", i, c.took, got, c.want)
		}
	}
}
