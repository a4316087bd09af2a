//go:build amxemu && amd64 && !noasm

package cpu

// Emulate adds the level AMX with all its features to those that this machine can run, if it has the
// levels below: internal/amxemu computes tile instructions in tests. What runs by default stays as it is.
func Emulate() {
	mu.Lock()
	defer mu.Unlock()
	if why[AMX] == "" || why[AVX512VNNI] != "" {
		return
	}
	levels = append([]Level{AMX}, levels...)
	features |= AMXBF16
	why[AMX] = ""
}
