//go:build amxemu && linux && amd64

package amxemu

import (
	"bytes"
	"math"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"unsafe"
)

// Instructions, as an assembler encodes them, with AX as base and CX as the distance of rows.
var (
	loadConfig  = []byte{0xc4, 0xe2, 0x78, 0x49, 0x00}
	storeConfig = []byte{0xc4, 0xe2, 0x79, 0x49, 0x40, 0x40} // at 64(AX)
	release     = []byte{0xc4, 0xe2, 0x78, 0x49, 0xc0}
)

func zero(t byte) []byte { return []byte{0xc4, 0xe2, 0x7b, 0x49, 0xc0 | t<<3} }

func load(t byte) []byte  { return []byte{0xc4, 0xe2, 0x7b, 0x4b, 0x04 | t<<3, 0x08} }
func store(t byte) []byte { return []byte{0xc4, 0xe2, 0x7a, 0x4b, 0x04 | t<<3, 0x08} }

const uu, us, su, ss = 0, 1, 2, 3 // VEX.pp of TDPBUUD, TDPBUSD, TDPBSUD, TDPBSSD

func multiply(pp, d, a, b byte) []byte {
	return []byte{0xc4, 0xe2, (^b&15)<<3 | pp, 0x5e, 0xc0 | d<<3 | a}
}

func multiplyBF16(d, a, b byte) []byte {
	return []byte{0xc4, 0xe2, (^b&15)<<3 | 2, 0x5c, 0xc0 | d<<3 | a}
}

type machine struct {
	*testing.T
	thread
	pin runtime.Pinner
}

func newMachine(t *testing.T) *machine {
	m := &machine{T: t}
	t.Cleanup(m.pin.Unpin)
	return m
}

// try runs an instruction with AX pointing to memory.
func (m *machine) try(code, memory []byte, rowBytes int) string {
	m.Helper()
	var r [16]uint64
	if len(memory) > 0 {
		m.pin.Pin(&memory[0])
		r[0] = uint64(uintptr(unsafe.Pointer(&memory[0])))
	}
	r[1] = uint64(rowBytes)
	n, fault := m.execute(code, &r)
	if fault == "" && n != len(code) {
		m.Fatalf("%x: length %d, want %d", code, n, len(code))
	}
	return fault
}

func (m *machine) run(code, memory []byte, rowBytes int) {
	m.Helper()
	if fault := m.try(code, memory, rowBytes); fault != "" {
		m.Fatalf("%x: %s", code, fault)
	}
}

// config is palette 1 with 16 rows of 64 bytes in all tiles, changed by the caller.
func config(change func(c []byte)) []byte {
	c := make([]byte, 128)
	c[0] = 1
	for t := range 8 {
		c[16+2*t], c[48+t] = 64, 16
	}
	if change != nil {
		change(c)
	}
	return c
}

func setTile(c []byte, t, rows, colsb int) { c[16+2*t], c[48+t] = byte(colsb), byte(rows) }

func randomBytes(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// The products of all four signs are those of matrices with byte k of row m of a and byte 4*n+k%4 of row
// k/4 of b.
func TestIntegerProducts(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for pp := byte(uu); pp <= ss; pp++ {
		for _, s := range []struct{ rows, k4, cols int }{{16, 16, 16}, {8, 16, 16}, {1, 1, 1}, {5, 3, 7}} {
			m := newMachine(t)
			m.run(loadConfig, config(func(c []byte) {
				setTile(c, 0, s.rows, 4*s.cols)
				setTile(c, 1, s.rows, 4*s.k4)
				setTile(c, 2, s.k4, 4*s.cols)
			}), 0)
			a, b, sum := randomBytes(r, 1024), randomBytes(r, 1024), randomBytes(r, 1024)
			got := bytes.Clone(sum)
			m.run(load(1), a, 64)
			m.run(load(2), b, 64)
			m.run(load(0), got, 64)
			m.run(multiply(pp, 0, 1, 2), nil, 0)
			m.run(store(0), got, 64)
			for row := range s.rows {
				for col := range s.cols {
					at := row*64 + col*4
					want := *(*int32)(unsafe.Pointer(&sum[at]))
					for k := range 4 * s.k4 {
						x, y := int32(a[row*64+k]), int32(b[k/4*64+col*4+k%4])
						if pp == su || pp == ss {
							x = int32(int8(x))
						}
						if pp == us || pp == ss {
							y = int32(int8(y))
						}
						want += x * y
					}
					if v := *(*int32)(unsafe.Pointer(&got[at])); v != want {
						t.Fatalf("signs %d, %v, row %d column %d: %d, want %d", pp, s, row, col, v, want)
					}
					copy(sum[at:at+4], got[at:at+4])
				}
			}
			if !bytes.Equal(got, sum) {
				t.Errorf("signs %d, %v: stored outside of the tile", pp, s)
			}
			if m.products != 1 {
				t.Errorf("counted %d products", m.products)
			}
		}
	}
}

func bfloatRow(values ...float32) []byte {
	row := make([]byte, 0, 64)
	for _, v := range values {
		bits := math.Float32bits(v) >> 16
		row = append(row, byte(bits), byte(bits>>8))
	}
	return append(row, make([]byte, 64-len(row))...)
}

func TestBFloatProduct(t *testing.T) {
	const tiny = 0x1p-130 // a denormal
	inf := float32(math.Inf(1))
	for _, c := range []struct {
		a, b      [2]float32
		sum, want float32
	}{
		{[2]float32{1, 2}, [2]float32{3, 4}, 5, 16},
		{[2]float32{tiny, 0}, [2]float32{1 << 20, 0}, 0, 0},    // denormal factors are zero
		{[2]float32{0x1p-70, 0}, [2]float32{0x1p-70, 0}, 0, 0}, // so are denormal products
		{[2]float32{0, 0}, [2]float32{0, 0}, tiny, 0},          // and sums
		{[2]float32{inf, 1}, [2]float32{1, 1}, 0, inf},
		{[2]float32{1, 1}, [2]float32{1, 0x1p-8}, 0, 1 + 0x1p-8},
	} {
		m := newMachine(t)
		m.run(loadConfig, config(func(c []byte) {
			setTile(c, 0, 1, 4)
			setTile(c, 1, 1, 4)
			setTile(c, 2, 1, 4)
		}), 0)
		got := make([]byte, 64)
		*(*float32)(unsafe.Pointer(&got[0])) = c.sum
		m.run(load(1), bfloatRow(c.a[:]...), 64)
		m.run(load(2), bfloatRow(c.b[:]...), 64)
		m.run(load(0), got, 64)
		m.run(multiplyBF16(0, 1, 2), nil, 0)
		m.run(store(0), got, 64)
		if v := *(*float32)(unsafe.Pointer(&got[0])); v != c.want {
			t.Errorf("%v + %v*%v = %v, want %v", c.sum, c.a, c.b, v, c.want)
		}
	}
}

func TestConfiguration(t *testing.T) {
	m := newMachine(t)
	c := config(func(c []byte) { setTile(c, 3, 7, 20) })
	m.run(loadConfig, c, 0)
	m.run(storeConfig, c, 0)
	if !bytes.Equal(c[:64], c[64:]) {
		t.Errorf("stored configuration % x, want % x", c[64:], c[:64])
	}
	m.run(release, nil, 0)
	m.run(storeConfig, c, 0)
	if !bytes.Equal(c[64:], make([]byte, 64)) {
		t.Errorf("after TILERELEASE the configuration is % x", c[64:])
	}
}

func TestLoadClearsTheRest(t *testing.T) {
	m := newMachine(t)
	ones := bytes.Repeat([]byte{1}, 1024)
	m.run(loadConfig, config(func(c []byte) { setTile(c, 1, 4, 8) }), 0)
	m.run(load(1), ones, 64)
	got := make([]byte, 1024)
	m.run(store(1), got, 64)
	if n := bytes.Count(got, []byte{1}); n != 32 {
		t.Errorf("a tile of 4 rows of 8 bytes stores %d bytes", n)
	}
	m.run(zero(1), nil, 0)
	m.run(store(1), got, 64)
	if n := bytes.Count(got, []byte{1}); n != 0 {
		t.Errorf("%d bytes are left after TILEZERO", n)
	}
}

// TestFaults runs what real tiles refuse with #UD or #GP.
func TestFaults(t *testing.T) {
	for _, c := range []struct {
		name   string
		config func(c []byte)
		code   []byte
		fault  string
	}{
		{"palette", func(c []byte) { c[0] = 2 }, nil, "palette"},
		{"reserved low", func(c []byte) { c[2] = 1 }, nil, "reserved"},
		{"reserved middle", func(c []byte) { c[32] = 1 }, nil, "reserved"},
		{"reserved high", func(c []byte) { c[63] = 1 }, nil, "reserved"},
		{"columns", func(c []byte) { c[16] = 65 }, nil, "64 bytes"},
		{"columns, high byte", func(c []byte) { c[17] = 1 }, nil, "64 bytes"},
		{"rows", func(c []byte) { c[48] = 17 }, nil, "16 rows"},
		{"rows only", func(c []byte) { setTile(c, 2, 1, 0) }, nil, "without"},
		{"columns only", func(c []byte) { setTile(c, 2, 0, 4) }, nil, "without"},
		{"unused tile", func(c []byte) { setTile(c, 2, 0, 0) }, load(2), "not configured"},
		{"palette 0", func(c []byte) { clear(c) }, zero(0), "not configured"},
		{"unused sum", func(c []byte) { setTile(c, 0, 0, 0) }, multiply(us, 0, 1, 2), "not configured"},
		{"start row", func(c []byte) { c[1] = 3 }, load(2), "start row"},
		{"same factors", nil, multiply(us, 0, 1, 1), "same"},
		{"sum is a factor", nil, multiply(us, 1, 1, 2), "same"},
		{"odd bytes", func(c []byte) { setTile(c, 1, 16, 62) }, multiply(us, 0, 1, 2), "multiple of 4"},
		{"rows differ", func(c []byte) { setTile(c, 1, 8, 64) }, multiply(us, 0, 1, 2), "differ in rows"},
		{"columns differ", func(c []byte) { setTile(c, 2, 16, 32) }, multiply(us, 0, 1, 2), "differ in columns"},
		{"inner differ", func(c []byte) { setTile(c, 2, 8, 64) }, multiplyBF16(0, 1, 2), "are not rows"},
		{"unknown product", nil, []byte{0xc4, 0xe2, 0x6b, 0x5c, 0xc1}, "unknown product"},
		{"no index byte", nil, []byte{0xc4, 0xe2, 0x7b, 0x4b, 0x00}, "index register"},
	} {
		m := newMachine(t)
		fault := m.try(loadConfig, config(c.config), 0)
		if c.code != nil {
			if fault != "" {
				t.Errorf("%s: the configuration: %s", c.name, fault)
			}
			fault = m.try(c.code, make([]byte, 1024), 64)
		}
		if !strings.Contains(fault, c.fault) || fault == "" {
			t.Errorf("%s: fault %q, want one with %q", c.name, fault, c.fault)
		}
	}
}

func TestOtherInstructionsAreLeftAlone(t *testing.T) {
	var th thread
	for _, code := range [][]byte{
		{0x0f, 0x0b},                                     // UD2
		{0xc4, 0xe2, 0x75, 0x50, 0xd0},                   // VPDPBUSD of VEX
		{0xc4, 0xe2, 0xfb, 0x4b, 0x04, 0x08},             // W = 1
		{0xc4, 0xe2, 0x7b, 0x4b, 0x05, 0x00, 0, 0, 0, 0}, // relative to the instruction
	} {
		if n, fault := th.execute(code, new([16]uint64)); n != 0 || fault != "" {
			t.Errorf("%x: length %d, fault %q", code, n, fault)
		}
	}
}
