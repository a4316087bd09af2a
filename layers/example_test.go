package layers_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/maida-ai/gomai/kernel"
	"github.com/maida-ai/gomai/layers"
)

func ExampleEngine_Start() {
	double, err := layers.Compile(layers.Plain("double", func(n int) (int, error) { return 2 * n, nil }))
	if err != nil {
		panic(err)
	}
	ctx := context.Background()
	first, second := double.Start(ctx, 1), double.Start(ctx, 2) // they run while we do something else
	a, err := first.Wait(ctx)
	fmt.Println(a, err)
	b, err := second.Wait(ctx)
	fmt.Println(b, err)
	_, err = second.Wait(ctx)
	fmt.Println(errors.Is(err, layers.ErrDone))
	// Output:
	// 2 <nil>
	// 4 <nil>
	// true
}

func ExampleRetry() {
	errBusy := errors.New("busy")
	ask := layers.Func("ask", func(ctx context.Context, who string) (string, error) {
		if n := kernel.RetryCount(ctx); n < 2 {
			return "", errBusy
		}
		return "hello " + who, nil
	}).With(layers.Timeout(time.Second)) // of each attempt
	again, err := layers.Compile(layers.Retry(ask, layers.RetryPolicy{
		Max:  5,
		Base: time.Millisecond, // then 2, 4, ...
		Cap:  10 * time.Millisecond,
		When: func(err error) bool { return errors.Is(err, errBusy) },
	}))
	if err != nil {
		panic(err)
	}
	fmt.Println(again.Call(context.Background(), "world", layers.Timeout(time.Minute))) // of all
	// Output: hello world <nil>
}
