package models_test

import (
	"errors"
	"testing"

	"github.com/maida-ai/gomai/models"
)

// Open takes them, and a call that is given one is told that it has no effect there.
func TestOptionsForOpenAreNoneForCalls(t *testing.T) {
	progress := func(string, int, int) {}
	for name, option := range map[string]models.Option{
		"Calibration": models.Calibration([]string{"a"}),
		"Spread":      models.Spread(nil),
		"Progress":    models.Progress(progress),
		"Licence":     models.Licence("mit"),
		"Cache":       models.Cache(""),
	} {
		m := open(t, tinyBERT, models.Precision(models.F32), option)
		dst := make([]float32, m.Dim())
		_, embed := m.Embed(t.Context(), "a", option)
		_, into := m.EmbedInto(t.Context(), "a", dst, option)
		batch := m.EmbedBatchInto(t.Context(), []string{"a"}, dst, nil, option)
		_, space := m.SpaceOf(option)
		for _, err := range []error{embed, into, batch, space} {
			var bad *models.OptionError
			if !errors.As(err, &bad) || bad.Option != name {
				t.Errorf("%s in a call: %v", name, err)
			}
		}
		if _, err := m.EmbedInto(t.Context(), "a", dst); err != nil {
			t.Errorf("%s in Open spoils calls: %v", name, err)
		}
	}
}
