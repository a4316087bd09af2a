package models

import "context"

// embed writes the vector of ids, which may be memory of s, to dst. It gives s back.
func (b *batcher) embed(ctx context.Context, m *Model, set settings, s *scratch, ids []int32, dst []float32) error {
	c := b.open()
	defer b.close(c)
	b.add(c, ids, 0)
	m.free.put(s) // before waiting: calls that wait may be many
	class := set.class
	if class == classes {
		class = interactive
	}
	if err := b.run(ctx, c, class, set.queueLimit); err != nil {
		return err
	}
	j := c.tickets[0].job
	if j.err == nil {
		fit(dst, j.vector)
	}
	return j.err
}

// embedTexts fills out by portions of a batch each, so that other calls get their turn between them.
// Its error is why it stopped early.
func (b *batcher) embedTexts(ctx context.Context, m *Model, set settings, texts []string, out *rows) error {
	c := b.open()
	defer b.close(c)
	class := set.class
	for end := 0; end < len(texts); {
		begin := end
		s := m.free.get()
		for ; end < len(texts) && (end == begin || c.tokens < b.tokens); end++ {
			ids, info, err := m.readText(ctx, set, s, texts[end])
			if err != nil && ctx.Err() != nil {
				m.free.put(s)
				out.failFrom(begin, ctx.Err())
				return ctx.Err()
			}
			out.inform(end, info)
			out.end(end, err)
			if err == nil {
				b.add(c, ids, end)
			}
		}
		m.free.put(s)
		if class == classes {
			class = interactive
			if end < len(texts) {
				class = bulk
			}
		}
		err := b.run(ctx, c, class, set.queueLimit)
		for _, t := range c.tickets {
			switch j := t.job; {
			case j == nil || j.state != over:
				out.end(t.row, err)
			case j.err != nil:
				out.end(t.row, j.err)
			default:
				fit(out.row(t.row), j.vector)
			}
		}
		if err != nil {
			out.failFrom(end, err)
			return err
		}
		b.reset(c)
	}
	return nil
}
