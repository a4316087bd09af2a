// Command encoder runs what package bench/encoder measures in other libraries too, all in one run and in
// turns, and prints the tables. The libraries are Python's: setup.sh installs them and makes their models
// from the weights that gomai opens, and child.py measures them on request.
package main

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"slices"

	"github.com/maida-ai/gomai/bench"
	"github.com/maida-ai/gomai/bench/encoder"
	"github.com/maida-ai/gomai/bench/peers/child"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "encoder:", err)
		os.Exit(1)
	}
}

func run() error {
	c, err := start("encoder")
	if err != nil {
		return err
	}
	defer c.Stop()
	groups, err := groups(c)
	if err != nil {
		return err
	}
	bench.Program{
		Section: "encoder",
		Command: "cd bench/peers && encoder/setup.sh && go run ./encoder",
		Groups:  groups,
		Summary: summary,
	}.Main()
	return nil
}

// start starts child.py in the folder that has it.
func start(folder string) (*child.Child, error) {
	return child.Start(folder+"/build/venv/bin/python", []string{folder + "/child.py", encoder.Folder(), folder + "/build/models"})
}

// model is a peer: what child.py calls it, and whether it is held to a limit.
type model struct {
	name, library string
	limited       bool
}

var peers = []model{
	{"ONNX Runtime f32", "ort-f32", false},
	{"ONNX Runtime int8", "ort-int8", true},
	{"OpenVINO bf16", "openvino-bf16", true},
	{"OpenVINO int8", "openvino-int8", true},
	{"OpenVINO int8 and bf16", "openvino-int8-bf16", true},
}

// groups returns those of the suite that a library has something for, with the libraries' cases.
func groups(c *child.Child) ([]bench.Group, error) {
	var groups []bench.Group
	for _, l := range encoder.Latencies {
		groups = append(groups, latency(c, l))
	}
	batches, err := throughput(c)
	if err != nil {
		return nil, err
	}
	groups = append(groups, batches)
	for _, s := range encoder.Splits() {
		groups = append(groups, splits(c, s))
	}
	for _, q := range encoder.Qualities() {
		g, err := quality(c, q)
		if err != nil {
			return nil, err
		}
		groups = append(groups, g)
	}
	return groups, nil
}

// open opens a case of a model: texts of ids, each by itself or as one batch.
func open(c *child.Child, k bench.Case, library, how string, calls int, texts [][]int32) bench.Case {
	var lengths, ids []int32
	for _, t := range texts {
		lengths, ids = append(lengths, int32(len(t))), append(ids, t...)
	}
	return c.Open(k, calls, child.Raw(lengths, ids), library, how, len(texts), len(ids))
}

// latency adds the peers to a group of one text at a time. Their time, divided by gomai's, is at least the bound.
func latency(c *child.Child, l encoder.Latency) bench.Group {
	g := l.Group()
	g.About += " The peers' time ends with the last hidden states, before pooling."
	for _, p := range peers {
		g.Cases = append(g.Cases, open(c, bench.Case{Name: p.name}, p.library, "each", l.Calls(), [][]int32{encoder.IDs(l.Tokens)}))
		if p.limited && l.Bound() > 0 {
			g.Limits = append(g.Limits, bench.Limit{Case: p.name, Of: encoder.Gomai, Stat: bench.Min, Bound: l.Bound(), AtLeast: true})
		}
	}
	return g
}

// throughput adds OpenVINO's batches of several sizes.
func throughput(c *child.Child) (bench.Group, error) {
	g := encoder.Throughput()
	ids, err := encoder.BatchIDs()
	if err != nil {
		return g, err
	}
	for _, p := range peers[2:] {
		for _, n := range []int{8, 16, 32, 64} {
			k := encoder.OfTexts(bench.Case{Name: fmt.Sprintf("%s, %d at once", p.name, n)}, n)
			g.Cases = append(g.Cases, open(c, k, p.library, "batch", 1, ids[:n]))
			g.Limits = append(g.Limits, bench.Limit{Case: encoder.Gomai, Of: k.Name, Stat: bench.Min, Bound: encoder.BatchBound(), AtLeast: true})
		}
	}
	return g, nil
}

// splits adds the reference library's tokeniser.
func splits(c *child.Child, s encoder.Split) bench.Group {
	g := s.Group()
	texts, err := json.Marshal(s.Texts)
	if err != nil {
		panic(err) // they are strings
	}
	for _, how := range []string{"encode", "encode-batch"} {
		k := bench.Case{Name: "tokenizers, " + how, Work: s.Work()}
		g.Cases = append(g.Cases, c.Open(k, 1, texts, how, len(texts)))
		g.Limits = append(g.Limits, bench.Limit{Case: encoder.Gomai, Of: k.Name, Stat: bench.Min, Bound: s.Faster, AtLeast: true})
	}
	return g
}

// quality adds the int8 vectors of the peers.
func quality(c *child.Child, q encoder.Quality) (bench.Group, error) {
	g := q.Group()
	ids, err := q.IDs()
	if err != nil {
		return g, err
	}
	for _, p := range []model{peers[1], peers[3]} {
		number := c.Cases
		k := open(c, bench.Case{Name: p.name}, p.library, "each", 1, ids)
		if k.Absent == "" {
			code := k.Code
			k = q.Case(k, func() ([]float32, error) { return c.Result32(number) })
			k.Code = code
		}
		g.Cases = append(g.Cases, k)
	}
	return g, nil
}

// summary is a table of one text at a time: the times, and how often gomai's fits into the best of the int8
// and bf16 peers'.
func summary(results []bench.Result) [][]string {
	find := func(group, name string) bench.Result {
		at := slices.IndexFunc(results, func(r bench.Result) bool { return r.Group == group && r.Name == name })
		return results[at]
	}
	rows := [][]string{{"one core", encoder.Gomai}}
	for _, p := range peers {
		rows[0] = append(rows[0], p.name)
	}
	rows[0] = append(rows[0], "times as fast as the best")
	for _, l := range encoder.Latencies {
		own := find(l.Name(), encoder.Gomai).Stat(bench.Min)
		row := []string{fmt.Sprintf("%d tokens", l.Tokens), bench.Duration(own)}
		best := math.Inf(1)
		for _, p := range peers {
			r := find(l.Name(), p.name)
			if r.Absent != "" {
				row = append(row, r.Absent)
				continue
			}
			v := r.Stat(bench.Min)
			row, best = append(row, bench.Duration(v)), min(best, v)
		}
		rows = append(rows, append(row, fmt.Sprintf("%.1f", best/own)))
	}
	return rows
}
