package simd

import (
	"encoding/binary"
	"math/bits"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"github.com/maida-ai/gomai/internal/cpu"
)

func TestHammingU64(t *testing.T) { eachCode(t, testHammingU64) }

func testHammingU64(t *testing.T) {
	r := rand.New(rand.NewPCG(31, 32))
	for n := range 300 {
		a, b := randomWords(r, n), randomWords(r, n)
		a0, b0 := slices.Clone(a), slices.Clone(b)
		want := 0
		for i := range a {
			want += bits.OnesCount64(a[i] ^ b[i])
		}
		if got := HammingU64(a, b); got != want {
			t.Errorf("n=%d: got %d, want %d", n, got, want)
		}
		if !slices.Equal(a, a0) || !slices.Equal(b, b0) {
			t.Errorf("n=%d: changed its input", n)
		}
		for i := range a {
			b[i] = ^a[i]
		}
		if got := HammingU64(a, b); got != 64*n {
			t.Errorf("n=%d: %d of all %d bits differ", n, got, 64*n)
		}
		if got := HammingU64(a, a); got != 0 {
			t.Errorf("n=%d: a vector differs from itself in %d bits", n, got)
		}
	}
}

// More words than one call of assembly takes.
func TestHammingU64Long(t *testing.T) { eachCode(t, testHammingU64Long) }

func testHammingU64Long(t *testing.T) {
	r := rand.New(rand.NewPCG(33, 34))
	a, b := randomWords(r, 200003), randomWords(r, 200003)
	if got, want := HammingU64(a, b), hammingU64Generic(a, b); got != want {
		t.Errorf("got %d, want %d", got, want)
	}
}

func TestHammingU64Shape(t *testing.T) {
	wantPanic(t, "simd: HammingU64: lengths differ", func() { HammingU64(make([]uint64, 3), make([]uint64, 4)) })
}

func TestHammingU64StaysInside(t *testing.T) { eachCode(t, testHammingU64StaysInside) }

func testHammingU64StaysInside(t *testing.T) {
	const most = 100
	lastA, firstA := guarded[uint64](t, most)
	lastB, firstB := guarded[uint64](t, most)
	for i := range most {
		lastA[i], firstA[i] = 1, 3
	}
	for n := range most + 1 {
		if got := HammingU64(lastA[most-n:], lastB[most-n:]); got != n {
			t.Fatalf("n=%d: got %d", n, got)
		}
		if got := HammingU64(firstA[:n], firstB[:n]); got != 2*n {
			t.Fatalf("n=%d: got %d, want %d", n, got, 2*n)
		}
	}
}

func FuzzHammingU64(f *testing.F) {
	f.Add([]byte("eight bytes are a word, so this is some words and a rest"), byte(2))
	f.Fuzz(func(t *testing.T, data []byte, shift byte) {
		v := make([]uint64, len(data)/8)
		for i := range v {
			v[i] = binary.LittleEndian.Uint64(data[8*i:])
		}
		at := min(int(shift), len(v))
		a, b := v[at:], v[:len(v)-at] // overlapping
		want := hammingU64Generic(a, b)
		for _, l := range cpu.Levels() {
			for _, hide := range []cpu.Feature{0, cpu.VPOPCNTDQ} {
				restore := cpu.Use(l, hide)
				if got := HammingU64(a, b); got != want {
					t.Errorf("%v without features %b: got %d, want %d", l, hide, got, want)
				}
				restore()
			}
		}
	})
}

func BenchmarkHammingU64(b *testing.B) {
	r := rand.New(rand.NewPCG(35, 36))
	for _, n := range []int{6, 24} {
		x, y := randomWords(r, n), randomWords(r, n)
		benchLevels(b, hammingU64Code, strconv.Itoa(n), func() { HammingU64(x, y) })
	}
}
