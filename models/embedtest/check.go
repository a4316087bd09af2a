package embedtest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"

	"github.com/maida-ai/gomai/models"
	"github.com/maida-ai/gomai/types"
)

// TestEmbedder checks that e keeps what types.Embedder promises: that its vectors are finite and depend
// on the text alone, that a batch gives each text the vector that it has alone, that a wrong size is an
// error and touches nothing, that a context that is done is heeded, and that calls may run at once. It
// embeds about 200 short texts and a few long ones. The error joins all that was found; nil is a pass.
//
// It cannot tell whether vectors mean anything, and says nothing of speed.
func TestEmbedder(ctx context.Context, e types.Embedder) error {
	if e.Dim() < 1 {
		return fmt.Errorf("a vector has %d components: Dim must be positive", e.Dim())
	}
	c := &checker{ctx: ctx, e: e, dim: e.Dim()}
	c.one()
	if len(c.found) > 0 {
		return errors.Join(c.found...) // what follows compares with vectors of single texts
	}
	c.sizes()
	c.batch()
	c.alone()
	c.done()
	c.together()
	return errors.Join(c.found...)
}

// checked are the texts that a model may meet.
var checked = []string{
	"hello world", "hello world!", "the cat sat on the mat", "", " \t\n", "\x00", "a\xff\xe2\x82b",
	"你好，世界", "привет", "\u202e\u200b👩‍👩‍👧‍👦", `{"json": [1, 2, 3]}`, strings.Repeat("word ", 3000), strings.Repeat("x", 10_000),
}

type checker struct {
	ctx   context.Context
	e     types.Embedder
	dim   int
	found []error
	want  [][]float32 // of checked
}

func (c *checker) errorf(format string, args ...any) {
	c.found = append(c.found, fmt.Errorf(format, args...))
}

// filled returns memory for n vectors, filled with what no call may leave there or touch.
func (c *checker) filled(n int) []float32 {
	v := make([]float32, n*c.dim)
	for i := range v {
		v[i] = guard
	}
	return v
}

const guard = 12345

func untouched(v []float32) bool {
	return !slices.ContainsFunc(v, func(x float32) bool { return x != guard })
}

// one embeds each text, twice.
func (c *checker) one() {
	space := c.e.Space()
	if space == "" {
		c.errorf("Space is empty")
	}
	distinct := map[string]bool{}
	for _, text := range checked {
		memory := c.filled(3)
		dst := memory[c.dim : 2*c.dim : 2*c.dim]
		info, err := c.e.EmbedInto(c.ctx, text, dst)
		if err != nil {
			c.errorf("EmbedInto of %.20q: %w", text, err)
			continue
		}
		if !untouched(memory[:c.dim]) || !untouched(memory[2*c.dim:]) {
			c.errorf("EmbedInto of %.20q writes outside dst", text)
		}
		if i := slices.IndexFunc(dst, func(x float32) bool { return x-x != 0 || x == guard }); i >= 0 {
			c.errorf("EmbedInto of %.20q: component %d is %v", text, i, dst[i])
		}
		if info.Err != nil || info.Tokens < 0 || !(info.Known >= 0 && info.Known <= 1) {
			c.errorf("EmbedInto of %.20q: Info is %+v", text, info)
		}
		again := make([]float32, c.dim)
		if second, err := c.e.EmbedInto(c.ctx, text, again); err != nil || !equal(dst, again) || second != info {
			c.errorf("EmbedInto of %.20q: the second call gives another vector or Info, or %v", text, err)
		}
		distinct[fmt.Sprint(dst)] = true
		c.want = append(c.want, dst)
	}
	if len(distinct) < 3 {
		c.errorf("%d texts have %d vectors", len(checked), len(distinct))
	}
	if c.e.Space() != space || c.e.Dim() != c.dim {
		c.errorf("Space or Dim changes with use")
	}
}

// sizes gives slices of the wrong length.
func (c *checker) sizes() {
	texts := checked[:2]
	check := func(name string, dst []float32, call func() error) {
		switch err := call(); {
		case err == nil:
			c.errorf("%s: no error", name)
		case !untouched(dst):
			c.errorf("%s: dst is written to", name)
		}
	}
	for _, n := range []int{0, c.dim - 1, c.dim + 1} {
		dst := c.filled(2)[:n]
		check(fmt.Sprintf("EmbedInto with %d floats for %d", n, c.dim), dst, func() error {
			_, err := c.e.EmbedInto(c.ctx, texts[0], dst)
			return err
		})
	}
	for _, n := range []int{0, 2*c.dim - 1, 2*c.dim + 1} {
		dst := c.filled(3)[:n]
		check(fmt.Sprintf("EmbedBatchInto with %d floats for 2 texts of %d", n, c.dim), dst, func() error {
			return c.e.EmbedBatchInto(c.ctx, texts, dst, nil)
		})
	}
	for _, n := range []int{1, 3} {
		dst := c.filled(2)
		check(fmt.Sprintf("EmbedBatchInto with %d infos for 2 texts", n), dst, func() error {
			return c.e.EmbedBatchInto(c.ctx, texts, dst, make([]types.Info, n))
		})
	}
}

// batch embeds all texts at once, with infos and without, and no text.
func (c *checker) batch() {
	if err := c.e.EmbedBatchInto(c.ctx, nil, nil, nil); err != nil {
		c.errorf("EmbedBatchInto of no texts: %w", err)
	}
	for _, infos := range [][]types.Info{make([]types.Info, len(checked)), nil} {
		for i := range infos {
			infos[i] = types.Info{Tokens: -1, Known: -1, Err: errors.New("left from an earlier call")}
		}
		dst := c.filled(len(checked))
		texts := slices.Clone(checked)
		if err := c.e.EmbedBatchInto(c.ctx, texts, dst, infos, types.EmbedOption{}); err != nil {
			c.errorf("EmbedBatchInto: %w", err)
			continue
		}
		if !slices.Equal(texts, checked) {
			c.errorf("EmbedBatchInto changes the texts")
		}
		for i, text := range checked {
			if !equal(dst[i*c.dim:(i+1)*c.dim], c.want[i]) {
				c.errorf("EmbedBatchInto: %.20q has another vector than alone", text)
			}
			if infos != nil && (infos[i].Err != nil || infos[i].Tokens < 0 || infos[i].Known < 0) {
				c.errorf("EmbedBatchInto: the Info of %.20q is %+v", text, infos[i])
			}
		}
	}
}

// alone lets a text fail, if e heeds models.MaxTokens and models.Overflow: the others must not.
func (c *checker) alone() {
	texts := []string{checked[0], strings.Repeat("word ", 3000), checked[0]}
	dst, infos := c.filled(3), make([]types.Info, 3)
	opts := []types.EmbedOption{models.MaxTokens(9), models.Overflow(models.Refuse)}
	if err := c.e.EmbedBatchInto(c.ctx, texts, dst, infos, opts...); err != nil {
		c.errorf("EmbedBatchInto of a text that is too long, with infos: %w", err)
		return
	}
	for _, i := range []int{0, 2} {
		if infos[i].Err != nil || !equal(dst[i*c.dim:(i+1)*c.dim], c.want[0]) {
			c.errorf("EmbedBatchInto: beside a text that is too long %q has %v, or another vector", texts[i], infos[i].Err)
		}
	}
	if infos[1].Err == nil {
		return
	}
	if slices.ContainsFunc(dst[c.dim:2*c.dim], func(x float32) bool { return x != 0 }) {
		c.errorf("EmbedBatchInto: the row of a text that failed is not zero")
	}
	err := c.e.EmbedBatchInto(c.ctx, texts, dst, nil, opts...)
	if err == nil || !strings.Contains(err.Error(), "1") {
		c.errorf("EmbedBatchInto without infos: the error of the text that failed, which is text 1, is %v", err)
	}
}

// done calls with a context that is done.
func (c *checker) done() {
	ctx, cancel := context.WithCancel(c.ctx)
	cancel()
	dst := c.filled(1)
	if _, err := c.e.EmbedInto(ctx, checked[0], dst); !errors.Is(err, context.Canceled) || !untouched(dst) {
		c.errorf("EmbedInto with a cancelled context: %v, or dst is written to", err)
	}
	many, infos := c.filled(2), make([]types.Info, 2)
	if err := c.e.EmbedBatchInto(ctx, checked[:2], many, infos); !errors.Is(err, context.Canceled) {
		c.errorf("EmbedBatchInto with a cancelled context: %v", err)
	}
	for i, info := range infos {
		row := many[i*c.dim : (i+1)*c.dim]
		if info.Err == nil || slices.ContainsFunc(row, func(x float32) bool { return x != 0 }) {
			c.errorf("EmbedBatchInto with a cancelled context: text %d has no Err in its Info, or a vector", i)
		}
	}
}

// together embeds on many goroutines.
func (c *checker) together() {
	var wg sync.WaitGroup
	bad := make([]error, 8)
	for g := range bad {
		wg.Go(func() {
			dst := make([]float32, c.dim)
			for i := range checked {
				i = (i + g) % len(checked)
				if len(checked[i]) > 1000 {
					continue // as slow as they are long, and no other case than the short ones
				}
				if _, err := c.e.EmbedInto(c.ctx, checked[i], dst); err != nil || !equal(dst, c.want[i]) {
					bad[g] = fmt.Errorf("EmbedInto of %.20q beside other calls: another vector, or %v", checked[i], err)
				}
			}
		})
	}
	wg.Wait()
	for _, err := range bad {
		if err != nil {
			c.found = append(c.found, err)
		}
	}
}

// equal compares bits, so that a NaN is like itself.
func equal(a, b []float32) bool {
	return slices.EqualFunc(a, b, func(x, y float32) bool { return math.Float32bits(x) == math.Float32bits(y) })
}
