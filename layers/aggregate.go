package layers

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"slices"
	"strings"
)

// ErrEmpty is wrapped by the error of an aggregation of nothing.
var ErrEmpty = errors.New("nothing to aggregate")

// ShapeError is a row that is not as long as the first.
type ShapeError struct {
	Row, Len, Want int
}

func (e *ShapeError) Error() string {
	return fmt.Sprintf("row %d has %d elements, row 0 has %d", e.Row, e.Len, e.Want)
}

// builtinVersion is the version of the aggregations of this package.
const builtinVersion = "1"

// Aggregate makes one value of many, as of what a Parallel returns. Mean, Sum, Max, Min, Majority and
// Concat are built in: they are called by their name in paths, and have a version. Only a generic function
// that instantiates one by a type parameter of its own must name it itself.
func Aggregate[T, O any](f func([]T) (O, error)) Module[[]T, O] {
	name, known := builtin(f)
	m := Plain(name, f)
	if known {
		m = m.With(Computing, Pure, Version(builtinVersion))
	}
	return m
}

// builtin returns the name of f in lower case if it is an aggregation of this package.
func builtin(f any) (string, bool) {
	v := reflect.ValueOf(f)
	if !v.IsNil() {
		name := runtime.FuncForPC(v.Pointer()).Name()
		for _, b := range [...]string{"Mean", "Sum", "Max", "Min", "Majority", "Concat"} {
			if name == packagePath+"."+b+"[...]" {
				return strings.ToLower(b), true
			}
		}
	}
	return "aggregate", false
}

var packagePath = reflect.TypeFor[ShapeError]().PkgPath()

// AggregateAxis applies f along one axis of a matrix: along axis 0, or -2, to each column, along axis 1,
// or -1, to each row. Rows of different lengths, and a matrix without rows or columns, are errors. A
// third dimension comes by nesting: T may be a slice, and what f returns part of the input.
//
// Cost: no allocation once warm. If T is neither a number, a boolean nor a string, a slice for the result
// and, for axis 0, one for each column.
func AggregateAxis[T any](axis int, f func([]T) (T, error)) Module[[][]T, []T] {
	name, known := builtin(f)
	kind := reflect.TypeFor[T]().Kind()
	simple := kind <= reflect.Complex128 || kind == reflect.String // shares no memory that anybody writes to
	m := Into(fmt.Sprintf("%s axis %d", name, axis), func(_ context.Context, rows [][]T, out *[]T) error {
		if err := rectangular(rows); err != nil {
			return err
		}
		*out = (*out)[:0]
		if axis == 1 || axis == -1 {
			for i, row := range rows {
				v, err := f(row)
				if err != nil {
					return fmt.Errorf("row %d: %w", i, err)
				}
				*out = append(*out, v)
			}
			return nil
		}
		var column []T
		if n := len(rows[0]); simple { // a column fits behind the result
			*out = slices.Grow(*out, n+len(rows))
			column = (*out)[n : n+len(rows)]
			defer clear(column)
		}
		for j := range rows[0] {
			if !simple {
				column = make([]T, len(rows))
			}
			for i := range rows {
				column[i] = rows[i][j]
			}
			v, err := f(column)
			if err != nil {
				return fmt.Errorf("column %d: %w", j, err)
			}
			*out = append(*out, v)
		}
		return nil
	})
	m.node.Into = simple
	switch {
	case f == nil:
		m.node.Step = nil
	case axis < -2 || axis > 1:
		m.node.Err = fmt.Errorf("axis must be 0, 1, -1 or -2, is %d", axis)
	case known:
		m = m.With(Computing, Pure, Version(builtinVersion))
	}
	return m
}

func rectangular[T any](rows [][]T) error {
	if len(rows) == 0 {
		return fmt.Errorf("a matrix without rows: %w", ErrEmpty)
	}
	for i, row := range rows {
		if len(row) != len(rows[0]) {
			return &ShapeError{Row: i, Len: len(row), Want: len(rows[0])}
		}
	}
	if len(rows[0]) == 0 {
		return fmt.Errorf("row 0: %w", ErrEmpty)
	}
	return nil
}

// Float is a floating-point number.
type Float interface{ ~float32 | ~float64 }

// Number is what can be added.
type Number interface {
	Float | ~int | ~int8 | ~int16 | ~int32 | ~int64 | ~uint | ~uint8 | ~uint16 | ~uint32 | ~uint64
}

// Mean returns the arithmetic mean, summed in float64.
func Mean[T Float](v []T) (T, error) {
	if len(v) == 0 {
		return 0, ErrEmpty
	}
	sum := 0.0
	for _, x := range v {
		sum += float64(x)
	}
	return T(sum / float64(len(v))), nil
}

// Sum returns the sum of v; of integers it wraps around as Go's addition does.
func Sum[T Number](v []T) (T, error) {
	if len(v) == 0 {
		return 0, ErrEmpty
	}
	var sum T
	for _, x := range v {
		sum += x
	}
	return sum, nil
}

// Max returns the largest value, NaN if there is one.
func Max[T cmp.Ordered](v []T) (m T, err error) {
	if len(v) == 0 {
		return m, ErrEmpty
	}
	m = v[0]
	for _, x := range v[1:] {
		m = max(m, x)
	}
	return m, nil
}

// Min returns the smallest value, NaN if there is one.
func Min[T cmp.Ordered](v []T) (m T, err error) {
	if len(v) == 0 {
		return m, ErrEmpty
	}
	m = v[0]
	for _, x := range v[1:] {
		m = min(m, x)
	}
	return m, nil
}

// Majority returns the most frequent value; of several the one that comes first. NaN equals nothing, so
// it comes out only if there is nothing else.
func Majority[T comparable](v []T) (m T, err error) {
	if len(v) == 0 {
		return m, ErrEmpty
	}
	count := make(map[T]int, len(v))
	for _, x := range v {
		count[x]++
	}
	m = v[0]
	best := count[m]
	for _, x := range v {
		if count[x] > best {
			best, m = count[x], x
		}
	}
	return m, nil
}

// Concat joins slices into a new one.
func Concat[T any](v [][]T) ([]T, error) {
	if len(v) == 0 {
		return nil, ErrEmpty
	}
	n := 0
	for _, part := range v {
		n += len(part)
	}
	out := make([]T, 0, n)
	for _, part := range v {
		out = append(out, part...)
	}
	return out, nil
}
