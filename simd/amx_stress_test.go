//go:build linux && amd64 && !noasm

package simd

import (
	"io"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/pprof"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/maida-ai/gomai/internal/cpu"
)

// The state of tiles, and all of AVX-512's registers, must survive whatever happens to a goroutine and
// its thread: TestStressAMX computes products while the garbage collector runs all the time, stacks grow
// under the products, goroutines change threads, and signals for preemption and profiling arrive. It runs
// at the best level of the processor, and under the tag amxemu on tiles in software; make soak runs it
// for as long as SOAK says.
func TestStressAMX(t *testing.T) {
	if emulated {
		t.Cleanup(cpu.Use(cpu.AMX, 0))
	}
	s := stress{limit: 1000}
	switch {
	case os.Getenv("SOAK") != "":
		d, err := time.ParseDuration(os.Getenv("SOAK"))
		if err != nil {
			t.Fatalf("SOAK is no duration: %v", err)
		}
		s.limit, s.end = 0, time.Now().Add(d)
	case emulated:
		s.limit = 20
	case os.Getenv("CI") == "true" && gemmI8Code.Level() == cpu.AMX:
		s.limit, s.end = 0, time.Now().Add(10*time.Second)
	}
	s.run(t)
	t.Logf("%v: %d products, %d of them on grown stacks, %d collections, %d signals, %d threads", gemmI8Code.Level(),
		s.products.Load(), s.grown.Load(), s.collections.Load(), s.signals.Load(), pprof.Lookup("threadcreate").Count())
	if s.collections.Load() == 0 || s.signals.Load() == 0 || s.grown.Load() == 0 {
		t.Error("the products were not disturbed")
	}
}

// stress computes products on several goroutines until the end, or a number of them on each.
type stress struct {
	limit int
	end   time.Time

	stop                                  atomic.Bool
	products, grown, collections, signals atomic.Int64
}

// A stressed product and its results, computed in peace; the int32 ones are the definition's.
type stressed struct {
	productI8
	e    *Epilogue
	q    *Quanta
	u8   []uint8
	x, y []BFloat16
	f32  []float32
}

func newStressed(r *rand.Rand, m, n, k int) stressed {
	p := stressed{productI8: newProductI8(r, m, n, k), e: &Epilogue{Scale: make([]float32, n), Activation: Gelu},
		q: &Quanta{Inverse: []float32{20}}, u8: make([]uint8, m*n), f32: make([]float32, m*n)}
	for j := range p.e.Scale {
		p.e.Scale[j] = r.Float32() / float32(4000*k)
	}
	GemmU8I8U8(p.u8, p.a, p.w, m, n, k, p.e, p.q)
	p.x, p.y = packedBF16(randomBF16(r, m*k), randomBF16(r, n*k), m, n, k)
	GemmBF16(p.f32, p.x, p.y, m, n, k)
	return p
}

// buffers are a goroutine's own results.
type buffers struct {
	i32 []int32
	u8  []uint8
	f32 []float32
}

// agrees computes the product once more.
func (p *stressed) agrees(b *buffers) bool {
	b.i32, b.u8, b.f32 = b.i32[:len(p.want)], b.u8[:len(p.want)], b.f32[:len(p.want)]
	clear(b.i32)
	clear(b.u8)
	clear(b.f32)
	GemmU8I8(b.i32, p.a, p.w, p.m, p.n, p.k)
	GemmU8I8U8(b.u8, p.a, p.w, p.m, p.n, p.k, p.e, p.q)
	GemmBF16(b.f32, p.x, p.y, p.m, p.n, p.k)
	return slices.Equal(b.i32, p.want) && slices.Equal(b.u8, p.u8) && slices.Equal(b.f32, p.f32)
}

func (s *stress) run(t *testing.T) {
	r := rand.New(rand.NewPCG(31, 32))
	shapes := [][3]int{{8, 384, 384}, {32, 96, 384}, {100, 80, 1000}, {17, 33, 65}}
	if emulated {
		shapes = [][3]int{{8, 40, 300}, {70, 40, 500}, {17, 33, 65}}
	}
	var all []stressed
	size := 0
	for _, m := range shapes {
		all = append(all, newStressed(r, m[0], m[1], m[2]))
		size = max(size, m[0]*m[1])
	}
	if err := pprof.StartCPUProfile(io.Discard); err != nil {
		t.Fatal(err)
	}
	defer pprof.StopCPUProfile()

	var workers, others sync.WaitGroup
	for w := range 4 * runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			b := buffers{make([]int32, size), make([]uint8, size), make([]float32, size)}
			for i := 0; i < s.limit || s.limit == 0 && time.Now().Before(s.end); i++ {
				p := &all[(w+i)%len(all)]
				agrees := p.agrees(&b)
				if i%4 == 0 { // once more on a new stack, which has to grow
					done := make(chan bool)
					go func() { done <- deepen(i%50, func() bool { return p.agrees(&b) }) }()
					agrees = <-done && agrees
					s.grown.Add(1)
				}
				if !agrees {
					t.Errorf("product %d of goroutine %d, %d rows, differs", i, w, p.m)
					return
				}
				s.products.Add(1)
				runtime.Gosched() // perhaps to another thread
			}
		})
	}
	others.Go(s.collect)
	others.Go(func() { s.signal(t) })
	workers.Wait()
	s.stop.Store(true)
	others.Wait()
}

// deepen calls f below that many frames of 1 KiB.
func deepen(frames int, f func() bool) bool {
	var frame [1024]byte
	frame[frames] = 1
	if frames > 0 {
		return deepen(frames-1, f) && frame[frames] == 1
	}
	return f()
}

// collect makes garbage and collects it.
func (s *stress) collect() {
	for !s.stop.Load() {
		garbage := make([][]byte, 100)
		for i := range garbage {
			garbage[i] = make([]byte, 4096)
		}
		runtime.GC()
		s.collections.Add(1)
	}
}

// signal sends SIGURG, with which the scheduler preempts, to every thread but its own.
func (s *stress) signal(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	self := strconv.Itoa(unix.Gettid())
	for !s.stop.Load() {
		threads, err := os.ReadDir("/proc/self/task")
		if err != nil {
			t.Error(err)
			return
		}
		for _, thread := range threads {
			if id, err := strconv.Atoi(thread.Name()); err == nil && thread.Name() != self {
				if unix.Tgkill(os.Getpid(), id, unix.SIGURG) == nil { // or it has ended
					s.signals.Add(1)
				}
			}
		}
		runtime.Gosched()
	}
}
