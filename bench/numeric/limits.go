package numeric

import (
	"fmt"

	"github.com/maida-ai/gomai/bench"
	"github.com/maida-ai/gomai/internal/peak"
)

// streams measures how fast memory of several sizes can be read by one core.
func streams() bench.Group {
	g := bench.Group{
		Name: "streams",
		About: "What one core can read, with loads alone, again and again from the same memory: " +
			"from the first, the second and the third level of the caches, if they are of the usual sizes.",
		Rounds: 100,
		Rate:   "GB/s",
	}
	for _, kib := range []int{16, 512, 10 << 10} {
		p := make([]byte, kib<<10)
		for i := range p {
			p[i] = byte(i)
		}
		g.Cases = append(g.Cases, bench.Case{
			Name: fmt.Sprintf("%d KiB", kib),
			Code: code("Stream"),
			Work: float64(len(p)),
			Open: opened(max(1, 4<<20/len(p)), func() { peak.Stream(p) }),
		})
	}
	return g
}
