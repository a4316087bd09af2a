package bert

import (
	"errors"
	"slices"
	"strings"

	"github.com/maida-ai/gomai/models/modelfile"
	"github.com/maida-ai/gomai/models/safetensors"
)

// Source is a file that holds a BERT's weights.
type Source interface {
	// Name is what the file is called in errors.
	Name() string
	// Floats returns the tensor that Hugging Face's BertModel calls name, such as
	// "encoder.layer.0.output.dense.weight", row by row; matrices are (out, in). It may lie in the file,
	// and lives as long; one that has to be converted is written to new memory, or to *room, which grows
	// as needed, if the caller has no use for what it held before. A tensor that is missing, of another shape or of a type that has no floats is a
	// *modelfile.Error with that name.
	Floats(room *[]float32, name string, shape ...int) ([]float32, error)
}

// Tensors is f as a Source. Aligned F32 tensors are used where they lie; F16 and BF16 are converted.
func Tensors(f *safetensors.File) Source {
	s := tensors{file: f}
	// A model saved with a head on it has its encoder below a name of its own.
	if _, ok := f.Tensor("bert.embeddings.word_embeddings.weight"); ok {
		s.prefix = "bert."
	}
	return s
}

type tensors struct {
	file   *safetensors.File
	prefix string
}

func (s tensors) Name() string { return s.file.Name() }

func (s tensors) Floats(_ *[]float32, name string, shape ...int) ([]float32, error) {
	t, ok := s.find(s.prefix + name)
	if !ok {
		return nil, modelfile.Errorf(s.Name(), s.prefix+name, "tensor missing, expected shape %v", shape)
	}
	if !slices.Equal(t.Shape, shape) {
		return nil, modelfile.Errorf(s.Name(), t.Name, "tensor of wrong shape: expected %v, found %v", shape, t.Shape)
	}
	v, err := t.Float32s()
	var bad *modelfile.Error
	if errors.As(err, &bad) {
		bad.File = s.Name()
	}
	return v, err
}

// oldNames are those that the first BERT code gave to the parts of a LayerNorm, still in many files.
var oldNames = strings.NewReplacer("LayerNorm.weight", "LayerNorm.gamma", "LayerNorm.bias", "LayerNorm.beta")

func (s tensors) find(name string) (safetensors.Tensor, bool) {
	if t, ok := s.file.Tensor(oldNames.Replace(name)); ok {
		return t, true
	}
	return s.file.Tensor(name)
}
