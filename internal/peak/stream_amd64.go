//go:build amd64 && !noasm

package peak

import "github.com/maida-ai/gomai/internal/cpu"

func stream(p []byte) {
	switch streamCode.Level() {
	case cpu.AVX512:
		streamAVX512(&p[0], len(p)/512)
	case cpu.AVX2:
		streamAVX2(&p[0], len(p)/256)
	default:
		streamGeneric(p)
	}
}

//go:noescape
func streamAVX512(p *byte, turns int)

//go:noescape
func streamAVX2(p *byte, turns int)
