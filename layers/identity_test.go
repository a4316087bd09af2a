package layers

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/maida-ai/gomai/graph"
	"github.com/maida-ai/gomai/kernel"
)

var (
	idLimit = NewKey("identity_test limit", 0.5)
	idMode  = NewKey("identity_test mode", "fast")
)

// idStep is a step with an identity.
func idStep[T any](name, version string, opts ...Option) Module[T, T] {
	return Plain(name, same[T]).With(Version(version), Reads(idLimit, idMode)).With(opts...)
}

func positive(_ context.Context, v float64) (bool, error) { return v > 0, nil }

// idPipeline has every kind of module and setting.
func idPipeline() Module[float64, float64] {
	scores := Parallel(
		idStep[float64]("a", "1", Blocking, Timeout(500*time.Millisecond)),
		Sequential(idStep[float64]("b", "1.2", Pure), NonBlockingDelay[float64](time.Millisecond)).With(Name("slowly")),
		Conditional(positive, idStep[float64]("yes", "1"), idStep[float64]("no", "1")).With(Version("3")),
	).With(WaitAll)
	both := Both(Aggregate(Mean[float64]), Aggregate(Majority[float64])).With(Metadata("k", "v"))
	sum := Plain("sum", func(p Pair[float64, float64]) (float64, error) { return p.First + p.Second, nil })
	return Sequential4(scores, both, sum.With(Version("1"), Computing), idStep[float64]("a", "2")).
		With(Name("all"), idLimit.Set(0.75), idMode.Set("<slow>"), Auth("secret"), Timeout(time.Second))
}

const idJSON = `{"plan_version":1,"root":{"kind":"sequential","name":"all","in":"float64","out":"float64","timeout":"1s",` +
	`"settings":{"identity_test limit":0.75,"identity_test mode":"\u003cslow\u003e"},"modules":[` +
	`{"kind":"parallel","name":"parallel","in":"float64","out":"[]float64","marks":["waitall"],"modules":[` +
	`{"kind":"step","name":"a","version":"1","in":"float64","out":"float64","timeout":"500ms","marks":["blocking"],` + idReads + `},` +
	`{"kind":"sequential","name":"slowly","in":"float64","out":"float64","modules":[` +
	`{"kind":"step","name":"b","version":"1.2","in":"float64","out":"float64","marks":["pure"],` + idReads + `},` +
	`{"kind":"delay","name":"delay","in":"float64","out":"float64","wait":"1ms"}]},` +
	`{"kind":"conditional","name":"conditional","version":"3","in":"float64","out":"float64","modules":[` +
	`{"kind":"step","name":"predicate","version":"3","in":"float64","out":"bool"},` +
	`{"kind":"step","name":"yes","version":"1","in":"float64","out":"float64",` + idReads + `},` +
	`{"kind":"step","name":"no","version":"1","in":"float64","out":"float64",` + idReads + `}]}]},` +
	`{"kind":"both","name":"both","in":"[]float64","out":"layers.Pair[float64,float64]","metadata":{"k":"v"},"modules":[` +
	`{"kind":"step","name":"mean","version":"1","in":"[]float64","out":"float64","marks":["computing","pure"]},` +
	`{"kind":"step","name":"majority","version":"1","in":"[]float64","out":"float64","marks":["computing","pure"]}]},` +
	`{"kind":"step","name":"sum","version":"1","in":"layers.Pair[float64,float64]","out":"float64","marks":["computing"]},` +
	`{"kind":"step","name":"a","version":"2","in":"float64","out":"float64",` + idReads + `}]}}`

const idReads = `"reads":["identity_test limit float64","identity_test mode string"]`

// idHash is what other processes made of the same pipeline: it changes with the form of plans only,
// together with their version.
const idHash = "692baa8eb8af3e8814ddbb5d04d1661b89ceb72540efb8fd628f4d3c95686b48"

const idExplain = `float64 -> float64, timeout 1s
  0  fork    all/parallel  3 branches
  1  enter   all/parallel  timeout 500ms
  2  step    all/parallel[0]/a  float64 -> float64  (blocking)
  3  exit    all/parallel[0]/a
  4  join    all/parallel
  5  step    all/parallel[1]/slowly/b  float64 -> float64  (undeclared, on the lane)
  6  delay   all/parallel[1]/slowly/delay  1ms
  7  join    all/parallel
  8  step    all/parallel[2]/conditional/predicate  float64 -> bool  (undeclared, on the lane)
  9  branch  all/parallel[2]/conditional  else to 12
 10  step    all/parallel[2]/conditional[then]/yes  float64 -> float64  (undeclared, on the lane)
 11  jump    all/parallel[2]/conditional  to 13
 12  step    all/parallel[2]/conditional[else]/no  float64 -> float64  (undeclared, on the lane)
 13  join    all/parallel
 14  raise   all/parallel
 15  fork    all/both  2 branches
 16  step    all/both[0]/mean  []float64 -> float64  (computing)
 17  join    all/both
 18  step    all/both[1]/majority  []float64 -> float64  (computing)
 19  join    all/both
 20  step    all/sum  layers.Pair[float64,float64] -> float64  (computing)
 21  step    all/a  float64 -> float64  (undeclared, on the lane)
 22  end     all
`

func TestPlanIsTheSameEverywhere(t *testing.T) {
	for range 3 {
		e := must(t, idPipeline())
		b, err := e.Plan().JSON()
		if err != nil {
			t.Fatal(err)
		}
		if string(b) != idJSON {
			t.Errorf("the plan is\n%s, want\n%s", b, idJSON)
		}
		sum := sha256.Sum256(b)
		if h, err := e.Plan().Hash(); err != nil || h != idHash || h != hex.EncodeToString(sum[:]) {
			t.Errorf("the hash is %s, %v, want %s", h, err, idHash)
		}
		if text := e.Explain(); text != idExplain {
			t.Errorf("Explain says\n%swant\n%s", text, idExplain)
		}
		for range 40 { // what runs teach about steps is no part of a plan
			call(t, e, t.Context(), 1)
		}
		if again, _ := e.Plan().JSON(); !bytes.Equal(b, again) {
			t.Errorf("after 40 calls the plan is\n%s, before\n%s", again, b)
		}
		var back any
		if err := json.Unmarshal(b, &back); err != nil {
			t.Error(err)
		}
	}
}

func hashOf[I, O any](t *testing.T, name string, m Module[I, O]) string {
	t.Helper()
	h, err := must(t, m).Plan().Hash()
	if err != nil || len(h) != 64 {
		t.Errorf("%s: hash %q, %v", name, h, err)
	}
	return h
}

// A result that must be copied, a Deadline, and moves between cells.
func TestExplainSaysMore(t *testing.T) {
	when := time.Date(2030, 1, 2, 3, 4, 5, 0, time.FixedZone("far", 9*3600))
	fill := Into("fill", func(_ context.Context, n int, out *[]int) error { *out = append((*out)[:0], n); return nil })
	m := Conditional(func(_ context.Context, n int) (bool, error) { return n > 0, nil }, fill, fill.With(Deadline(when))).With(Computing)
	const want = `int -> []int, deadline 2030-01-01T18:04:05Z, result copied
  0  step    conditional/predicate  int -> bool  (computing)
  1  branch  conditional  else to 5
  2  step    conditional[then]/fill  int -> []int  (computing)
  3  move    conditional
  4  jump    conditional  to 9
  5  enter   conditional  deadline 2030-01-01T18:04:05Z
  6  step    conditional[else]/fill  int -> []int  (computing)
  7  exit    conditional[else]/fill
  8  move    conditional
  9  end     conditional
`
	if text := must(t, m.With(Deadline(when))).Explain(); text != want {
		t.Errorf("Explain says\n%swant\n%s", text, want)
	}
}

// Everything that can change what a plan does changes its hash.
func TestHashesDiffer(t *testing.T) {
	s := idStep[float64]("s", "1")
	when := time.Date(2030, 1, 2, 3, 4, 5, 6, time.UTC)
	reduce := Aggregate(Mean[float64])
	hashes := map[string]string{"a step of ints": hashOf(t, "a step of ints", idStep[int]("s", "1"))}
	for name, m := range map[string]Module[float64, float64]{
		"a step":                 s,
		"another name":           idStep[float64]("t", "1"),
		"another version":        idStep[float64]("s", "2"),
		"a later version":        s.With(Version("1.1")),
		"a later name":           s.With(Name("u")),
		"a timeout":              s.With(Timeout(time.Second)),
		"a shorter timeout":      s.With(Timeout(time.Millisecond)),
		"a deadline":             s.With(Deadline(when)),
		"a later deadline":       s.With(Deadline(when.Add(1))),
		"a setting":              s.With(idLimit.Set(0.5)),
		"another value":          s.With(idLimit.Set(math.Nextafter(0.5, 1))),
		"another key":            s.With(idMode.Set("0.5")),
		"an empty text":          s.With(idMode.Set("")),
		"metadata":               s.With(Metadata("k", "v")),
		"other metadata":         s.With(Metadata("k", "w")),
		"metadata of another":    s.With(Metadata("v", "k")),
		"blocking":               s.With(Blocking),
		"computing":              s.With(Computing),
		"pure":                   s.With(Pure),
		"an effect":              s.With(Effect),
		"fresh":                  s.With(Fresh),
		"reading more":           s.With(Reads(setInt)),
		"twice":                  Sequential(s, s),
		"a named sequence":       Sequential(s, s).With(Name("n")),
		"a sequence in one":      Sequential(s, Sequential(s, s)),
		"one in a sequence":      Sequential(Sequential(s, s), s),
		"a flat sequence":        Sequential3(s, s, s),
		"a delay":                Sequential(s, NonBlockingDelay[float64](time.Second)),
		"a longer delay":         Sequential(s, NonBlockingDelay[float64](time.Minute)),
		"an order":               Sequential(Parallel(s, s.With(Pure)), reduce),
		"another order":          Sequential(Parallel(s.With(Pure), s), reduce),
		"waiting for all":        Sequential(Parallel(s, s.With(Pure)).With(WaitAll), reduce),
		"a sum":                  Sequential(Parallel(s, s.With(Pure)), Aggregate(Sum[float64])),
		"a maximum":              Sequential(Parallel(s, s.With(Pure)), Aggregate(Max[float64])),
		"a condition":            Conditional(positive, s, s.With(Pure)).With(Version("1")),
		"a condition's version":  Conditional(positive, s, s.With(Pure)).With(Version("2")),
		"a condition turned":     Conditional(positive, s.With(Pure), s).With(Version("1")),
		"a setting of the whole": Sequential(s, s).With(idLimit.Set(1)),
		"a setting of the part":  Sequential(s.With(idLimit.Set(1)), s),
	} {
		hashes[name] = hashOf(t, name, m)
	}
	seen := map[string]string{}
	for name, h := range hashes {
		if old, ok := seen[h]; ok {
			t.Errorf("%s and %s have one hash", name, old)
		}
		seen[h] = name
	}
}

// What changes nothing does not change the hash either.
func TestHashesAgree(t *testing.T) {
	s := idStep[float64]("s", "1")
	opts := []Option{
		Timeout(time.Second), idLimit.Set(1), idMode.Set("m"), Metadata("k", "v"), Metadata("l", "w"), Pure, Blocking,
		Reads(setInt), Reads(setBool), Name("n"), Version("2"), setInt.Set(3),
	}
	want := hashOf(t, "all at once", s.With(opts...))
	turned := slices.Clone(opts)
	slices.Reverse(turned)
	one := s
	for _, o := range turned {
		one = one.With(o)
	}
	when := time.Date(2030, 1, 2, 3, 4, 5, 6, time.UTC)
	for name, pair := range map[string][2]string{
		"turned round":       {want, hashOf(t, "turned round", s.With(turned...))},
		"one by one":         {want, hashOf(t, "one by one", one)},
		"with Auth":          {want, hashOf(t, "with Auth", s.With(Auth("secret")).With(opts...))},
		"marked again":       {want, hashOf(t, "marked again", s.With(opts...).With(Pure, Blocking, Reads(setBool)))},
		"a mark overruled":   {want, hashOf(t, "a mark overruled", s.With(opts...).With(Computing))},
		"longer timeout":     {want, hashOf(t, "longer timeout", s.With(opts...).With(Timeout(time.Minute)))},
		"overruled settings": {want, hashOf(t, "overruled settings", s.With(opts...).With(idLimit.Set(7), Metadata("k", "x"), setInt.Set(9)))},
		"set by name":        {want, hashOf(t, "set by name", s.With(Set("identity_test limit", 1.0), Set("identity_test mode", "m")).With(opts...))},
		"another time zone": {hashOf(t, "UTC", s.With(Deadline(when))),
			hashOf(t, "another time zone", s.With(Deadline(when.In(time.FixedZone("far", 9*3600)))))},
		"another function": {hashOf(t, "one function", s), hashOf(t, "another function",
			Plain("s", func(v float64) (float64, error) { return v, nil }).With(Version("1"), Reads(idLimit, idMode)))},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s: the hashes are %s and %s", name, pair[0], pair[1])
		}
	}
}

func TestUnversionedStepsAreNamed(t *testing.T) {
	v, plain := idStep[float64]("v", "1"), Plain("plain", same[float64])
	end := Aggregate(Mean[float64])
	for path, m := range map[string]Module[float64, float64]{
		"plain":                       plain,
		"named":                       plain.With(Name("named")),
		"outer/plain":                 Sequential(v, plain).With(Name("outer"), Version("1")),
		"parallel[1]/plain":           Sequential(Parallel(v, Sequential(v, plain)), end),
		"parallel#2[0]/in/plain":      Sequential4(Parallel(v), end, Parallel(Sequential(v, plain).With(Name("in"))), end),
		"plain#2":                     Sequential(plain.With(Version("1")), plain),
		"conditional/predicate":       Conditional(positive, v, v),
		"conditional[else]/plain":     Conditional(positive, v, plain).With(Version("1")),
		"parallel[0]/mean of another": Sequential(Parallel(Sequential(Plain("mean of another", same[float64]), v)), end),
	} {
		e := must(t, m)
		b, err := e.Plan().JSON()
		var c *graph.CompileError
		if !errors.Is(err, graph.ErrUnversioned) || !errors.As(err, &c) || c.Path != path || b != nil {
			t.Errorf("JSON returns %q, %v, want an error at %s", b, err, path)
		}
		if h, err := e.Plan().Hash(); !errors.Is(err, graph.ErrUnversioned) || h != "" || !strings.HasPrefix(err.Error(), path+": ") {
			t.Errorf("Hash returns %q, %v, want an error at %s", h, err, path)
		}
		failed := false // the error's path is the one that the step has when it runs
		var tr TraceHandle
		call(t, e, t.Context(), -1, Trace(&tr))
		for _, s := range tr.Spans {
			failed = failed || s.Path == path
		}
		if !failed {
			t.Errorf("no step with the path %s ran: %v", path, spansOf(&tr))
		}
	}
}

type unexported struct{ a int }

// A setting that JSON would lose leaves a plan without a hash: it must not look like another plan.
func TestSettingsThatCannotBeStored(t *testing.T) {
	hidden := NewKey("identity_test hidden", unexported{})
	fn := NewKey("identity_test func", func() {})
	wide := NewKey("identity_test any", []any(nil))
	m := idStep[int]("s", "1", Reads(hidden, fn, wide))
	for name, c := range map[string]struct {
		o   Option
		key string
	}{
		"NaN":             {idLimit.Set(math.NaN()), idLimit.key.Name},
		"infinity":        {idLimit.Set(math.Inf(1)), idLimit.key.Name},
		"no UTF-8":        {idMode.Set("\xff"), idMode.key.Name},
		"hidden fields":   {hidden.Set(unexported{1}), hidden.key.Name},
		"a function":      {fn.Set(func() {}), fn.key.Name},
		"of another type": {wide.Set([]any{1}), wide.key.Name},
	} {
		_, err := must(t, Sequential(idStep[int]("r", "1"), m.With(c.o))).Plan().Hash()
		var s *kernel.SettingError
		var at *graph.CompileError
		if !errors.As(err, &s) || s.Setting != c.key || !errors.As(err, &at) || at.Path != "s" {
			t.Errorf("%s: got %v, want an error of %s at s", name, err, c.key)
		}
	}
	if h := hashOf(t, "what JSON holds", m.With(hidden.Set(unexported{}), wide.Set([]any{"text", 1.5}))); h == "" {
		t.Error("no hash")
	}
}

// The built-in aggregations keep their identity by whatever way they come.
func TestBuiltinsByAnyWay(t *testing.T) {
	want := hashOf(t, "Mean", Aggregate(Mean[float64]))
	variable := Mean[float64]
	field := struct {
		f func([]float64) (float64, error)
	}{Mean[float64]}
	table := map[string]func([]float64) (float64, error){"mean": Mean[float64], "sum": Sum[float64]}
	parameter := func(f func([]float64) (float64, error)) string { return hashOf(t, "a parameter", Aggregate(f)) }
	for name, h := range map[string]string{
		"a variable": hashOf(t, "a variable", Aggregate(variable)), "a field": hashOf(t, "a field", Aggregate(field.f)),
		"a table": hashOf(t, "a table", Aggregate(table["mean"])), "a parameter": parameter(variable),
	} {
		if h != want {
			t.Errorf("Mean by %s has another hash", name)
		}
	}
	type celsius float64
	for name, h := range map[string]string{
		"Sum": parameter(table["sum"]), "a named type": hashOf(t, "a named type", Aggregate(Mean[celsius])),
		"float32": hashOf(t, "float32", Aggregate(Mean[float32])),
	} {
		if h == want {
			t.Errorf("%s has the hash of Mean[float64]", name)
		}
	}
	scale := 2.0
	for name, f := range map[string]func([]float64) (float64, error){
		"a closure":         func(v []float64) (float64, error) { m, err := Mean(v); return m * scale, err },
		"a plain wrapper":   func(v []float64) (float64, error) { return Mean(v) },
		"a function's name": mean64,
	} {
		if _, err := must(t, Aggregate(f)).Plan().Hash(); !errors.Is(err, graph.ErrUnversioned) {
			t.Errorf("%s: %v, want it to have no identity", name, err)
		}
	}
}

func mean64(v []float64) (float64, error) { return Mean(v) }
