//go:build unix

package sched

import (
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A test that needs a process of its own runs this binary again, with this variable set.
const childVar = "GOMAI_SCHED_CHILD"

// child runs the present test once more as a process of its own.
func child(t *testing.T) (output string, err error) {
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), childVar+"=1", "GOMAXPROCS=2")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func cpuTime(t *testing.T) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// A process whose crew has nothing to do uses less than 5 ms of CPU time in 2 s.
func TestIdleProcess(t *testing.T) {
	if os.Getenv(childVar) == "" {
		out, err := child(t)
		if err != nil || !strings.Contains(out, "idle: ") {
			t.Fatalf("%v\n%s", err, out)
		}
		t.Log(out)
		return
	}
	s := Default()
	if s.Crew() != 1 {
		t.Fatal("there is no crew")
	}
	s.Enter()
	for range 100 {
		newItems(8, nil).spread(s, 1)
	}
	s.Leave()
	until(func() bool { return s.crew.idle.Load() == 1 && !s.Stats().Ticking })
	runtime.GC()
	before := cpuTime(t)
	<-time.After(2 * time.Second)
	used := cpuTime(t) - before
	t.Logf("idle: %v", used)
	if used >= 5*time.Millisecond {
		t.Errorf("%v of CPU time in 2 s", used)
	}
}

// A panic that a Job lets out on a loop ends the process, as it would on any goroutine.
func TestPanicOnLoop(t *testing.T) {
	const message = "let out by an item"
	if os.Getenv(childVar) == "" {
		if out, err := child(t); err == nil || !strings.Contains(out, "panic: "+message) {
			t.Fatalf("the process goes on: %v\n%s", err, out)
		}
		return
	}
	s := Default()
	s.Crew()
	s.Spread(newItems(2, func(i int) {
		if i == 0 {
			select {}
		}
		panic(message)
	}), 2, 1)
}
