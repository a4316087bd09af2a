//go:build !amd64 || noasm

package quant

import "context"

func (w *Workspace) attendTexts(ctx context.Context, s *Scratch, first, end int, l *Layer) error {
	return w.attendTextsGeneric(ctx, s, first, end, l)
}

func (w *Workspace) sumKeys(t text) { w.sumKeysGeneric(t) }
