package bench

import (
	"slices"

	"github.com/maida-ai/gomai/internal/cpu"
)

// NoLevel is why there are no figures of a level.
const NoLevel = "not on this machine"

// AtLevel makes a case run at a level of the primitives, or absent where the machine lacks it.
func AtLevel(level cpu.Level, c Case) Case {
	if !slices.Contains(cpu.Levels(), level) {
		c.Code, c.Absent, c.Open = "", NoLevel, nil
		return c
	}
	if c.Absent != "" {
		return c
	}
	open := c.Open
	c.Open = func() (Round, func(), error) {
		defer cpu.Use(level, 0)()
		round, done, err := open()
		return func(sample func(float64)) error {
			defer cpu.Use(level, 0)()
			return round(sample)
		}, done, err
	}
	return c
}
