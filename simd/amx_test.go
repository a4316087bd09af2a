//go:build amd64 && !noasm

package simd

import (
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/maida-ai/gomai/internal/cpu"
)

// atAMX makes tiles the level that runs: those of the processor, or under the tag amxemu those in
// software.
func atAMX(t *testing.T) {
	t.Helper()
	if !slices.Contains(cpu.Levels(), cpu.AMX) {
		t.Skip("needs AMX, or -tags amxemu for tiles in software")
	}
	t.Cleanup(cpu.Use(cpu.AMX, 0))
}

// productI8 is a product with packed operands and its result.
type productI8 struct {
	m, n, k int
	a       []uint8
	w       []int8
	want    []int32
}

func newProductI8(r *rand.Rand, m, n, k int) productI8 {
	a, w := randomU8(r, m*k), randomI8(r, n*k)
	return productI8{m, n, k, packedU8(a, m, k), packedI8(w, n, k), naiveI8(a, w, m, n, k)}
}

// TestAMXGemmI8 takes every number of rows up to more than two blocks, with all that follows from the
// number of steps: chunks with parked sums and without, and every remainder of a strip.
func TestAMXGemmI8(t *testing.T) {
	atAMX(t)
	r := rand.New(rand.NewPCG(21, 22))
	var shapes [][3]int
	for m := 1; m <= 70; m++ {
		shapes = append(shapes, [3]int{m, 1 + r.IntN(70), 1 + r.IntN(900)})
	}
	for steps := 1; steps <= 14; steps++ {
		for _, m := range []int{8, 32, 64} {
			shapes = append(shapes, [3]int{m, 33, 64*steps - r.IntN(64)})
		}
	}
	for n := 1; n <= 70; n++ {
		shapes = append(shapes, [3]int{[]int{5, 20, 50}[r.IntN(3)], n, 65})
	}
	shapes = append(shapes, [3]int{130, 70, 300}, [3]int{161, 40, 500}, [3]int{20, 1100, 65}, [3]int{3, 1100, 65}, [3]int{128, 200, 1536})
	for _, s := range shapes {
		p := newProductI8(r, s[0], s[1], s[2])
		got := make([]int32, p.m*p.n)
		before := productsOfTiles()
		GemmU8I8(got, p.a, p.w, p.m, p.n, p.k)
		if !slices.Equal(got, p.want) {
			t.Fatalf("%v: differs from the definition", s)
		}
		if n := productsOfTiles() - before; emulated && n < uint64((p.m+15)/16*((p.n+15)/16)*((p.k+63)/64)) {
			t.Fatalf("%v: only %d products of tiles", s, n)
		}
	}
}

// The sums that are the farthest from zero, at the largest k, parked many times on their way.
func TestAMXExtremes(t *testing.T) {
	atAMX(t)
	const m, n, k = 50, 33, maxGemmI8
	a, w := slices.Repeat([]uint8{255}, m*k), slices.Repeat([]int8{-128}, n*k)
	got := make([]int32, m*n)
	GemmU8I8(got, packedU8(a, m, k), packedI8(w, n, k), m, n, k)
	for i, v := range got {
		if v != -128*255*k {
			t.Fatalf("element %d: %d, want %d", i, v, -128*255*k)
		}
	}
}

func TestAMXDoesNotAllocate(t *testing.T) {
	atAMX(t)
	c := newEpilogueCase(rand.New(rand.NewPCG(35, 36)), 40, 50, 40)
	f32, u8 := make([]float32, c.m*c.n), make([]uint8, c.m*c.n)
	if allocs := testing.AllocsPerRun(5, func() {
		GemmU8I8F32(f32, c.a, c.w, c.m, c.n, c.k, c.e)
		GemmU8I8U8(u8, c.a, c.w, c.m, c.n, c.k, c.e, c.q)
	}); allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}

// TestAMXGuarded puts every buffer against a page that cannot be accessed.
func TestAMXGuarded(t *testing.T) {
	atAMX(t)
	r := rand.New(rand.NewPCG(23, 24))
	for _, s := range [][3]int{{1, 1, 1}, {7, 17, 65}, {16, 16, 64}, {17, 31, 130}, {33, 33, 500}, {50, 15, 449}, {20, 48, 64}, {64, 40, 64}} {
		p := newProductI8(r, s[0], s[1], s[2])
		m, n, k := s[0], s[1], s[2]
		lastA, firstA := guarded[uint8](t, len(p.a))
		lastW, firstW := guarded[int8](t, len(p.w))
		lastI32, firstI32 := guarded[int32](t, m*n)
		for _, g := range []struct {
			a   []uint8
			w   []int8
			dst []int32
		}{{lastA, lastW, lastI32}, {firstA, firstW, firstI32}} {
			copy(g.a, p.a)
			copy(g.w, p.w)
			GemmU8I8(g.dst, g.a, g.w, m, n, k)
			if !slices.Equal(g.dst, p.want) {
				t.Errorf("GemmU8I8 of %v at guarded pages differs from the definition", s)
			}
		}
	}
}

// TestAMXEpilogues takes each kind of result over all that TestAMXGemmI8 takes; the outputs are longer than
// the product may know, and poisoned.
func TestAMXEpilogues(t *testing.T) {
	atAMX(t)
	r := rand.New(rand.NewPCG(29, 30))
	for m := 1; m <= 70; m++ {
		newEpilogueCase(r, m, 1+r.IntN(70), 1+r.IntN(130)).check(t)
	}
	for _, s := range [][3]int{{70, 70, 600}, {130, 33, 450}, {161, 20, 900}, {20, 1100, 65}, {16, 530, 64}} {
		newEpilogueCase(r, s[0], s[1], s[2]).check(t)
	}
}

// TestAMXEpiloguesGuarded puts what epilogues read and write against a page that cannot be accessed.
func TestAMXEpiloguesGuarded(t *testing.T) {
	atAMX(t)
	r := rand.New(rand.NewPCG(33, 34))
	for _, s := range [][3]int{{1, 1, 1}, {7, 17, 65}, {17, 31, 130}, {33, 33, 500}, {64, 40, 64}} {
		c := newEpilogueCase(r, s[0], s[1], s[2])
		guardLast := func(v []float32) []float32 {
			if v == nil {
				return nil
			}
			last, _ := guarded[float32](t, len(v))
			copy(last, v)
			return last
		}
		c.e.Scale, c.e.Offset, c.e.Bias = guardLast(c.e.Scale), guardLast(c.e.Offset), guardLast(c.e.Bias)
		c.e.RowScale, c.e.RowOffset, c.q.Inverse = guardLast(c.e.RowScale), guardLast(c.e.RowOffset), guardLast(c.q.Inverse)
		bf16, firstBF16 := guarded[BFloat16](t, c.m*c.n)
		u8, firstU8 := guarded[uint8](t, c.m*c.n)
		f32, firstF32 := guarded[float32](t, c.m*c.n)
		GemmU8I8F32(f32, c.a, c.w, c.m, c.n, c.k, c.e)
		GemmU8I8F32(firstF32, c.a, c.w, c.m, c.n, c.k, c.e)
		GemmU8I8BF16(bf16, c.a, c.w, c.m, c.n, c.k, c.e)
		GemmU8I8BF16(firstBF16, c.a, c.w, c.m, c.n, c.k, c.e)
		GemmU8I8U8(u8, c.a, c.w, c.m, c.n, c.k, c.e, c.q)
		GemmU8I8U8(firstU8, c.a, c.w, c.m, c.n, c.k, c.e, c.q)
		sameBits := func(x, y float32) bool { return math.Float32bits(x) == math.Float32bits(y) } // NaN too
		if !slices.EqualFunc(f32, firstF32, sameBits) || !slices.Equal(bf16, firstBF16) || !slices.Equal(u8, firstU8) {
			t.Errorf("%v: results depend on where they are written", s)
		}
	}
}

// TestAMXPoisoned looks for elements that are written beyond the result or left as they were.
func TestAMXPoisoned(t *testing.T) {
	atAMX(t)
	const poison, margin = -0x5A5A5A5B, 40
	r := rand.New(rand.NewPCG(25, 26))
	for m := 1; m <= 50; m += 3 {
		p := newProductI8(r, m, 1+r.IntN(60), 1+r.IntN(600))
		memory := slices.Repeat([]int32{poison}, m*p.n+2*margin)
		GemmU8I8(memory[margin:margin+m*p.n], p.a, p.w, m, p.n, p.k)
		want := slices.Concat(slices.Repeat([]int32{poison}, margin), p.want, slices.Repeat([]int32{poison}, margin))
		if !slices.Equal(memory, want) {
			t.Fatalf("%d rows, %d columns: wrong, or written out of bounds", m, p.n)
		}
	}
}

// TestAMXCalls holds the bound on a call against the largest shapes.
func TestAMXCalls(t *testing.T) {
	for _, s := range [][3]int{{1, 1, 1}, {128, 384, 24}, {1000, 5000, 6}, {1000, 5000, maxGemmI8 / 64}, {16, 512, 1024}, {200, 70, 500}} {
		m, n, steps := s[0], s[1], s[2]
		calls := newAMXCalls(m, n, steps)
		covered := 0
		for j := 0; j < n; j += calls.columns {
			for i := 0; i < m; {
				rows, columns := calls.at(i, j)
				if left := rows % 32; rows > amxStripRows && left > 0 && left <= amxStripRows {
					t.Errorf("%v: a call of %d rows ends in half a block", s, rows)
				}
				if rows > amxRows || columns > amxColumns || j%32 != 0 || i%16 != 0 {
					t.Errorf("%v: call of %d rows from %d, %d columns from %d", s, rows, i, columns, j)
				}
				if products := (rows + 15) / 16 * ((columns + 15) / 16) * steps; products > amxProducts || (rows+columns)*steps*64 > amxBytes {
					t.Errorf("%v: a call of %d products of tiles, %d bytes", s, products, (rows+columns)*steps*64)
				}
				covered += rows * columns
				i += rows
			}
		}
		if covered != m*n {
			t.Errorf("%v: the calls compute %d of %d elements", s, covered, m*n)
		}
	}
}

const brokenAMX = "GOMAI_TEST_BROKEN_AMX"

// TestAMXFallsBack breaks the product in a process of its own, because what is disabled remains so.
func TestAMXFallsBack(t *testing.T) {
	atAMX(t)
	for _, kernel := range []string{"int8", "bf16"} {
		child := exec.Command(os.Args[0], "-test.run=^TestAMXBroken$", "-test.v")
		child.Env = append(os.Environ(), brokenAMX+"="+kernel)
		if out, err := child.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: TestAMXBroken") {
			t.Errorf("%s: %v\n%s", kernel, err, out)
		}
	}
}

func TestAMXBroken(t *testing.T) {
	kernel := os.Getenv(brokenAMX)
	if kernel == "" {
		t.Skip("runs in a process of TestAMXFallsBack")
	}
	atAMX(t)
	adoptAMX(gemmI8AMX, gemmBF16AMX)
	if l := gemmI8Code.Level(); l != cpu.AMX {
		t.Fatalf("sound tiles were refused: %s", cpu.Why(cpu.AMX))
	}
	if kernel == "int8" {
		adoptAMX(func(g *gemmI8, out *output) {
			gemmI8AMX(g, out)
			*(*int32)(out.at(g.m-1, g.n-1))++
		}, gemmBF16AMX)
	} else {
		adoptAMX(gemmI8AMX, func(dst []float32, a, w []BFloat16, m, n, k int) {
			gemmBF16AMX(dst, a, w, m, n, k)
			dst[0]++
		})
	}
	if l := gemmI8Code.Level(); l == cpu.AMX {
		t.Error("broken tiles still run")
	}
	if l := gemmBF16Code.Level(); l == cpu.AMX {
		t.Error("broken tiles still run for bfloat16")
	}
	if why := cpu.Why(cpu.AMX); !strings.Contains(why, "plain Go") {
		t.Errorf("AMX does not run because %q", why)
	}
	p := newProductI8(rand.New(rand.NewPCG(27, 28)), 40, 33, 100)
	got := make([]int32, p.m*p.n)
	GemmU8I8(got, p.a, p.w, p.m, p.n, p.k)
	if !slices.Equal(got, p.want) {
		t.Error("the product after falling back differs from the definition")
	}
}

// FuzzAMXGemm holds the products on tiles, where there are any, against plain Go.
func FuzzAMXGemm(f *testing.F) {
	f.Add(uint64(1), uint8(1), uint8(1), uint16(1))
	f.Add(uint64(2), uint8(100), uint8(70), uint16(700))
	f.Add(uint64(3), uint8(8), uint8(250), uint16(0))
	f.Fuzz(func(t *testing.T, seed uint64, m8, n8 uint8, k16 uint16) {
		atAMX(t)
		m, n, k := int(m8%150), int(n8), int(k16%1000)
		newEpilogueCase(rand.New(rand.NewPCG(seed, 1)), m, n, k).check(t)
		p := newProductI8(rand.New(rand.NewPCG(seed, 2)), m, n, k)
		got := make([]int32, m*n)
		GemmU8I8(got, p.a, p.w, m, n, k)
		if !slices.Equal(got, p.want) {
			t.Error("GemmU8I8 differs from the definition")
		}
	})
}
