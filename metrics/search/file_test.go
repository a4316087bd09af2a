package search

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"io/fs"
	"iter"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"github.com/maida-ai/gomai/types"
)

var kinds = []Kind{F32, F16, I8, Binary}

func pieces(rows []float32, dim int, sizes ...int) iter.Seq2[[]float32, error] {
	return func(yield func([]float32, error) bool) {
		for i := 0; len(rows) > 0; i++ {
			n := min(len(rows), sizes[i%len(sizes)]*dim)
			if !yield(rows[:n], nil) {
				return
			}
			rows = rows[n:]
		}
	}
}

func encoded(t testing.TB, m *Matrix) []byte {
	t.Helper()
	var b bytes.Buffer
	n, err := m.WriteTo(&b)
	if err != nil || n != int64(b.Len()) {
		t.Fatalf("%d of %d bytes, %v", n, b.Len(), err)
	}
	return b.Bytes()
}

// same says whether two matrices have the same rows, bit for bit.
func same(a, b *Matrix) bool {
	bits := func(v []float32) []byte { return raw(v) }
	return a.kind == b.kind && a.rows == b.rows && a.dim == b.dim && a.space == b.space &&
		bytes.Equal(bits(a.f32), bits(b.f32)) && slices.Equal(a.f16, b.f16) && slices.Equal(a.i8, b.i8) && slices.Equal(a.bits, b.bits) &&
		bytes.Equal(bits(a.inverse), bits(b.inverse)) && bytes.Equal(bits(a.scale), bits(b.scale)) && slices.Equal(a.square, b.square) &&
		sameLost(a, b)
}

func sameLost(a, b *Matrix) bool {
	for i := range a.rows {
		if a.isLost(i) != b.isLost(i) {
			return false
		}
	}
	return true
}

// What is written, at once or in pieces, is read as it was.
func TestFiles(t *testing.T) {
	r := rand.New(rand.NewPCG(20, 21))
	for _, dim := range []int{1, 7, 64, 100} {
		for _, n := range []int{0, 1, 64, 333} {
			rows := oddRows(r, n, dim)
			base := fromF32(t, dim, rows)
			for _, kind := range kinds {
				m := base
				if kind != F32 {
					m = quantize(t, base, kind)
				}
				path := filepath.Join(t.TempDir(), "rows")
				if err := Create(path, space, dim, kind, pieces(rows, dim, 1, 0, 100, 64)); err != nil {
					t.Fatal(err)
				}
				content, err := os.ReadFile(path)
				if err != nil || !bytes.Equal(content, encoded(t, m)) {
					t.Errorf("%v (%d, %d): Create and WriteTo differ, or %v", kind, n, dim, err)
				}
				for _, opts := range [][]OpenOption{nil, {TrustData}} {
					got, err := Open(path, opts...)
					if err != nil {
						t.Fatalf("%v (%d, %d): %v", kind, n, dim, err)
					}
					if !same(got, m) {
						t.Errorf("%v (%d, %d): read other rows than were written", kind, n, dim)
					}
					if !bytes.Equal(encoded(t, got), content) {
						t.Errorf("%v (%d, %d): written again it is another file", kind, n, dim)
					}
					for range 2 {
						if err := got.Close(); err != nil {
							t.Error(err)
						}
					}
				}
			}
		}
	}
}

func TestClosedHasNoRows(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rows")
	if err := Create(path, space, 2, F32, pieces([]float32{1, 2, 3, 4}, 2, 9)); err != nil {
		t.Fatal(err)
	}
	m, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Close(); err != nil || m.Rows() != 0 {
		t.Fatal(m.Rows(), err)
	}
	var bad *ArgumentError
	for _, rows := range []Range{{0, 2}, m.All()} {
		if _, err := new(Searcher).TopK(t.Context(), m, rows, embedding([]float32{1, 2}), make([]Hit, 1)); !errors.As(err, &bad) || bad.Name != "m" {
			t.Errorf("a search of %v after Close: %v", rows, err)
		}
	}
}

// An error of the rows, or of the disk, leaves nothing behind, and what was there before stays.
func TestCreateFails(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "rows")
	if err := Create(path, space, 2, I8, pieces([]float32{1, 2}, 2, 1)); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	broken := errors.New("broken")
	if err := Create(path, space, 2, I8, func(yield func([]float32, error) bool) {
		if yield([]float32{1, 2}, nil) {
			yield(nil, broken)
		}
	}); err != broken {
		t.Errorf("got %v", err)
	}
	var bad *ArgumentError
	if err := Create(path, space, 2, I8, pieces([]float32{1, 2, 3}, 1, 3)); !errors.As(err, &bad) || bad.Name != "rows" {
		t.Errorf("a part of a row: %v", err)
	}
	if err := Create(path, space, 0, I8, pieces(nil, 1, 3)); !errors.As(err, &bad) || bad.Name != "dim" {
		t.Errorf("no dimension: %v", err)
	}
	if err := Create(path, space, 2, I8, nil); !errors.As(err, &bad) || bad.Name != "rows" {
		t.Errorf("no rows at all: %v", err)
	}
	func() {
		defer func() {
			if p := recover(); p != broken {
				t.Errorf("rows panic with %v", p)
			}
		}()
		t.Errorf("rows panic: %v", Create(path, space, 2, I8, func(yield func([]float32, error) bool) {
			yield([]float32{1, 2}, nil)
			panic(broken)
		}))
	}()
	var format *FormatError
	folder := filepath.Join(dir, "folder")
	if err := os.Mkdir(folder, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := Create(folder, space, 2, I8, pieces(nil, 1, 1)); !errors.As(err, &format) || format.File != folder || strings.Contains(err.Error(), ".tmp") {
		t.Errorf("a folder in the way: %v", err)
	}
	os.Remove(folder)
	if err := Create(filepath.Join(dir, "no", "rows"), space, 2, I8, pieces(nil, 1, 1)); !errors.As(err, &format) || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no folder: %v", err)
	}
	after, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(before, after) {
		t.Errorf("the file that was there has changed: %v", err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// failing writes n bytes and no more.
type failing struct{ n int }

func (f *failing) Write(b []byte) (int, error) {
	if len(b) > f.n {
		return 0, io.ErrShortWrite
	}
	f.n -= len(b)
	return len(b), nil
}

func TestWriteToFails(t *testing.T) {
	m := quantize(t, fromF32(t, 64, make([]float32, 640)), I8)
	size := len(encoded(t, m))
	for n := 0; n < size; n += 64 {
		if _, err := m.WriteTo(&failing{n}); err != io.ErrShortWrite {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}

// reseal gives a changed file the checksums that its content has.
func reseal(b []byte) {
	space := int(binary.LittleEndian.Uint32(b[40:]))
	data := headerSize + int(padded(int64(space)))
	if data <= len(b) {
		binary.LittleEndian.PutUint32(b[56:], crc32.Checksum(b[data:], castagnoli))
		binary.LittleEndian.PutUint32(b[60:], headerChecksum(b[:data]))
	}
}

func TestBadFiles(t *testing.T) {
	r := rand.New(rand.NewPCG(22, 23))
	good := encoded(t, quantize(t, fromF32(t, 70, oddRows(r, 50, 70)), Binary))
	put32 := func(at int, v uint32) func(b []byte) []byte {
		return func(b []byte) []byte { binary.LittleEndian.PutUint32(b[at:], v); reseal(b); return b }
	}
	put64 := func(at int, v uint64) func(b []byte) []byte {
		return func(b []byte) []byte { binary.LittleEndian.PutUint64(b[at:], v); reseal(b); return b }
	}
	for _, c := range []struct {
		name   string
		edit   func(b []byte) []byte
		offset int64
		field  string
	}{
		{"empty", func([]byte) []byte { return nil }, 0, "header"},
		{"cut in the header", func(b []byte) []byte { return b[:63] }, 63, "header"},
		{"cut in the data", func(b []byte) []byte { return b[:200] }, 200, "size"},
		{"the last byte is missing", func(b []byte) []byte { return b[:len(b)-1] }, int64(len(good) - 1), "size"},
		{"a byte too many", func(b []byte) []byte { return append(b, 0) }, int64(len(good)), "size"},
		{"foreign", func(b []byte) []byte { return append([]byte("\x93NUMPY\x01\x00"), b[8:]...) }, 0, "magic"},
		{"of the future", put32(8, 2), 8, "version"},
		{"unknown kind", put32(12, 5), 12, "kind"},
		{"no kind", put32(12, 0), 12, "kind"},
		{"a kind beyond a byte", put32(12, 257), 12, "kind"},
		{"absurd rows", put64(16, 1<<63), 16, "rows"},
		{"more rows than there may be", put64(16, 1<<41), 16, "rows"},
		{"more rows than the file", put64(16, 1<<40), 32, "size"},
		{"no dimension", put64(24, 0), 24, "dim"},
		{"absurd dimension", put64(24, 1<<40), 24, "dim"},
		{"another size", put64(32, 640), 32, "size"},
		{"long space", put32(40, 1<<31), 40, "length of space"},
		{"unknown flag", put32(44, 2), 44, "flags"},
		{"a reserved byte", put32(52, 1), 48, "reserved"},
		{"damaged header", func(b []byte) []byte { b[60] ^= 1; return b }, 60, "header checksum"},
		{"damaged space", func(b []byte) []byte { b[64] ^= 1; return b }, 60, "header checksum"},
		{"damaged data", func(b []byte) []byte { b[len(b)-64] ^= 1; return b }, 56, "data checksum"},
		{"stray bits", func(b []byte) []byte { b[128+16*3+15] |= 1; reseal(b); return b }, 128 + 16*3 + 8, "components"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "rows")
			if err := os.WriteFile(path, c.edit(slices.Clone(good)), 0o644); err != nil {
				t.Fatal(err)
			}
			m, err := Open(path)
			var bad *FormatError
			if !errors.As(err, &bad) || bad.File != path || bad.Offset != c.offset || bad.Field != c.field || bad.Reason == "" || m != nil {
				t.Errorf("%v", err)
			} else if !strings.HasPrefix(err.Error(), path+": offset ") {
				t.Errorf("the message is %q", err)
			}
		})
	}
	// Every bit counts.
	path := filepath.Join(t.TempDir(), "rows")
	for i := range good {
		b := slices.Clone(good)
		b[i] ^= 1 << r.IntN(8)
		if err := os.WriteFile(path, b, 0o644); err != nil {
			t.Fatal(err)
		}
		var bad *FormatError
		if _, err := Open(path); !errors.As(err, &bad) {
			t.Errorf("byte %d changed: %v", i, err)
		}
	}
}

func TestNoFiles(t *testing.T) {
	var bad *FormatError
	missing := filepath.Join(t.TempDir(), "missing")
	if _, err := Open(missing); !errors.As(err, &bad) || bad.File != missing || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
	if _, err := Open(t.TempDir()); !errors.As(err, &bad) {
		t.Errorf("a folder: %v", err)
	}
	var argument *ArgumentError
	if _, err := Open(missing, 7); !errors.As(err, &argument) {
		t.Errorf("an unknown option: %v", err)
	}
}

// TrustData leaves damage in the rows undetected, which has no worse effect than wrong scores.
func TestTrustData(t *testing.T) {
	r := rand.New(rand.NewPCG(24, 25))
	for _, kind := range kinds {
		m := fromF32(t, 10, randomRows(r, 100, 10))
		if kind != F32 {
			m = quantize(t, m, kind)
		}
		b := encoded(t, m)
		for i := range b[128:] {
			b[128+i] = byte(r.Uint32())
		}
		path := filepath.Join(t.TempDir(), "rows")
		if err := os.WriteFile(path, b, 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(path); err == nil {
			t.Errorf("%v: the damage was not noticed", kind)
		}
		damaged, err := Open(path, TrustData)
		if err != nil {
			t.Fatal(err)
		}
		search(t, damaged)
		if err := damaged.Close(); err != nil {
			t.Error(err)
		}
	}
}

// search runs a search by each metric.
func search(t testing.TB, m *Matrix) {
	t.Helper()
	q := &types.Embedding{F32: make([]float32, m.Dim()), Space: m.Space()}
	for i := range q.F32 {
		q.F32[i] = float32(i%7) - 3
	}
	for metric := range Hamming + 1 {
		if !metric.fits(m.Kind()) {
			continue
		}
		s, hits := &Searcher{Metric: metric}, make([]Hit, 10)
		n, err := s.TopK(t.Context(), m, m.All(), q, hits)
		if err != nil || n != min(m.Rows(), 10) {
			t.Errorf("%v rows, %v: %d hits, %v", m.Kind(), metric, n, err)
		}
		for i := 1; i < n; i++ {
			a, b := hits[i-1], hits[i]
			if metric == Euclidean || metric == Hamming {
				a.Score, b.Score = -a.Score, -b.Score
			}
			if !b.ranksAfter(a) {
				t.Errorf("%v rows, %v: %v before %v", m.Kind(), metric, hits[i-1], hits[i])
			}
		}
	}
}

// FuzzOpenMatrix opens arbitrary bytes, with the checksums put right so that what lies behind them is
// reached: an error is a *FormatError, and what opens can be searched and is written as it was.
func FuzzOpenMatrix(f *testing.F) {
	r := rand.New(rand.NewPCG(26, 27))
	for _, kind := range kinds {
		for _, n := range []int{0, 3, 70} {
			m := fromF32(f, 9, oddRows(r, n, 9))
			if kind != F32 {
				m = quantize(f, m, kind)
			}
			b := encoded(f, m)
			f.Add(b, true)
			f.Add(b, false)
			f.Add(b[:len(b)/2], true)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte, trust bool) {
		// As a mapping would lie.
		data := raw(make([]uint64, (len(b)+7)/8+1))[:len(b)]
		copy(data, b)
		if len(data) >= headerSize {
			reseal(data)
		}
		m, err := parse("fuzz", data, trust)
		if err != nil {
			var bad *FormatError
			if !errors.As(err, &bad) || bad.Offset < 0 || bad.Offset > int64(len(b)) {
				t.Errorf("%v", err)
			}
			return
		}
		if got := int64(m.rows) * int64(m.rowBytes()); got > int64(len(b)) {
			t.Errorf("%d bytes of rows in a file of %d", got, len(b))
		}
		if m.Dim() <= 1<<10 {
			search(t, m)
		}
	})
}

// The numbers of a file begin where the widest register wants them.
func TestAlignment(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rows")
	if err := Create(path, "s", 3, I8, pieces(make([]float32, 30), 3, 10)); err != nil {
		t.Fatal(err)
	}
	m, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	for _, p := range []unsafe.Pointer{unsafe.Pointer(&m.i8[0]), unsafe.Pointer(&m.scale[0]), unsafe.Pointer(&m.inverse[0]), unsafe.Pointer(&m.square[0])} {
		if uintptr(p)%8 != 0 {
			t.Errorf("%v is no multiple of 8", p)
		}
	}
}
