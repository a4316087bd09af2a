package simd

import (
	"encoding/binary"
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
func randomHalves(r *rand.Rand, n int) []Float16 {
	v := make([]Float16, n)
	for i := range v {
		v[i] = Float16(r.Uint32())
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
			L2RowsF32, l2F32Generic)
	}},
	{"DotRowsF16", func(t *testing.T, r *rand.Rand, n, d int) {
		checkRows(t, n, randomVector(r, d+1)[1:], randomHalves(r, n*d+1)[1:], math.Float32frombits, math.Float32bits,
			DotRowsF16, func(q []float32, row []Float16) float32 { return dotF16F32Generic(row, q) })
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
			c.run(t, r, 5, chunk)
			c.run(t, r, 5, chunk+1)
			c.run(t, r, 5, 131071)
		})
	}
}

func TestRowsShape(t *testing.T) {
	f, h, i8, u64, sums := make([]float32, 7), make([]Float16, 7), make([]int8, 7), make([]uint64, 7), make([]int32, 2)
	long := make([]int8, maxDotI8+1)
	wantPanic(t, "simd: DotRowsF32: rows is not len(dst) times len(q)", func() { DotRowsF32(f[:2], f[:3], f) })
	wantPanic(t, "simd: L2RowsF32: rows is not len(dst) times len(q)", func() { L2RowsF32(f[:2], f[:3], f) })
	wantPanic(t, "simd: DotRowsF16: rows is not len(dst) times len(q)", func() { DotRowsF16(f[:2], f[:3], h) })
	wantPanic(t, "simd: DotRowsI8: rows is not len(dst) times len(q)", func() { DotRowsI8(sums, i8[:3], i8) })
	wantPanic(t, "simd: DotRowsI8: too long, the sums may overflow", func() { DotRowsI8(sums[:1], long, long) })
	wantPanic(t, "simd: HammingRowsU64: rows is not len(dst) times len(q)", func() { HammingRowsU64(sums, u64[:3], u64) })
	wantPanic(t, "simd: HammingRowsU64: too long, the sums may overflow", func() { HammingRowsU64(nil, make([]uint64, 1<<25), nil) })
	if isMatrix(1<<32, 1<<32, 0) {
		t.Error("a product that wraps round passes for a shape")
	}
}

func TestRowsDoNotAllocate(t *testing.T) { eachCode(t, testRowsDoNotAllocate) }

func testRowsDoNotAllocate(t *testing.T) {
	const n, d = 11, 100
	q, rows, halves, dst := make([]float32, d), make([]float32, n*d), make([]Float16, n*d), make([]float32, n)
	q8, rows8, q64, rows64, sums := make([]int8, d), make([]int8, n*d), make([]uint64, d), make([]uint64, n*d), make([]int32, n)
	if n := testing.AllocsPerRun(100, func() {
		DotRowsF32(dst, q, rows)
		L2RowsF32(dst, q, rows)
		DotRowsF16(dst, q, halves)
		DotRowsI8(sums, q8, rows8)
		HammingRowsU64(sums, q64, rows64)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// The query may be one of the rows.
func TestRowsOverlap(t *testing.T) { eachCode(t, testRowsOverlap) }

func testRowsOverlap(t *testing.T) {
	const n, d = 9, 100
	r := rand.New(rand.NewPCG(17, 18))
	rows, rows8, rows64 := randomVector(r, n*d), bytesOf(r, 0, n*d), randomWords(r, n*d)
	dst, l2, sums, differ := make([]float32, n), make([]float32, n), make([]int32, n), make([]int32, n)
	for i := range n {
		at, end := i*d, (i+1)*d
		DotRowsF32(dst, rows[at:end], rows)
		L2RowsF32(l2, rows[at:end], rows)
		DotRowsI8(sums, rows8[at:end], rows8)
		HammingRowsU64(differ, rows64[at:end], rows64)
		if want := dotF32Generic(rows[at:end], rows[at:end]); dst[i] != want || l2[i] != 0 {
			t.Errorf("row %d with itself: dot %v, want %v; squared distance %v, want 0", i, dst[i], want, l2[i])
		}
		if want := dotI8Generic(rows8[at:end], rows8[at:end]); sums[i] != want || differ[i] != 0 {
			t.Errorf("row %d with itself: dot %v, want %v; %v bits differ", i, sums[i], want, differ[i])
		}
	}
}

// A NaN or an infinity in one row stays there: rows that are taken together do not touch each other.
func TestRowsNotFinite(t *testing.T) { eachCode(t, testRowsNotFinite) }

func testRowsNotFinite(t *testing.T) {
	const n = 9
	for _, d := range []int{1, 63, 64, 100} {
		q, dst := row(nil, d, quantizable["equal"]), make([]float32, n)
		for bad := range n {
			rows, halves := make([]float32, n*d), make([]Float16, n*d)
			rows[bad*d+d-1], halves[bad*d+d-1] = float32(math.NaN()), 0x7e00
			for name, run := range map[string]func(){
				"DotRowsF32": func() { DotRowsF32(dst, q, rows) },
				"L2RowsF32":  func() { L2RowsF32(dst, q, rows) },
				"DotRowsF16": func() { DotRowsF16(dst, q, halves) },
			} {
				run()
				for i, got := range dst {
					if isNaN32(got) != (i == bad) {
						t.Errorf("%s, d=%d, NaN in row %d: row %d gives %v", name, d, bad, i, got)
					}
				}
			}
			rows[bad*d+d-1], halves[bad*d+d-1] = float32(math.Inf(1)), 0x7c00
			DotRowsF32(dst, q, rows)
			if !math.IsInf(float64(dst[bad]), -1) {
				t.Errorf("DotRowsF32, d=%d, infinity in row %d: got %v, want -Inf", d, bad, dst[bad])
			}
			DotRowsF16(dst, q, halves)
			if !math.IsInf(float64(dst[bad]), -1) {
				t.Errorf("DotRowsF16, d=%d, infinity in row %d: got %v, want -Inf", d, bad, dst[bad])
			}
		}
	}
}

// stayInside runs a primitive with all of its memory at the end, then at the start, of what may be touched.
func stayInside[R, Q, E comparable](t *testing.T, one func(r *rand.Rand, n int) []E, query func(r *rand.Rand, n int) []Q,
	run func(dst []R, q []Q, rows []E), want func(q []Q, row []E) R) {
	t.Helper()
	const most, mostRows = 150, 19
	r := rand.New(rand.NewPCG(19, 20))
	lastQ, firstQ := guarded[Q](t, most)
	lastRows, firstRows := guarded[E](t, most*mostRows)
	lastDst, firstDst := guarded[R](t, mostRows)
	for d := 1; d <= most; d++ {
		n := 1 + d%mostRows
		for _, at := range []struct {
			dst  []R
			q    []Q
			rows []E
		}{
			{lastDst[mostRows-n:], lastQ[most-d:], lastRows[len(lastRows)-n*d:]},
			{firstDst[:n], firstQ[:d], firstRows[:n*d]},
		} {
			copy(at.q, query(r, d))
			copy(at.rows, one(r, n*d))
			run(at.dst, at.q, at.rows)
			for i, got := range at.dst {
				if w := want(at.q, at.rows[i*d:(i+1)*d]); got != w {
					t.Fatalf("n=%d, d=%d, row %d: got %v, want %v", n, d, i, got, w)
				}
			}
		}
	}
}

func TestRowsStayInside(t *testing.T) { eachCode(t, testRowsStayInside) }

func testRowsStayInside(t *testing.T) {
	random := func(r *rand.Rand, n int) []int8 { return bytesOf(r, 0, n) }
	t.Run("DotRowsF32", func(t *testing.T) { stayInside(t, randomVector, randomVector, DotRowsF32, dotF32Generic) })
	t.Run("L2RowsF32", func(t *testing.T) { stayInside(t, randomVector, randomVector, L2RowsF32, l2F32Generic) })
	t.Run("DotRowsF16", func(t *testing.T) {
		stayInside(t, randomHalves, randomVector, DotRowsF16,
			func(q []float32, row []Float16) float32 { return dotF16F32Generic(row, q) })
	})
	t.Run("DotRowsI8", func(t *testing.T) { stayInside(t, random, random, DotRowsI8, dotI8Generic) })
	t.Run("HammingRowsU64", func(t *testing.T) {
		stayInside(t, randomWords, randomWords, HammingRowsU64,
			func(q, row []uint64) int32 { return int32(hammingU64Generic(q, row)) })
	})
}

// FuzzRows compares every level with plain Go on the rows that data makes.
func FuzzRows(f *testing.F) {
	f.Add([]byte("some bytes, of which the first row is the query, and all the others are rows to scan"), uint8(6))
	f.Add(make([]byte, 4000), uint8(100))
	f.Fuzz(func(t *testing.T, data []byte, size uint8) {
		d := 1 + int(size)
		n := len(data)/8/d - 1
		if n < 0 || n > 50 {
			return
		}
		words, floats := make([]uint64, (n+1)*d), make([]float32, (n+1)*d)
		bytes, halves := make([]int8, (n+1)*d), make([]Float16, (n+1)*d)
		for i := range words {
			words[i] = binary.LittleEndian.Uint64(data[8*i:])
			floats[i] = math.Float32frombits(uint32(words[i]))
			bytes[i], halves[i] = int8(words[i]), Float16(words[i])
		}
		type result struct {
			floats [3][]float32
			sums   [2][]int32
		}
		scan := func(l cpu.Level, hide cpu.Feature) (res result) {
			defer cpu.Use(l, hide)()
			for i := range res.floats {
				res.floats[i] = make([]float32, n)
			}
			for i := range res.sums {
				res.sums[i] = make([]int32, n)
			}
			DotRowsF32(res.floats[0], floats[:d], floats[d:])
			L2RowsF32(res.floats[1], floats[:d], floats[d:])
			DotRowsF16(res.floats[2], floats[:d], halves[d:])
			DotRowsI8(res.sums[0], bytes[:d], bytes[d:])
			HammingRowsU64(res.sums[1], words[:d], words[d:])
			return res
		}
		want := scan(cpu.Generic, 0)
		for _, l := range cpu.Levels() {
			for _, hide := range []cpu.Feature{0, cpu.VPOPCNTDQ} {
				got := scan(l, hide)
				for i := range got.floats {
					if !slices.EqualFunc(got.floats[i], want.floats[i], same) {
						t.Errorf("%v, float primitive %d, d=%d: got %v, want %v", l, i, d, got.floats[i], want.floats[i])
					}
				}
				for i := range got.sums {
					if !slices.Equal(got.sums[i], want.sums[i]) {
						t.Errorf("%v, integer primitive %d, d=%d: got %v, want %v", l, i, d, got.sums[i], want.sums[i])
					}
				}
			}
		}
	})
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
