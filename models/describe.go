package models

import (
	"slices"

	"github.com/maida-ai/gomai/types"
)

// Description says what a model is.
type Description struct {
	Kind       string `json:"kind"` // family, size and pooling: "bert-6x384-mean-unit"
	Dim        int    `json:"dim"`
	Hidden     int    `json:"hidden,omitempty"` // components of a token's state; 0 for a static table
	Vocabulary int    `json:"vocabulary"`       // tokens
	MaxTokens  int    `json:"max_tokens"`       // beyond which a text is too long; 0 for no limit
	Positions  int    `json:"positions"`        // the most that MaxTokens may be set to; 0 for no limit
	Precision  string `json:"precision"`        // the format that it computes in
	// What the int8 form of an encoder was measured to be when it was packed: the cosines of its vectors to
	// those of float32, and the layers that stayed in float32, 0 for the first.
	MinCosine   float64 `json:"min_cosine,omitempty"`
	MeanCosine  float64 `json:"mean_cosine,omitempty"`
	FloatLayers []int   `json:"float_layers,omitempty"`
	// Of a packed file: what was packed, under which licence, and how many texts have their vectors in it.
	SourceFile   string `json:"source_file,omitempty"`
	SourceSHA256 string `json:"source_sha256,omitempty"`
	Licence      string `json:"licence,omitempty"`
	Recipe       string `json:"recipe,omitempty"`
	Golden       int    `json:"golden,omitempty"`

	Query      string        `json:"query_prompt,omitempty"`
	Document   string        `json:"document_prompt,omitempty"`
	Shorter    bool          `json:"shorter"` // Dimensions may be set: to those listed, or to any if none is
	Dimensions []int         `json:"dimensions,omitempty"`
	Space      types.SpaceID `json:"space"`
}

// Describe says what the model is, with the options given to Open.
func (m *Model) Describe() Description {
	d := Description{
		Kind:       m.encoder.shape(),
		Dim:        m.Dim(),
		Vocabulary: m.tokenizer.Size(),
		MaxTokens:  m.defaults.maxTokens,
		Positions:  m.encoder.positions(),
		Precision:  m.encoder.precision(),
		Query:      m.prompts[roleQuery],
		Document:   m.prompts[roleDocument],
		Shorter:    m.card.shorter,
		Dimensions: slices.Clone(m.card.dims),
		Space:      m.Space(),
	}
	p := &m.packed
	d.SourceFile, d.SourceSHA256, d.Licence, d.Recipe, d.Golden = p.SourceFile, p.SourceSHA256, p.Licence, p.Recipe, len(p.Golden)
	if e, ok := m.encoder.(*bertEncoder); ok {
		d.Hidden = e.config.HiddenSize
		if e.int8 != nil {
			q := e.int8.Quality()
			d.MinCosine, d.MeanCosine, d.FloatLayers = q.MinCosine, q.MeanCosine, q.FloatLayers()
		}
	}
	return d
}
