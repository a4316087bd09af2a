//go:build !amd64 || noasm

package quant

import "github.com/maida-ai/gomai/simd"

func (w *Workspace) embedBlock(b int, words []simd.Float16, positions []float32, ids [][]int32) {
	w.embedGeneric(b, words, positions, ids)
}

func (w *Workspace) normBlock(b int, n *Norm) { w.normGeneric(b, n) }

func (w *Workspace) contextBlock(s *Scratch, b int) { w.contextBytesGeneric(s, b) }

func (w *Workspace) innerBlock(s *Scratch, b int, l *Layer) { w.innerBytesGeneric(s, b, l) }
