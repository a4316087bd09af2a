package layers

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/maida-ai/gomai/internal/invariants"
	"github.com/maida-ai/gomai/kernel"
)

type (
	settingMode   string
	settingDegree float32
	settingBox    struct {
		Name string
		Size []int
	}
)

var (
	setBool   = NewKey("settings_test bool", true)
	setInt    = NewKey("settings_test int", -7)
	setInt8   = NewKey("settings_test int8", int8(-8))
	setUint64 = NewKey("settings_test uint64", uint64(math.MaxUint64))
	setFloat  = NewKey("settings_test float", 0.8)
	setFloat4 = NewKey("settings_test float32", float32(0.1))
	setDegree = NewKey("settings_test degree", settingDegree(36.6))
	setText   = NewKey("settings_test text", "default")
	setMode   = NewKey("settings_test mode", settingMode("slow"))
	setBox    = NewKey("settings_test box", settingBox{Name: "default"})
	setList   = NewKey("settings_test list", []string{"default"})
	setAny    = NewKey[error]("settings_test error", nil)
)

// reader is a step that returns what k says.
func reader[T any](k Key[T]) Module[int, T] {
	return Func("read", func(ctx context.Context, _ int) (T, error) { return k.Get(ctx), nil }).With(Reads(k), Computing)
}

// precedence sets k in every place to what v makes of a number, and checks who wins.
func precedence[T any](t *testing.T, k Key[T], v func(n int) T) {
	t.Helper()
	name := k.String()
	check := func(what string, m Module[int, T], want T, opts ...Option) {
		t.Helper()
		if got := call(t, must(t, m), t.Context(), 1, opts...); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s, %s: got %v, want %v", name, what, got, want)
		}
	}
	m := reader(k)
	inner := m.With(k.Set(v(1)))
	pass := Plain("pass", same[int])
	outer := Sequential(pass, inner.With(k.Set(v(2)))).With(k.Set(v(3)))
	check("nothing set", m, k.def)
	check("With", inner, v(1))
	check("an outer With", Sequential(pass, m).With(k.Set(v(3))), v(3))
	check("two outer Withs", Sequential(pass, Sequential(pass, m).With(k.Set(v(2)))).With(k.Set(v(3))), v(2))
	check("three Withs", outer, v(1))
	check("the call over three Withs", outer, v(4), k.Set(v(4)))
	check("the call over the default", m, v(4), k.Set(v(4)))
	check("the zero value", outer, *new(T), k.Set(*new(T)))
	check("by name", m, v(5), Set(k.key.Name, v(5)))
	check("by name in With", m.With(Set(k.key.Name, v(5))).With(k.Set(v(3))), v(5))
	if got := k.Get(t.Context()); fmt.Sprint(got) != fmt.Sprint(k.def) {
		t.Errorf("%s outside of a step: got %v", name, got)
	}
}

func TestSettingsOfAllTypes(t *testing.T) {
	precedence(t, setBool, func(n int) bool { return n%2 == 0 })
	precedence(t, setInt, func(n int) int { return math.MinInt + n })
	precedence(t, setInt8, func(n int) int8 { return -128 + int8(n) })
	precedence(t, setUint64, func(n int) uint64 { return math.MaxUint64 - uint64(n) })
	precedence(t, setFloat, func(n int) float64 { return -1 / float64(n) })
	precedence(t, setFloat, func(n int) float64 { return []float64{0, math.NaN(), math.Inf(1), math.Inf(-1), 0, 1e-320}[n] })
	precedence(t, setFloat4, func(n int) float32 { return 1 / float32(n) })
	precedence(t, setDegree, func(n int) settingDegree { return settingDegree(n) + 0.5 })
	precedence(t, setText, func(n int) string { return strings.Repeat("ü", n) })
	precedence(t, setMode, func(n int) settingMode { return settingMode(fmt.Sprint("mode ", n)) })
	precedence(t, setBox, func(n int) settingBox { return settingBox{fmt.Sprint(n), []int{n, n}} })
	precedence(t, setList, func(n int) []string { return make([]string, n) })
	precedence(t, setAny, func(n int) error { return fmt.Errorf("%d", n) })
}

// Numbers and booleans travel in a word.
func TestScalarSettingsDoNotAllocate(t *testing.T) {
	if invariants.On {
		t.Skip("invariants allocate")
	}
	n, sum := 0, 0.0
	e := must(t, Into("read", func(ctx context.Context, _ int, out *int) error {
		if setBool.Get(ctx) {
			sum += setFloat.Get(ctx) + float64(setInt.Get(ctx)) + float64(setDegree.Get(ctx)) + float64(setUint64.Get(ctx))
		}
		return nil
	}).With(Computing, Reads(setBool, setInt, setDegree, setFloat, setUint64)))
	var out int
	for name, ctx := range map[string]context.Context{"background": context.Background(), "http": httpContext(t)} {
		if a := testing.AllocsPerRun(200, func() {
			n += 1000
			_ = e.CallInto(ctx, 1, &out, setBool.Set(n%2 == 0), setInt.Set(n), setDegree.Set(settingDegree(n)),
				setFloat.Set(float64(n)), setUint64.Set(uint64(n)))
		}); a != 0 {
			t.Errorf("under %s: %v allocations", name, a)
		}
	}
	if sum == 0 {
		t.Error("nothing was read")
	}
}

// A step sees its own settings, not those of a sibling, of a step before it or of an engine that calls.
func TestSettingsAreOfOneStep(t *testing.T) {
	r := reader(setInt)
	inner := must(t, r)
	nested := Func("nested", func(ctx context.Context, in int) (int, error) { return inner.Call(ctx, in) })
	e := must(t, Parallel(r.With(setInt.Set(1)), r, r.With(setInt.Set(3)), nested,
		Sequential(r.With(setInt.Set(5)), r)).With(Reads(setInt)))
	if got := call(t, e, t.Context(), 0); fmt.Sprint(got) != "[1 -7 3 -7 -7]" {
		t.Errorf("got %v", got)
	}
	if got := call(t, e, t.Context(), 0, setInt.Set(9)); fmt.Sprint(got) != "[9 9 9 -7 9]" {
		t.Errorf("with a setting of the call: got %v", got)
	}
}

// What one call sets, the next does not see, however the first ended.
func TestSettingsEndWithTheCall(t *testing.T) {
	boom := errors.New("boom")
	e := must(t, Func("step", func(ctx context.Context, fail int) (string, error) {
		s := fmt.Sprint(setInt.Get(ctx), setText.Get(ctx), kernel.Metadata(ctx, "k"), kernel.Auth(ctx))
		switch fail {
		case 1:
			return s, boom
		case 2:
			panic(boom)
		case 3:
			ctx.Done()
		}
		return s, nil
	}).With(Reads(setInt, setText), Computing))
	full := []Option{setInt.Set(1), setText.Set("set"), Metadata("k", "v"), Auth("secret")}
	for fail, opts := range [][]Option{
		full, full, full, full, append(full[:4:4], Set("unknown", 1)), append(full[:4:4], setFloat.Set(1)),
		append(full[:4:4], Timeout(-1)),
	} {
		_, err := e.Call(t.Context(), fail, opts...)
		if wrong := fail == 1 || fail == 2 || fail > 3; wrong != (err != nil) {
			t.Fatalf("call %d: %v", fail, err)
		}
		for range 3 {
			if got := call(t, e, t.Context(), 0); got != "-7default<nil>" {
				t.Fatalf("the call after call %d sees %q", fail, got)
			}
		}
	}
}

func TestSettingErrors(t *testing.T) {
	pass := Plain("pass", same[int])
	text := Key[string]{}
	twin := NewKey("settings_test int", "a string")
	m := reader(setInt)
	for name, c := range map[string]struct {
		m       Module[int, int]
		opts    []Option
		path    string
		setting string
		reason  string
	}{
		"call: nobody reads it":       {m, []Option{setFloat.Set(1)}, "", "settings_test float", "no step reads it: one that does says With(Reads(key))"},
		"call: its twin is read":      {m, []Option{twin.Set("x")}, "", "settings_test int", "no step reads it: one that does says With(Reads(key))"},
		"call: unknown name":          {m, []Option{Set("settings_test none", 1)}, "", "settings_test none", "no step reads it: one that does says With(Reads(key))"},
		"call: wrong type":            {m, []Option{Set("settings_test int", 1.5)}, "", "settings_test int", "takes a int, not a float64"},
		"call: wrong size":            {m, []Option{Set("settings_test int", int64(1))}, "", "settings_test int", "takes a int, not a int64"},
		"call: nil":                   {m, []Option{Set("settings_test int", nil)}, "", "settings_test int", "takes a int"},
		"call: a zero Key":            {m, []Option{text.Set("x")}, "", "", "NewKey"},
		"call: Blocking":              {m, []Option{Blocking}, "", "Blocking", "is no setting of a call"},
		"With: nobody reads it":       {m.With(setFloat.Set(1)), nil, "read", "settings_test float", "no step reads it: one that does says With(Reads(key))"},
		"With: nobody below reads it": {Sequential(pass.With(setInt.Set(1)), m), nil, "pass", "settings_test int", "no step reads it: one that does says With(Reads(key))"},
		"With: outer":                 {Sequential(pass, m).With(Name("top"), setText.Set("x")), nil, "top", "settings_test text", "no step reads it: one that does says With(Reads(key))"},
		"With: in a branch": {Sequential(Parallel(m, m.With(setText.Set("x"))), Plain("end", func(v []int) (int, error) { return 0, nil })),
			nil, "parallel[1]/read", "settings_test text", "no step reads it: one that does says With(Reads(key))"},
		"With: unknown name":   {m.With(Set("settings_test none", 1)), nil, "read", "settings_test none", "no step reads it: one that does says With(Reads(key))"},
		"With: wrong type":     {m.With(Set("settings_test int", "x")), nil, "read", "settings_test int", "takes a int, not a string"},
		"With: a zero Key":     {m.With(text.Set("x")), nil, "read", "", "NewKey"},
		"With: Trace":          {m.With(Trace(new(TraceHandle))), nil, "read", "Trace", "is no setting of a Module"},
		"two types of one key": {Sequential(m, pass.With(Reads(twin))), nil, "", "settings_test int", "is read as a int and as a string"},
		"two types in a step":  {m.With(Reads(twin)), nil, "", "settings_test int", "is read as a int and as a string"},
		"reading a zero Key":   {pass.With(Reads(text)), nil, "", "", "NewKey"},
	} {
		e, err := Compile(c.m)
		if c.opts != nil && err == nil {
			_, err = e.Call(t.Context(), 1, c.opts...)
		}
		var s *kernel.SettingError
		if !errors.As(err, &s) || s.Path != c.path || c.setting != "" && s.Setting != c.setting || !strings.Contains(s.Reason, c.reason) {
			t.Errorf("%s: got the error %v (%#v), want %s: %s: %s", name, err, s, c.path, c.setting, c.reason)
		}
	}
}

// Keys of one name and type are one key, with a default for each handle.
func TestKeysOfOneNameAndType(t *testing.T) {
	a, b := NewKey("settings_test shared", 1), NewKey("settings_test shared", 2)
	read := Func("a", func(ctx context.Context, _ int) (string, error) { return fmt.Sprint(a.Get(ctx), b.Get(ctx)), nil })
	for _, m := range []Module[int, string]{read.With(Reads(a)), read.With(Reads(b)), read.With(Reads(a, b))} {
		e := must(t, m)
		for want, opts := range map[string][]Option{"1 2": nil, "5 5": {a.Set(5)}, "6 6": {b.Set(6)}} {
			if got := call(t, e, t.Context(), 1, opts...); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		}
	}
	var zero Key[int]
	if got := fmt.Sprint(setInt, ", ", zero, ", ", setInt.Set(1), ", ", zero.Set(1), ", ", zero.Get(t.Context())); got !=
		"settings_test int int, no key, Set(settings_test int), Set, 0" {
		t.Errorf("keys print as %s", got)
	}
	o := setText.Set("hidden")
	if got := fmt.Sprintf("%v %+v %#v %s %d %x %t %z", o, o, o, o, o, o, o, o); strings.Contains(got, "hidden") || strings.Contains(got, "%!") {
		t.Errorf("an Option prints what it carries: %s", got)
	}
}
