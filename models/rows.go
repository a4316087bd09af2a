package models

import (
	"fmt"

	"github.com/maida-ai/gomai/types"
)

// rows are what EmbedBatchInto fills.
type rows struct {
	dst   []float32 // (texts, dim)
	dim   int
	infos []types.Info // (texts,) or nil
	err   error        // of the first text that failed
}

func (r *rows) row(i int) []float32 { return r.dst[i*r.dim : (i+1)*r.dim] }

func (r *rows) inform(i int, info types.Info) {
	if r.infos != nil {
		r.infos[i] = info
	}
}

// end says how text i ended. The row of one that failed is zero.
func (r *rows) end(i int, err error) {
	if err == nil {
		return
	}
	clear(r.row(i))
	if r.infos != nil {
		r.infos[i].Err = err
	}
	if r.err == nil {
		r.err = fmt.Errorf("text %d: %w", i, err)
	}
}

// failFrom fails all texts from i on, which were not reached.
func (r *rows) failFrom(i int, err error) {
	clear(r.dst[i*r.dim:])
	for ; i < len(r.infos); i++ {
		r.infos[i] = types.Info{Err: err}
	}
}
