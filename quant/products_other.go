//go:build !amd64 || noasm

package quant

import "context"

func (w *Workspace) hasProducts() bool { return false }

func (w *Workspace) projectFast(context.Context, int, int, *Layer) error { return nil }

func (w *Workspace) outFast(context.Context, *Scratch, int, int, *Layer) error { return nil }

func (w *Workspace) innerQuantaFast(context.Context, *Scratch, int, int, *Layer) error { return nil }

func (w *Workspace) downFast(context.Context, *Scratch, int, int, *Layer) error { return nil }
