package sched

import (
	"fmt"
	"slices"
	"testing"
)

// The model: an owner that publishes one job after the other in one slot and then closes the crew, and
// two loops. Each step of an agent is one access to shared memory, in the order of crew.go, and the
// claim changes by its real transitions. The checker visits every state that some interleaving reaches.
const (
	modelItems = 4
	modelJobs  = 3
	modelLoops = 2
	owner      = modelLoops // the agents before it are the loops
)

// A fault breaks the model on purpose: a checker that does not notice proves nothing.
type fault int

const (
	sound             fault = iota
	loopStores              // a loop stores the claim instead of comparing and swapping
	ownerStores             // so does the owner
	noGeneration            // a job begins with the same word as the one before
	overTooEarly            // a loop counts its item as over before it has run it
	activeTooLate           // there are items before their bit is set
	clearedTooLate          // a loop clears the bit after its item
	ownerDoesNotWait        // for items that loops have taken
	ownerParksBlindly       // the owner sets its bit without looking at the count
	loopParksBlindly        // a loop does not look again after it has set its bit
	bitStays                // who wakes a loop does not take its bit
	faults
)

func (f fault) String() string {
	return [...]string{"none", "loopStores", "ownerStores", "noGeneration", "overTooEarly", "activeTooLate",
		"clearedTooLate", "ownerDoesNotWait", "ownerParksBlindly", "loopParksBlindly", "bitStays"}[f]
}

// What an agent does next.
const (
	setJob = iota // the owner
	setLeft
	setActive
	publish
	wake
	sendToken
	ownerLoad
	ownerSwap
	ownerClear
	ownerRun
	restLoad
	restSwap
	restClear
	subtract
	setParked
	receiveWake
	dropJob
	closeCrew

	look // a loop
	swap
	clearBit
	run
	over
	sendWake
	setIdle
	lookAgain
	takeBack
	receiveToken

	gone
)

type agent struct {
	pc   uint8
	item int8  // that it has taken, or the loop to be woken
	job  int8  // that the slot held when seen was loaded
	seen claim // word loaded last
}

// model is all shared memory and all agents. It is comparable, so a set of states is a map.
type model struct {
	claim  claim
	left   int8
	parked bool
	wakes  int8 // tokens for the owner
	active bool
	closed bool
	goexit bool // an item of the owner has called runtime.Goexit
	job    int8 // in the slot, 0: none
	last   int8 // job published last
	idle   [modelLoops]bool
	tokens [modelLoops]int8
	ran    [modelItems]int8 // how often, of the last job
	agents [modelLoops + 1]agent
}

func start() model {
	var m model
	for n := range modelLoops {
		m.agents[n].pc = look
	}
	m.agents[owner].pc = setJob
	return m
}

// step lets agent n go on. It returns false if it cannot. With other it takes the other way where
// something decides that is not in the model.
func (m model) step(n int, other bool, f fault) (next model, ok bool, err error) {
	if n == owner {
		ok, err = m.own(&m.agents[n], other, f)
	} else {
		ok, err = m.loop(n, &m.agents[n], other, f)
	}
	switch a := &m.agents[n]; a.pc {
	case swap, clearBit, run, over, sendToken, ownerSwap, ownerClear, ownerRun, restSwap:
	default:
		*a = agent{pc: a.pc} // it has no use for the rest; that makes fewer states
	}
	return m, ok, err
}

func (m *model) own(a *agent, other bool, f fault) (bool, error) {
	pc := a.pc
	a.pc++
	switch pc {
	case setJob:
		m.last++
		m.job, m.ran, m.goexit = m.last, [modelItems]int8{}, false
	case setLeft:
		m.left, m.parked = modelItems, false
		if f == activeTooLate {
			a.pc = publish
		}
	case setActive:
		if m.active = true; f == activeTooLate {
			a.pc = wake
		}
	case publish:
		if m.claim = m.claim.publish(modelItems); f == noGeneration {
			m.claim = claim(0).publish(modelItems)
		}
		if f == activeTooLate {
			a.pc = setActive
		}
	case wake:
		if a.item = int8(slices.Index(m.idle[:], true)); a.item >= 0 {
			m.idle[a.item] = f == bitStays
		} else if a.pc = ownerLoad; m.closed {
			a.pc = gone
		}
	case sendToken:
		a.pc = wake
		if m.tokens[a.item]++; m.tokens[a.item] > 1 {
			return false, fmt.Errorf("two tokens for loop %d", a.item)
		}
	case ownerLoad:
		a.seen = m.claim
	case ownerSwap:
		next, item, ok := a.seen.low()
		m.swap(a, next, item, ok, f == ownerStores, ownerRun, restLoad)
	case ownerRun:
		a.pc = ownerLoad
		if m.goexit = other; other {
			a.pc = restLoad
		}
		return true, m.run(m.last, a.item)
	case restLoad:
		a.seen = m.claim
	case restSwap:
		next, items, ok := a.seen.rest()
		m.swap(a, next, items, ok, f == ownerStores, subtract, subtract)
	case ownerClear, restClear:
		m.active = false
	case subtract:
		if m.left -= int8(m.claim.lo()); m.left == 0 || f == ownerDoesNotWait {
			a.pc = dropJob
		}
	case setParked:
		if m.parked = true; m.left == 0 && f != ownerParksBlindly {
			a.pc = dropJob
		}
	case receiveWake:
		if m.wakes == 0 {
			return false, nil
		}
		if m.wakes--; m.left != 0 {
			return false, fmt.Errorf("the owner was woken with %d items left", m.left)
		}
	case dropJob:
		m.job = 0
		if m.last < modelJobs {
			a.pc = setJob
		}
		return true, m.retired()
	case closeCrew:
		m.closed = true
		a.pc = wake
	case gone:
		return false, nil
	}
	return true, nil
}

func (m *model) loop(n int, a *agent, other bool, f fault) (bool, error) {
	pc := a.pc
	a.pc++
	switch pc {
	case look:
		if a.seen, a.job = m.claim, m.job; m.closed {
			a.pc = gone
		}
	case swap:
		next, item, ok := a.seen.high()
		m.swap(a, next, item, ok, f == loopStores, run, setIdle)
		switch {
		case f == overTooEarly && a.pc == run:
			a.pc = over
		case f == clearedTooLate && a.pc == clearBit:
			a.pc = run
		}
	case clearBit:
		if m.active = false; f == clearedTooLate {
			a.pc = look
		}
	case run:
		if f == overTooEarly {
			a.pc = look
		}
		if m.job != a.job {
			return false, fmt.Errorf("a loop that looked at job %d runs an item of job %d", a.job, m.job)
		}
		return true, m.run(m.job, a.item)
	case over:
		if m.left--; m.left < 0 {
			return false, fmt.Errorf("more items are over than there are")
		}
		switch {
		case m.left == 0 && m.parked: // to sendWake
		case f == overTooEarly:
			a.pc = run
		case f == clearedTooLate:
			a.pc = clearBit
		default:
			a.pc = look
		}
	case sendWake:
		a.pc = look
		if m.wakes++; m.wakes > 1 {
			return false, fmt.Errorf("two tokens for the owner")
		}
	case setIdle:
		if other && m.active { // it has seen that while it was spinning
			a.pc = look
			break
		}
		if m.idle[n] = true; f == loopParksBlindly {
			a.pc = receiveToken
		}
	case lookAgain:
		if !m.active && !m.closed {
			a.pc = receiveToken
		}
	case takeBack:
		if m.idle[n] {
			m.idle[n] = false
			a.pc = look
		}
	case receiveToken:
		if m.tokens[n] == 0 {
			return false, nil
		}
		m.tokens[n]--
		a.pc = look
	case gone:
		return false, nil
	}
	return true, nil
}

// swap is the compare-and-swap after a transition. The agent goes on with taken, with what stands before
// it if it has to clear the bit first, or with none if there was nothing to take; or it tries again.
func (m *model) swap(a *agent, next claim, item int, ok, store bool, taken, none uint8) {
	switch a.item = int8(item); {
	case !ok:
		a.pc = none
	case m.claim != a.seen && !store:
		a.pc -= 2
	default:
		if m.claim, a.seen, a.pc = next, 0, taken; next.free() == 0 {
			a.pc--
		}
	}
}

// run ends the run of an item.
func (m *model) run(job, item int8) error {
	switch {
	case item < 0 || item >= modelItems:
		return fmt.Errorf("there is no item %d", item)
	case job == 0:
		return fmt.Errorf("item %d of a job that is over has run", item)
	case m.ran[item] > 0:
		return fmt.Errorf("item %d of job %d has run twice", item, job)
	}
	m.ran[item]++
	return nil
}

// retired checks what must hold when the owner returns.
func (m *model) retired() error {
	for item, n := range m.ran {
		if n == 0 && !m.goexit {
			return fmt.Errorf("the owner of job %d returns before item %d has run", m.last, item)
		}
	}
	if m.left != 0 || m.active || m.wakes != 0 || m.claim.free() != 0 {
		return fmt.Errorf("job %d leaves something behind", m.last)
	}
	return nil
}

// stuck says what is wrong with a state in which nobody can go on.
func (m *model) stuck() error {
	for n, a := range m.agents {
		if a.pc != gone {
			return fmt.Errorf("agent %d waits for ever in state %d", n, a.pc)
		}
	}
	if slices.Max(m.tokens[:]) > 0 || slices.Contains(m.idle[:], true) {
		return fmt.Errorf("a loop left, and a token or a bit of its stayed behind")
	}
	return nil
}

// explore visits the states that can be reached, until one is wrong. It returns how many there were.
func explore(f fault) (int, error) {
	first := start()
	seen := map[model]bool{first: true}
	for open := []model{first}; len(open) > 0; {
		m := open[len(open)-1]
		open = open[:len(open)-1]
		moved := false
		for n := range m.agents {
			for _, other := range []bool{false, true} {
				next, ok, err := m.step(n, other, f)
				if err != nil {
					return len(seen), err
				}
				if ok && !seen[next] {
					seen[next] = true
					open = append(open, next)
				}
				moved = moved || ok
			}
		}
		if !moved {
			if err := m.stuck(); err != nil {
				return len(seen), err
			}
		}
	}
	return len(seen), nil
}

// TestClaimModel: in no interleaving does an item run twice, not at all, or after its job; the owner
// returns neither early nor never; nobody sleeps through the end.
func TestClaimModel(t *testing.T) {
	states, err := explore(sound)
	if err != nil {
		t.Error(err)
	}
	t.Logf("%d states", states)
}

func TestClaimModelNoticesFaults(t *testing.T) {
	for f := sound + 1; f < faults; f++ {
		t.Run(f.String(), func(t *testing.T) {
			states, err := explore(f)
			if err == nil {
				t.Errorf("all of %d states are right", states)
			}
			t.Log(err)
		})
	}
}
