package search

import (
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"testing"

	"github.com/maida-ai/gomai/internal/cpu"
)

// FuzzTopK searches rows of arbitrary bits, the first of which is the query: every level finds, by every
// metric and among rows of every kind, what sorting all scores gives, and the scores are the same on
// all levels.
func FuzzTopK(f *testing.F) {
	f.Add([]byte("\x00\x00\x80\x3f\x00\x00\x80\xbf and some more, so that there are several rows"), uint8(2), uint8(3))
	f.Add(slices.Repeat([]byte{0, 0, 0xc0, 0x7f, 0, 0, 0x80, 0xff, 1}, 300), uint8(1), uint8(16))
	f.Fuzz(func(t *testing.T, data []byte, dims, k uint8) {
		dim := 1 + int(dims)%80
		floats := make([]float32, min(len(data)/4, 4000)/dim*dim)
		for i := range floats {
			floats[i] = math.Float32frombits(binary.LittleEndian.Uint32(data[4*i:]))
		}
		if len(floats) == 0 {
			return
		}
		base := fromF32(t, dim, floats)
		for _, c := range combinations {
			m := base
			if c.kind != F32 {
				m = quantize(t, base, c.kind)
			}
			var first []float32
			for _, l := range cpu.Levels() {
				restore := cpu.Use(l, 0)
				s, scores, dst := &Searcher{Metric: c.metric}, make([]float32, m.Rows()), make([]Hit, k)
				n, err := s.TopK(t.Context(), m, m.All(), embedding(floats[:dim]), dst)
				if err := errors.Join(err, s.Scan(t.Context(), m, m.All(), embedding(floats[:dim]), scores)); err != nil {
					t.Fatal(err)
				}
				restore()
				want := sorted(c.metric, 0, scores, func(int) bool { return true })
				if want = want[:min(int(k), len(want))]; !slices.EqualFunc(dst[:n], want, sameHit) {
					t.Errorf("%v, %v, %v: got %v, want %v", l, c.kind, c.metric, dst[:n], want)
				}
				if first == nil {
					first = scores
				}
				if !slices.EqualFunc(scores, first, func(x, y float32) bool {
					return math.Float32bits(x) == math.Float32bits(y) || x != x && y != y
				}) {
					t.Errorf("%v, %v, %v: other scores than at %v", l, c.kind, c.metric, cpu.Levels()[0])
				}
			}
		}
	})
}
