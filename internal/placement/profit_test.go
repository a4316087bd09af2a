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
		if got := p.Wake(1, 8, c.helpers, false, 5); got != c.want || p.Stays(1) != (c.work < Worthwhile) {
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
		if got := p.Wake(run, 8, 1, false, 1); (got == Stay) != (run%64 == 0) || p.Stays(run) {
			t.Errorf("run %d: %d, stays: %v", run, got, p.Stays(run))
		}
		if small := new(Profit); small.Stays(run) != (run%64 != 0) {
			t.Errorf("run %d of small work stays: %v", run, small.Stays(run))
		}
		if always := (&Profit{Always: true}); always.Stays(run) || always.Wake(run, 8, 0, false, 1) != 8 {
			t.Errorf("run %d is not handed over", run)
		}
	}
}

// On trial a helper is woken, at first once a beat, less often if nothing is gained afterwards.
func TestProfitTrials(t *testing.T) {
	p := measured(Worthwhile)
	trials := func(from, to uint32, gain bool) (at []uint32) {
		for beat := from; beat < to; beat++ {
			for range 3 {
				switch p.Wake(1, 2, 0, false, beat) {
				case 1:
					at = append(at, beat)
					p.Learn(2*Worthwhile, 1, beat) // it had to be woken
					if gain {
						p.Learn(Worthwhile-1, 0, beat)
					} else {
						p.Learn(Worthwhile, Stay, beat)
					}
				case Stay:
				default:
					t.Fatal("nobody is awake")
				}
			}
		}
		return at
	}
	at := trials(1, 1000, false)
	for i, b := range at[1:] {
		if want := uint32(1) << min(i, maxBackoff); b-at[i] != want {
			t.Errorf("trial %d came %d beats after the one before, want %d", i+1, b-at[i], want)
		}
	}
	if n := len(at); n < 1000>>maxBackoff {
		t.Errorf("%d trials in 1,000 beats", n)
	}
	if at := trials(2000, 2100, true); len(at) < 99 {
		t.Errorf("%d trials in 100 beats in which something was gained", len(at))
	}
}

// What loses with helpers awake pauses, if it goes on.
func TestProfitPauses(t *testing.T) {
	p := measured(Worthwhile)
	pause := func() (n int) {
		for p.Wake(1, 2, 1, false, 1) == Stay {
			n++
		}
		return n
	}
	lose := func(i, want int) {
		t.Helper()
		p.Learn(Worthwhile, 0, 1)
		if got := pause(); got != want {
			t.Errorf("after %d losses: %d runs stay, want %d", i, got, want)
		}
	}
	for range 2 {
		for i := 1; i <= patience+maxPause+2; i++ {
			want := 0
			if i > patience {
				want = 1 << min(i-patience, maxPause)
			}
			lose(i, want)
		}
		p.Learn(1, 0, 1)
	}
	if p.Wake(1, 2, 0, false, 1000) != 1 {
		t.Fatal("no trial with nobody awake")
	}
	for i := 1; i <= probation+patience; i++ {
		lose(i, 0) // a helper is slow at first
	}
	lose(probation+patience+1, 2)

	if p := measured(Worthwhile); p.Wake(1, 2, 0, true, 1) != Stay || p.Wake(1, 2, 1, true, 1) != Stay || p.Wake(1, 2, 1, false, 1) != 0 {
		t.Error("with all cores busy branches do not stay, or without that they do")
	}

	q := measured(worthWaking)
	for range patience + 1 {
		q.Learn(worthWaking, 7, 1)
	}
	if q.Wake(1, 8, 0, false, 1) != Stay {
		t.Error("long work that loses with helpers woken does not pause")
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
