package safetensors

import (
	"encoding/binary"
	"math"
	"unsafe"

	"github.com/maida-ai/gomai/models/modelfile"
)

// Float32s returns the elements of an F32, F16 or BF16 tensor. Aligned F32 data is returned as it
// is, without a copy and under the rules of Data; everything else is converted into new memory,
// exactly, since float32 holds every F16 and BF16 value.
func (t *Tensor) Float32s() ([]float32, error) {
	n := t.Len()
	switch t.DType {
	case F32:
		if n == 0 {
			return nil, nil
		}
		if p := unsafe.Pointer(&t.Data[0]); uintptr(p)%4 == 0 {
			return unsafe.Slice((*float32)(p), n), nil
		}
		v := make([]float32, n)
		for i := range v {
			v[i] = math.Float32frombits(binary.LittleEndian.Uint32(t.Data[4*i:]))
		}
		return v, nil
	case F16:
		v := make([]float32, n)
		for i := range v {
			v[i] = float16(binary.LittleEndian.Uint16(t.Data[2*i:]))
		}
		return v, nil
	case BF16:
		v := make([]float32, n)
		for i := range v {
			v[i] = math.Float32frombits(uint32(binary.LittleEndian.Uint16(t.Data[2*i:])) << 16)
		}
		return v, nil
	}
	return nil, modelfile.Errorf("", t.Name, "dtype %s is no float that is read here (F32, F16, BF16)", t.DType)
}

// float16 widens an IEEE half: 1 sign bit, 5 of exponent (bias 15), 10 of fraction.
func float16(h uint16) float32 {
	sign := uint32(h&0x8000) << 16
	exp, frac := uint32(h>>10)&0x1f, uint32(h)&0x3ff
	switch exp {
	case 0: // zero or subnormal: frac * 2^-24
		f := float32(frac) * 0x1p-24
		return math.Float32frombits(math.Float32bits(f) | sign)
	case 0x1f: // infinity or NaN
		return math.Float32frombits(sign | 0x7f800000 | frac<<13)
	}
	return math.Float32frombits(sign | (exp+127-15)<<23 | frac<<13)
}
