package models

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/maida-ai/gomai/models/modelfile"
	"github.com/maida-ai/gomai/models/safetensors"
)

// modules says where the parts of a model lie and which there are.
type modules struct {
	transformer string   // folder of weights, configuration and tokeniser
	static      bool     // the weights are a StaticEmbedding, not a Transformer
	pooling     string   // folder of the Pooling module; "" without one
	stages      []module // Dense and Normalize
}

// module is an entry of modules.json.
type module struct {
	kind string // Dense or Normalize
	dir  string // in fsys
}

// readModules reads modules.json. Without one the folder is a transformer alone, whose hidden states
// are averaged.
func (f *folder) readModules() (modules, error) {
	var list []struct {
		Path string `json:"path"`
		Type string `json:"type"`
	}
	name := path.Join(f.dir, modulesFile)
	if err := f.optional(name, &list); err != nil {
		return modules{}, err
	}
	m := modules{transformer: f.dir}
	for i, part := range list {
		// The packages in front of the name changed over time.
		kind := part.Type[strings.LastIndexByte(part.Type, '.')+1:]
		field := fmt.Sprintf("module %d, %s", i, part.Type)
		dir := path.Clean(part.Path)
		if !fs.ValidPath(dir) {
			return modules{}, f.errorf(name, field, "the path %q leaves the model's folder", part.Path)
		}
		dir = path.Join(f.dir, dir)
		first := i == 0
		switch {
		case first && (kind == "Transformer" || kind == "StaticEmbedding"):
			m.transformer, m.static = dir, kind == "StaticEmbedding"
		case i == 1 && kind == "Pooling" && !m.static:
			m.pooling = dir
		case !first && (kind == "Dense" || kind == "Normalize") && (m.pooling != "" || m.static):
			m.stages = append(m.stages, module{kind, dir})
		case slices.Contains([]string{"Transformer", "StaticEmbedding", "Pooling", "Dense", "Normalize"}, kind):
			return modules{}, f.errorf(name, field, "out of order: a Transformer and its Pooling, or a StaticEmbedding, and then Dense and Normalize are supported")
		default:
			return modules{}, f.errorf(name, field, "modules of this type are not supported, only Transformer, StaticEmbedding, Pooling, Dense and Normalize are")
		}
	}
	return m, nil
}

// readHead reads what follows a transformer whose states have width components. prompted says whether
// any text gets a prompt.
func (f *folder) readHead(parts modules, width int, prompted bool) (head, error) {
	h := head{pools: []pooling{poolMean}}
	var err error
	if parts.pooling != "" {
		if h.pools, err = f.readPooling(parts.pooling, width, prompted); err != nil {
			return h, err
		}
	}
	h.width = len(h.pools) * width
	h.stages, err = f.readStages(parts.stages, h.width)
	return h, err
}

// readPooling reads the config.json of a Pooling module in dir, for hidden states of dim components.
func (f *folder) readPooling(dir string, dim int, prompted bool) ([]pooling, error) {
	name := path.Join(dir, configFile)
	var c struct {
		Dim     *int            `json:"embedding_dimension"`
		OldDim  *int            `json:"word_embedding_dimension"` // the older spelling
		Mode    json.RawMessage `json:"pooling_mode"`             // a text or a list of texts
		Prompt  *bool           `json:"include_prompt"`
		CLS     bool            `json:"pooling_mode_cls_token"` // the older spelling of pooling_mode
		Max     bool            `json:"pooling_mode_max_tokens"`
		Mean    bool            `json:"pooling_mode_mean_tokens"`
		Sqrt    bool            `json:"pooling_mode_mean_sqrt_len_tokens"`
		Weights bool            `json:"pooling_mode_weightedmean_tokens"`
		Last    bool            `json:"pooling_mode_lasttoken"`
	}
	if err := modelfile.ReadJSON(f.fsys, name, &c); err != nil {
		return nil, f.renamed(err)
	}
	for _, d := range []*int{c.Dim, c.OldDim} {
		if d != nil && *d != dim {
			return nil, f.errorf(name, "embedding_dimension", "%d, but the hidden states have %d components", *d, dim)
		}
	}
	if c.Prompt != nil && !*c.Prompt && prompted {
		return nil, f.errorf(name, "include_prompt", "leaving the prompt out of the pooling is not supported")
	}
	var modes []pooling
	if c.Mode != nil {
		var one pooling
		if json.Unmarshal(c.Mode, &one) == nil {
			modes = []pooling{one}
		} else if json.Unmarshal(c.Mode, &modes) != nil {
			return nil, f.errorf(name, "pooling_mode", "neither a text nor a list of texts")
		}
	} else {
		for i, on := range []bool{c.CLS, c.Max, c.Mean, c.Sqrt, c.Weights, c.Last} {
			if on {
				modes = append(modes, poolings[i])
			}
		}
	}
	if len(modes) == 0 {
		modes = []pooling{poolMean}
	}
	for i, mode := range modes {
		if !slices.Contains(poolings, mode) {
			return nil, f.errorf(name, "pooling_mode", "%q is not supported, only %q are", mode, poolings)
		}
		if slices.Contains(modes[:i], mode) {
			return nil, f.errorf(name, "pooling_mode", "%q comes twice", mode)
		}
	}
	return modes, nil
}

// readStages reads the modules behind a vector of width components.
func (f *folder) readStages(list []module, width int) ([]stage, error) {
	var stages []stage
	for _, m := range list {
		s := stage{in: width, out: width}
		if m.kind == "Dense" {
			var err error
			if s, err = f.readDense(m.dir, width); err != nil {
				return nil, err
			}
		} else if err := f.checkNormalize(m.dir); err != nil {
			return nil, err
		}
		stages = append(stages, s)
		width = s.out
	}
	return stages, nil
}

// sentence is the name that the modules of sentence-transformers give a text's vector.
const sentence = "sentence_embedding"

// checkNormalize reads the configuration of a Normalize module, which most lack.
func (f *folder) checkNormalize(dir string) error {
	name := path.Join(dir, configFile)
	c := struct {
		Input  string  `json:"module_input_name"`
		Output *string `json:"module_output_name"`
	}{Input: sentence}
	if err := f.optional(name, &c); err != nil {
		return err
	}
	return f.checkNames(name, c.Input, c.Output)
}

// checkNames refuses a module that reads or writes anything but the vector of the text.
func (f *folder) checkNames(name, input string, output *string) error {
	if input != sentence {
		return f.errorf(name, "module_input_name", "%q is not supported, only %q is", input, sentence)
	}
	if output != nil && *output != sentence {
		return f.errorf(name, "module_output_name", "%q is not supported, only %q is", *output, sentence)
	}
	return nil
}

// maxDense bounds the sides of a Dense module: beyond every one there is.
const maxDense = 1 << 16

// readDense reads a Dense module in dir, with its weights, for vectors of in components.
func (f *folder) readDense(dir string, in int) (stage, error) {
	name := path.Join(dir, configFile)
	c := struct {
		In         int     `json:"in_features"`
		Out        int     `json:"out_features"`
		Bias       bool    `json:"bias"`
		Activation string  `json:"activation_function"`
		Input      string  `json:"module_input_name"`
		Output     *string `json:"module_output_name"`
		Residual   bool    `json:"use_residual"`
	}{Bias: true, Activation: "torch.nn.modules.activation.Tanh", Input: sentence} // what the library takes for missing fields
	if err := modelfile.ReadJSON(f.fsys, name, &c); err != nil {
		return stage{}, f.renamed(err)
	}
	module, activation := "", c.Activation
	if i := strings.LastIndexByte(c.Activation, '.'); i >= 0 {
		module, activation = c.Activation[:i], c.Activation[i+1:]
	}
	switch {
	case c.In != in:
		return stage{}, f.errorf(name, "in_features", "%d, but what comes in has %d components", c.In, in)
	case c.Out < 1 || c.Out > maxDense:
		return stage{}, f.errorf(name, "out_features", "%d is not between 1 and %d", c.Out, maxDense)
	case activations[activation] == nil || module != "torch.nn" && !strings.HasPrefix(module, "torch.nn.modules."):
		return stage{}, f.errorf(name, "activation_function", "%q is not supported, only Identity, Tanh, ReLU and GELU of torch.nn are", c.Activation)
	case c.Residual:
		return stage{}, f.errorf(name, "use_residual", "a residual connection is not supported")
	}
	if err := f.checkNames(name, c.Input, c.Output); err != nil {
		return stage{}, err
	}
	s := stage{in: in, out: c.Out, activate: activation}
	weights, err := f.denseWeights(dir)
	if err != nil {
		return stage{}, err
	}
	defer weights.Close()
	if s.weight, err = f.denseTensor(weights, "linear.weight", c.Out, in); err != nil {
		return stage{}, err
	}
	if c.Bias {
		s.bias, err = f.denseTensor(weights, "linear.bias", c.Out)
	}
	return s, err
}

// denseWeights opens the weights of a Dense module.
func (f *folder) denseWeights(dir string) (*safetensors.File, error) {
	name := path.Join(dir, weightsFile)
	w, err := f.weights(name)
	if errors.Is(err, fs.ErrNotExist) {
		if _, old := fs.Stat(f.fsys, path.Join(dir, "pytorch_model.bin")); old == nil {
			return nil, &modelfile.Error{File: f.display(name), Offset: -1, Reason: "no weights in the folder, and pytorch_model.bin is not read: save the model again with a newer sentence-transformers", Err: fs.ErrNotExist}
		}
	}
	return w, err
}

// denseTensor returns a copy of a tensor, so that the file can be closed.
func (f *folder) denseTensor(w *safetensors.File, name string, shape ...int) ([]float32, error) {
	t, ok := w.Tensor(name)
	if !ok {
		return nil, modelfile.Errorf(w.Name(), name, "tensor missing, expected shape %v", shape)
	}
	if !slices.Equal(t.Shape, shape) {
		return nil, modelfile.Errorf(w.Name(), name, "tensor of wrong shape: expected %v, found %v", shape, t.Shape)
	}
	v, err := t.Float32s()
	if err != nil {
		return nil, modelfile.Errorf(w.Name(), name, "dtype %s is no float that is read here", t.DType)
	}
	if !finite(v) {
		return nil, modelfile.Errorf(w.Name(), name, "a component is not finite")
	}
	return slices.Clone(v), nil
}
