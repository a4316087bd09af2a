package simd

import (
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"github.com/maida-ai/gomai/internal/cpu"
)

// eachCode runs f at every level, and once more without the features that a primitive may do without.
func eachCode(t *testing.T, f func(t *testing.T)) {
	eachLevel(t, f)
	t.Run("without features", func(t *testing.T) {
		defer cpu.Use(cpu.Levels()[0], cpu.VPOPCNTDQ|cpu.VBMI|cpu.BF16)()
		f(t)
	})
}

func randomWords(r *rand.Rand, n int) []uint64 {
	v := make([]uint64, n)
	for i := range v {
		v[i] = r.Uint64()
	}
	return v
}

// randomHalves returns halves of all kinds but infinite ones and NaN.
func randomHalves(r *rand.Rand, n int) []uint16 {
	v := make([]uint16, n)
	for i := range v {
		v[i] = uint16(r.Uint32())
		if v[i]&0x7c00 == 0x7c00 {
			v[i] &^= 0x4000
		}
	}
	return v
}

// A rowsCase runs one of the primitives on a random query and n rows of length d, and compares with the
// plain version for two vectors.
type rowsCase struct {
	name string
	run  func(t *testing.T, r *rand.Rand, n, d int)
}

// poison is no result: cells beyond dst must keep it.
const poison = 0x7fa5a5a5

// checkRows compares what run writes into a dst of n cells, with poisoned cells after it, with what want
// says of each row.
func checkRows[R, Q, E comparable](t *testing.T, n int, q []Q, rows []E, cell func(bits uint32) R, bits func(R) uint32,
	run func(dst []R, q []Q, rows []E), want func(q []Q, row []E) R) {
	t.Helper()
	all := make([]R, n+8)
	for i := range all {
		all[i] = cell(poison)
	}
	q0, rows0 := slices.Clone(q), slices.Clone(rows)
	run(all[:n:n], q, rows)
	d := len(q)
	for i, got := range all {
		w := cell(poison)
		if i < n {
			w = want(q, rows[i*d:(i+1)*d])
		}
		if bits(got) != bits(w) {
			t.Fatalf("n=%d, d=%d, row %d: got %v, want %v", n, d, i, got, w)
		}
	}
	if !slices.Equal(q, q0) || !slices.Equal(rows, rows0) {
		t.Fatalf("n=%d, d=%d: changed its input", n, d)
	}
}

func int32Of(bits uint32) int32 { return int32(bits) }
func bitsOf(v int32) uint32     { return uint32(v) }

var rowsCases = []rowsCase{
	{"DotRowsF32", func(t *testing.T, r *rand.Rand, n, d int) {
		checkRows(t, n, randomVector(r, d+1)[1:], randomVector(r, n*d+1)[1:], math.Float32frombits, math.Float32bits,
			DotRowsF32, dotF32Generic)
	}},
	{"L2RowsF32", func(t *testing.T, r *rand.Rand, n, d int) {
		checkRows(t, n, randomVector(r, d+1)[1:], randomVector(r, n*d+1)[1:], math.Float32frombits, math.Float32bits,
			L2RowsF32, func(q, row []float32) float32 { return reductions[1].inOrder(q, row) })
	}},
	{"DotRowsF16", func(t *testing.T, r *rand.Rand, n, d int) {
		checkRows(t, n, randomVector(r, d+1)[1:], randomHalves(r, n*d+1)[1:], math.Float32frombits, math.Float32bits,
			DotRowsF16, dotF32F16Generic)
	}},
	{"DotRowsI8", func(t *testing.T, r *rand.Rand, n, d int) {
		for _, kind := range kindsI8 {
			checkRows(t, n, bytesOf(r, kind[0], d+1)[1:], bytesOf(r, kind[1], n*d+1)[1:], int32Of, bitsOf,
				DotRowsI8, dotI8Generic)
		}
	}},
	{"HammingRowsU64", func(t *testing.T, r *rand.Rand, n, d int) {
		checkRows(t, n, randomWords(r, d), randomWords(r, n*d), int32Of, bitsOf,
			HammingRowsU64, func(q, row []uint64) int32 { return int32(hammingU64Generic(q, row)) })
	}},
}

func TestRows(t *testing.T) { eachCode(t, testRows) }

func testRows(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	for _, c := range rowsCases {
		t.Run(c.name, func(t *testing.T) {
			for d := range 300 {
				c.run(t, r, d%7, d)
			}
			for n := range 40 {
				for _, d := range []int{1, 6, 16, 64, 100} {
					c.run(t, r, n, d)
				}
			}
		})
	}
}

// More rows than one call of assembly takes, and rows of which it takes none.
func TestRowsInParts(t *testing.T) { eachCode(t, testRowsInParts) }

func testRowsInParts(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 10))
	for _, c := range rowsCases {
		t.Run(c.name, func(t *testing.T) {
			c.run(t, r, 20003, 1)
			c.run(t, r, 2051, 300)
			c.run(t, r, 5, 131071)
		})
	}
}

func BenchmarkRows(b *testing.B) {
	r := rand.New(rand.NewPCG(15, 16))
	for _, n := range []int{1000, 10000} {
		const d = 384
		size := strconv.Itoa(n) + "x" + strconv.Itoa(d)
		q, rows, dst := randomVector(r, d), randomVector(r, n*d), make([]float32, n)
		benchLevels(b, dotRowsF32Code, size, func() { DotRowsF32(dst, q, rows) })
		benchLevels(b, l2RowsF32Code, size, func() { L2RowsF32(dst, q, rows) })
		halves := randomHalves(r, n*d)
		benchLevels(b, dotRowsF16Code, size, func() { DotRowsF16(dst, q, halves) })
		q8, rows8, sums := bytesOf(r, 0, d), bytesOf(r, 0, n*d), make([]int32, n)
		benchLevels(b, dotRowsI8Code, size, func() { DotRowsI8(sums, q8, rows8) })
		q64, rows64 := randomWords(r, d/64), randomWords(r, n*d/64)
		benchLevels(b, hammingRowsU64Code, size, func() { HammingRowsU64(sums, q64, rows64) })
	}
}
