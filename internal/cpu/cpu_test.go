package cpu

import "testing"

func TestUse(t *testing.T) {
	if n := len(Levels()); n == 0 || Levels()[n-1] != Generic {
		t.Fatalf("levels %v do not end with generic", Levels())
	}
	all := &Primitive{Name: "all"}
	for _, l := range Levels() {
		all.Variants = append(all.Variants, Variant{Level: l})
	}
	for _, l := range Levels() {
		restore := Use(l, 0)
		if all.choose(); all.Level() != l {
			t.Errorf("with %s allowed, %s runs", l, all.Level())
		}
		restore()
	}
}
