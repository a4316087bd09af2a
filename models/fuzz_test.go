package models_test

import (
	"errors"
	"testing"

	"github.com/maida-ai/gomai/models"
)

// Whatever stands in the small files of a model, Open returns an error that names the file, or a model
// whose vectors are finite.
func FuzzFolder(f *testing.F) {
	base := headed(f, "tanh")
	names := []string{
		"modules.json", "config.json", "1_Pooling/config.json", "2_Dense/config.json", "2_Dense/model.safetensors",
		"3_Normalize/config.json", "sentence_bert_config.json", "config_sentence_transformers.json", "tokenizer_config.json",
		"README.md",
	}
	for i, name := range names {
		if file := base["m/"+name]; file != nil {
			f.Add(i, file.Data)
		}
	}
	f.Add(9, []byte(matryoshkaCard))
	f.Add(9, []byte("---\nmodel-index:\n- name: e5-small\n---\n"))
	f.Fuzz(func(t *testing.T, which int, data []byte) {
		files := headed(t, "tanh")
		name := names[uint(which)%uint(len(names))]
		set(files, name, string(data))
		m, err := models.OpenFS(files, "m")
		if err != nil {
			var bad *models.FormatError
			if !errors.As(err, &bad) || bad.File == "" {
				t.Fatalf("%s: %v names no file", name, err)
			}
			return
		}
		defer m.Close()
		dst := make([]float32, m.Dim())
		for _, role := range []models.Option{{}, models.AsQuery, models.AsDocument} {
			if _, err := m.EmbedInto(t.Context(), "hello", dst, role); err != nil {
				if errors.Is(err, models.ErrNotFinite) {
					continue
				}
				t.Fatalf("%s: %v", name, err)
			}
			for i, x := range dst {
				if x-x != 0 {
					t.Fatalf("%s: component %d is %v", name, i, x)
				}
			}
		}
	})
}
