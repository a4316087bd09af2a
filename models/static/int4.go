package static

import (
	"math"

	"github.com/maida-ai/gomai/models/safetensors"
)

// Group is the number of neighbouring values of a row that share one scale in the int4 layout.
const Group = 32

const groupBytes = Group / 2

// nibbles maps a byte of the int4 layout to its two values: the low nibble's, the high nibble's.
var nibbles = func() (t [256][2]float32) {
	for b := range t {
		t[b] = [2]float32{float32(b&15) - 8, float32(b>>4) - 8}
	}
	return t
}()

// addInt4 adds weight times one packed row to dst.
//
//	for i := range dst { dst[i] += weight * scales[i/32] * q[i] }
//
// Shape:  dst (dim,), packed (dim/2,), scales (dim/32,).
// Exact:  a scale is a float16 and q has 4 bits, so without a weight the products are exact.
func addInt4(dst []float32, packed []byte, scales []float32, weight float32) {
	for g, scale := range scales {
		scale = float32(scale * weight)
		q := (*[groupBytes]byte)(packed[g*groupBytes:])
		d := (*[Group]float32)(dst[g*Group:])
		for j, b := range q {
			v := &nibbles[b]
			d[j] += float32(v[0] * scale)
			d[j+groupBytes] += float32(v[1] * scale)
		}
	}
}

// PackInt4 quantises the rows of x to the tensors of the int4 layout, which Load reads. Each group
// takes the float16 scale, out of a few around largest magnitude / 7, that leaves the least squared
// error; values are rounded to the nearest quantum and clamped to -8..7.
//
// Shape:  x (rows, dim), dim a multiple of Group; of magnitude up to 450,000, what is larger is clamped.
// Panics: if dim is no multiple of Group, or len(x) none of dim.
func PackInt4(x []float32, dim int) []safetensors.Tensor {
	if dim <= 0 || dim%Group != 0 || len(x)%dim != 0 {
		panic("static: PackInt4: shape")
	}
	rows := len(x) / dim
	packed := make([]byte, len(x)/2)
	scales := make([]byte, 2*(len(x)/Group))
	for g := range len(x) / Group {
		values := (*[Group]float32)(x[g*Group:])
		half := bestScale(values)
		scales[2*g], scales[2*g+1] = byte(half), byte(half>>8)
		scale := halfToFloat(half)
		for j := range groupBytes {
			low, high := quantum(values[j], scale), quantum(values[j+groupBytes], scale)
			packed[g*groupBytes+j] = byte(low+8) | byte(high+8)<<4
		}
	}
	return []safetensors.Tensor{
		{Name: TensorInt4, DType: safetensors.U8, Shape: []int{rows, dim / 2}, Data: packed},
		{Name: tensorScales, DType: safetensors.F16, Shape: []int{rows, dim / Group}, Data: scales},
	}
}

// bestScale searches downwards from the scale at which nothing is clamped: cutting the one largest
// value a little often buys finer steps for the other 31.
func bestScale(values *[Group]float32) uint16 {
	var largest float32
	for _, v := range values {
		largest = max(largest, max(v, -v))
	}
	best, least := uint16(0), math.Inf(1)
	for k := range 12 {
		half := floatToHalf(largest / 7 * (1.1 - 0.05*float32(k)))
		scale := halfToFloat(half)
		sum := 0.0
		for _, v := range values {
			d := float64(v) - float64(scale)*float64(quantum(v, scale))
			sum += d * d
		}
		if sum < least {
			best, least = half, sum
		}
	}
	return best
}

func quantum(v, scale float32) int {
	if scale == 0 {
		return 0
	}
	return int(max(-8, min(7, math.RoundToEven(float64(v)/float64(scale)))))
}

// floatToHalf rounds a non-negative number to the nearest float16; what is too large becomes the
// largest.
func floatToHalf(v float32) uint16 {
	const largest = 65504
	bits := math.Float32bits(min(v, largest))
	exp := int(bits>>23) - 127
	if exp < -14 {
		// subnormal: a multiple of 2^-24
		return uint16(math.RoundToEven(float64(v) * 0x1p24))
	}
	rounded := bits + 0xfff + bits>>13&1
	return uint16((rounded - (127-15)<<23) >> 13)
}

// halfToFloat widens a finite float16, exactly: the exponent is moved by a multiplication, which
// serves subnormals too.
func halfToFloat(h uint16) float32 {
	f := math.Float32frombits(uint32(h&0x7fff)<<13) * 0x1p112
	return math.Float32frombits(math.Float32bits(f) | uint32(h&0x8000)<<16)
}
