package bench

import (
	"encoding/json"
	"io"
	"runtime"
	"time"

	"github.com/maida-ai/gomai/internal/cpu"
)

// The JSON form of a report. Times are nanoseconds, or in the unit that a case names; what could not be
// measured has "absent" and no numbers.
type (
	jsonReport struct {
		Machine jsonMachine  `json:"machine"`
		Cases   []jsonCase   `json:"cases"`
		Figures []jsonFigure `json:"figures"`
	}
	jsonMachine struct {
		CPU   string `json:"cpu"`
		Level string `json:"level"`
		Cores int    `json:"cores"`
		Go    string `json:"go"`
		OS    string `json:"os"`
		Arch  string `json:"arch"`
		Date  string `json:"date"`
	}
	jsonCase struct {
		Group    string   `json:"group"`
		Name     string   `json:"name"`
		Code     string   `json:"code,omitempty"`
		Absent   string   `json:"absent,omitempty"`
		Unit     string   `json:"unit"`
		Min      *float64 `json:"min,omitempty"`
		Median   *float64 `json:"median,omitempty"`
		Rate     *float64 `json:"rate,omitempty"`
		RateUnit string   `json:"rate_unit,omitempty"`
	}
	jsonFigure struct {
		Group   string   `json:"group"`
		Case    string   `json:"case"`
		Of      string   `json:"of,omitempty"`
		Stat    Stat     `json:"stat"`
		Value   *float64 `json:"value,omitempty"`
		Absent  string   `json:"absent,omitempty"`
		Bound   float64  `json:"bound"`
		AtLeast bool     `json:"at_least"`
		Holds   bool     `json:"holds"`
	}
)

func writeJSON(w io.Writer, level cpu.Level, groups []Group, results []Result, figures []Figure) error {
	report := jsonReport{
		Machine: jsonMachine{processor(), level.String(), runtime.GOMAXPROCS(0), runtime.Version(), runtime.GOOS, runtime.GOARCH,
			time.Now().UTC().Format(time.DateOnly)},
		Cases:   make([]jsonCase, 0, len(results)),
		Figures: make([]jsonFigure, 0, len(figures)),
	}
	rates := map[string]string{}
	for _, g := range groups {
		rates[g.Name] = g.Rate
	}
	for _, r := range results {
		c := jsonCase{Group: r.Group, Name: r.Name, Code: r.Code, Absent: r.Absent, Unit: r.Unit}
		if c.Unit == "" {
			c.Unit = "ns"
		}
		if r.Absent == "" {
			least, median := r.Stat(Min), r.Stat(Median)
			c.Min, c.Median = &least, &median
			if unit := rates[r.Group]; unit != "" {
				rate := r.Rate(Min)
				c.Rate, c.RateUnit = &rate, unit
			}
		}
		report.Cases = append(report.Cases, c)
	}
	for _, f := range figures {
		j := jsonFigure{Group: f.Group, Case: f.Case, Of: f.Of, Stat: f.Stat, Absent: f.Absent, Bound: f.Bound, AtLeast: f.AtLeast, Holds: f.Holds()}
		if f.Absent == "" {
			j.Value = &f.Value
		}
		report.Figures = append(report.Figures, j)
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(report)
}
