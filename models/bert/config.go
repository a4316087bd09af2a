package bert

import (
	"github.com/maida-ai/gomai/models/modelfile"
)

// Config is the part of a model's config.json that decides what the encoder computes.
type Config struct {
	ModelType        string  `json:"model_type"`
	VocabSize        int     `json:"vocab_size"`
	HiddenSize       int     `json:"hidden_size"`
	Layers           int     `json:"num_hidden_layers"`
	Heads            int     `json:"num_attention_heads"`
	IntermediateSize int     `json:"intermediate_size"`
	Activation       string  `json:"hidden_act"`
	Positions        int     `json:"max_position_embeddings"`
	TokenTypes       int     `json:"type_vocab_size"`
	Epsilon          float64 `json:"layer_norm_eps"`
	PositionType     string  `json:"position_embedding_type"`
}

// maxWorkspace bounds what the longest text takes, in floats: over ten times what a large BERT with
// 8192 positions needs.
const maxWorkspace = 1 << 30

// ReadConfig decodes and checks data, the content of the config.json called file. Every error is a
// *modelfile.Error that names the field.
func ReadConfig(file string, data []byte) (Config, error) {
	// What the file leaves out has the value that the reference implementation gives it.
	c := Config{
		VocabSize: 30522, HiddenSize: 768, Layers: 12, Heads: 12, IntermediateSize: 3072, Activation: "gelu",
		Positions: 512, TokenTypes: 2, Epsilon: 1e-12, PositionType: "absolute",
	}
	if err := modelfile.DecodeJSON(file, data, &c); err != nil {
		return Config{}, err
	}
	if err := c.Check(file); err != nil {
		return Config{}, err
	}
	return c, nil
}

// Check refuses a configuration that no encoder here computes, or whose sizes are beyond all that there
// are. The error is a *modelfile.Error that names file and the field.
func (c Config) Check(file string) error {
	for _, f := range []struct {
		name  string
		value int
		max   int // beyond every model there is; products of two stay far from overflow
	}{
		{"vocab_size", c.VocabSize, 1 << 24},
		{"hidden_size", c.HiddenSize, 1 << 16},
		{"num_hidden_layers", c.Layers, 1 << 10},
		{"num_attention_heads", c.Heads, c.HiddenSize},
		{"intermediate_size", c.IntermediateSize, 1 << 18},
		{"max_position_embeddings", c.Positions, 1 << 20},
		{"type_vocab_size", c.TokenTypes, 1 << 10},
	} {
		if f.value < 1 || f.value > f.max {
			return modelfile.Errorf(file, f.name, "%d is not between 1 and %d", f.value, f.max)
		}
	}
	switch {
	case c.ModelType != "bert":
		return modelfile.Errorf(file, "model_type", "%q is not supported, only \"bert\" is", c.ModelType)
	case c.PositionType != "absolute":
		return modelfile.Errorf(file, "position_embedding_type", "%q is not supported, only \"absolute\" is", c.PositionType)
	case c.HiddenSize%c.Heads != 0:
		return modelfile.Errorf(file, "num_attention_heads", "%d heads do not divide hidden_size %d", c.Heads, c.HiddenSize)
	case !(c.Epsilon >= 0 && c.Epsilon < 1):
		return modelfile.Errorf(file, "layer_norm_eps", "%v is not between 0 and 1", c.Epsilon)
	case c.Positions*(5*c.HiddenSize+c.IntermediateSize) > maxWorkspace:
		return modelfile.Errorf(file, "max_position_embeddings", "%d tokens of these sizes need more than %d floats of memory", c.Positions, maxWorkspace)
	case activations[c.Activation] == nil:
		return modelfile.Errorf(file, "hidden_act", "%q is not supported, only gelu, gelu_new and relu are", c.Activation)
	}
	return nil
}
