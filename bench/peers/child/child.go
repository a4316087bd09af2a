// Package child talks with programs that measure other libraries on request.
package child

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"

	"github.com/maida-ai/gomai/bench"
)

// Child is a process that measures on request. Requests are lines on its stdin, answers lines on its stdout:
//
//	open ARGUMENTS...   and the data behind the line    ->  ok CODE
//	time CASE CALLS     CASE counts opened ones from 0  ->  ok NANOSECONDS of a call
//	result CASE                                         ->  ok NUMBERS...
//
// Whatever fails is answered with "error TEXT".
type Child struct {
	Cases   int // that were opened
	process *exec.Cmd
	in      io.WriteCloser
	out     *bufio.Reader
}

// Start starts a program that a setup.sh has made, with some variables in its environment.
func Start(program string, arguments []string, env ...string) (*Child, error) {
	if _, err := os.Stat(program); err != nil {
		return nil, fmt.Errorf("%w: run setup.sh first", err)
	}
	c := &Child{process: exec.Command(program, arguments...)}
	c.process.Env = append(os.Environ(), env...)
	c.process.Stderr = os.Stderr
	in, err := c.process.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := c.process.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c.in, c.out = in, bufio.NewReader(out)
	return c, c.process.Start()
}

// Stop lets the child end.
func (c *Child) Stop() error {
	c.in.Close()
	return c.process.Wait()
}

// ask sends a request, with data behind it, and returns the answer.
func (c *Child) ask(data []byte, request ...any) (string, error) {
	line := strings.TrimSuffix(fmt.Sprintln(request...), "\n")
	if _, err := io.Copy(c.in, io.MultiReader(strings.NewReader(line+"\n"), bytes.NewReader(data))); err != nil {
		return "", fmt.Errorf("%s: %w", line, err)
	}
	answer, err := c.out.ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("%s: %w", line, err)
	}
	verdict, text, _ := strings.Cut(strings.TrimSuffix(answer, "\n"), " ")
	if verdict != "ok" {
		return "", fmt.Errorf("%s: %s", line, text)
	}
	return text, nil
}

// Open makes k a case of the child's library, which rounds of calls measure. If the library does not
// have it, it is absent.
func (c *Child) Open(k bench.Case, calls int, data []byte, arguments ...any) bench.Case {
	code, err := c.ask(data, append([]any{"open"}, arguments...)...)
	if err != nil {
		k.Absent = "not to be had here"
		fmt.Fprintf(os.Stderr, "%s: %v\n", k.Name, err)
		return k
	}
	number := c.Cases
	c.Cases++
	k.Code = code
	k.Open = func() (bench.Round, func(), error) {
		return func(sample func(float64)) error {
			text, err := c.ask(nil, "time", number, calls)
			if err != nil {
				return err
			}
			ns, err := strconv.ParseFloat(text, 64)
			sample(ns)
			return err
		}, nil, nil
	}
	return k
}

// Result returns what a case computes, counted from 0 in the order in which they were opened.
func (c *Child) Result(number int) ([]float64, error) {
	text, err := c.ask(nil, "result", number)
	if err != nil {
		return nil, err
	}
	var numbers []float64
	for _, word := range strings.Fields(text) {
		v, err := strconv.ParseFloat(word, 64)
		if err != nil {
			return nil, err
		}
		numbers = append(numbers, v)
	}
	return numbers, nil
}

// Result32 is Result in float32.
func (c *Child) Result32(number int) ([]float32, error) {
	wide, err := c.Result(number)
	numbers := make([]float32, len(wide))
	for i, v := range wide {
		numbers[i] = float32(v)
	}
	return numbers, err
}

// Raw is the memory of slices one after the other.
func Raw(slices ...any) []byte {
	var b bytes.Buffer
	for _, s := range slices {
		binary.Write(&b, binary.NativeEndian, s)
	}
	return b.Bytes()
}
