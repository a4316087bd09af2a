package encoder

import (
	"math"
	"strings"

	"github.com/maida-ai/gomai/bench"
	"github.com/maida-ai/gomai/models"
)

// Quality is a set of texts on which int8 is compared with float32.
type Quality struct {
	Name, About string
	Texts       []string
	Least, Mean float64 // cosine of gomai's; 0: no limit
}

// Qualities are all sets of texts. The first sentences of the first 300 rows, and long texts made of second
// ones, are what a peer is calibrated with, so they are not among them.
func Qualities() []Quality {
	const about = "Cosine of an int8 vector with gomai's float32 vector of the same tokens, 512 at most: "
	var long []string
	words := column(1, 700, 1500)
	for i := range 20 {
		long = append(long, strings.Join(words[40*i:][:40], " "))
	}
	return []Quality{
		{"quality, sentences", about + "1,000 sentences.", column(0, 500, 1500), 0.99, 0.9985},
		{"quality, long texts", about + "20 texts of some 500 tokens.", long, 0.99, 0},
		{"quality, odd texts", about + "200 texts in many scripts, of symbols, code, blanks and words without end.", odd(), 0, 0},
	}
}

// IDs are those of the texts.
func (q Quality) IDs() ([][]int32, error) { return split(q.Texts) }

// Group has gomai's case.
func (q Quality) Group() bench.Group {
	g := bench.Group{Name: q.Name, About: q.About, Rounds: 1, Stats: []bench.Stat{bench.Min, bench.Median, bench.Mean}}
	g.Cases = []bench.Case{q.Case(bench.Case{Name: Gomai}, func() ([]float32, error) {
		ids, err := q.IDs()
		if err != nil {
			return nil, err
		}
		return Vectors(precision, ids)
	})}
	for _, l := range []bench.Limit{{Stat: bench.Min, Bound: q.Least}, {Stat: bench.Mean, Bound: q.Mean}} {
		if l.Bound > 0 {
			l.Case, l.AtLeast = Gomai, true
			g.Limits = append(g.Limits, l)
		}
	}
	return g
}

// Case makes c the case of who has int8 vectors of the texts, one after the other.
func (q Quality) Case(c bench.Case, vectors func() ([]float32, error)) bench.Case {
	c.Unit = bench.Cosine
	c.Open = func() (bench.Round, func(), error) {
		return func(sample func(float64)) error {
			ids, err := q.IDs()
			if err != nil {
				return err
			}
			want, err := Vectors(models.F32, ids)
			if err != nil {
				return err
			}
			got, err := vectors()
			if err != nil {
				return err
			}
			dim := len(want) / len(ids)
			for i := 0; i < len(want); i += dim {
				sample(cosine(want[i:i+dim], got[i:i+dim]))
			}
			return nil
		}, nil, nil
	}
	return weighed(c)
}

func cosine(a, b []float32) float64 {
	var ab, aa, bb float64
	for i := range a {
		x, y := float64(a[i]), float64(b[i])
		ab, aa, bb = ab+x*y, aa+x*x, bb+y*y
	}
	return ab / math.Sqrt(aa*bb)
}
