package settings

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestLimitAdd(t *testing.T) {
	now := time.Now()
	timeout := func(d time.Duration) Option {
		return Option{Kind: OptTimeout, Word: uint64(d)}
	}
	deadline := func(at time.Time) Option { return Option{Kind: OptDeadline, At: at} }
	for _, c := range []struct {
		opts []Option
		want Limit
		bad  bool
	}{
		{nil, Limit{}, false},
		{[]Option{timeout(5), timeout(3), timeout(4)}, Limit{After: 3}, false},
		{[]Option{deadline(now), deadline(now.Add(-1)), deadline(now.Add(1))}, Limit{At: now.Add(-1)}, false},
		{[]Option{timeout(0)}, Limit{}, true},
		{[]Option{timeout(-1)}, Limit{}, true},
		{[]Option{deadline(time.Time{})}, Limit{}, true},
		{[]Option{timeout(5), deadline(now)}, Limit{After: 5}, true},
		{[]Option{deadline(now), timeout(5)}, Limit{At: now}, true},
	} {
		var l Limit
		var err error
		for _, o := range c.opts {
			if err = l.Add(o); err != nil {
				break
			}
		}
		if (err != nil) != c.bad || !reflect.DeepEqual(l, c.want) {
			t.Errorf("%v: %+v, %v, want %+v, an error: %v", c.opts, l, err, c.want, c.bad)
		}
	}
}

func TestOptionNames(t *testing.T) {
	seen := map[string]Kind{}
	for k := OptNone; k <= OptSpread; k++ {
		if other, ok := seen[k.String()]; ok && !(k == OptSetNamed && other == OptSet) || k != OptNone && k.String() == "" {
			t.Errorf("kind %d is called %q, as kind %d", k, k, other)
		}
		seen[k.String()] = k
	}
	if s := Kind(200).String(); s != "Kind(200)" {
		t.Errorf("an unknown kind is called %q", s)
	}
	for want, o := range map[string]Option{
		"Timeout":       {Kind: OptTimeout, Word: 5},
		"Set(rate)":     {Kind: OptSet, Key: &Key{Name: "rate"}, Word: 5},
		"Set(x)":        {Kind: OptSetNamed, Name: "x", Any: "secret"},
		"Metadata(key)": {Kind: OptMetadata, Name: "key", Text: "secret"},
		"Auth":          NewAuth("secret"),
	} {
		for _, verb := range []string{"%v", "%+v", "%s", "%#v", "%d", "%x", "%q"} {
			if got := fmt.Sprintf(verb, o); strings.Contains(got, "secret") || strings.Contains(got, fmt.Sprintf("%x", "secret")) {
				t.Errorf("%s prints %s", verb, got)
			}
		}
		if got := o.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
