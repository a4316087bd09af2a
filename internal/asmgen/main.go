// Asmgen writes the assembly of packages simd, quant, cpu and peak. Run it in its folder after changing a generator:
//
//	go run .
//
// Each generator stands in a file named after the one it writes. The tests run all of them and compare
// the result with what is committed.
//
// A function whose name ends in AVXVNNI calls VPDPBUSD on YMM registers and gets its VEX form, as bytes:
// Go's assembler has only the EVEX form, which processors without AVX-512 lack. Functions whose names end
// in AVX2 or AVXVNNI are refused if they need AVX-512. Tile instructions (amx.go) and VDPBF16PS become
// bytes as well.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/pass"
	"github.com/mmcloughlin/avo/printer"
)

// files says which generator writes which file, named from the root of the project.
var files = []struct {
	path     string
	generate func(*build.Context)
}{
	{"internal/cpu/probe_amd64.s", probe},
	{"simd/axpy_amd64.s", axpy},
	{"simd/cosine_amd64.s", cosine},
	{"simd/dot_amd64.s", dot},
	{"simd/epilogue_amd64.s", epilogue},
	{"simd/gemmf32_amd64.s", gemmF32},
	{"simd/gelu_amd64.s", geluForms},
	{"simd/gemmi8_amd64.s", gemmI8},
	{"simd/stripi8_amd64.s", stripI8},
	{"simd/half_amd64.s", half},
	{"simd/doti8_amd64.s", dotI8},
	{"simd/layernorm_amd64.s", layerNorm},
	{"simd/softmax_amd64.s", softmax},
	{"simd/hamming_amd64.s", hamming},
	{"simd/threshold_amd64.s", threshold},
	{"simd/quantize_amd64.s", quantize},
	{"simd/rows_amd64.s", rows},
	{"simd/rowsi8_amd64.s", rowsI8},
	{"internal/peak/peak_amd64.s", peak},
	{"internal/peak/stream_amd64.s", stream},
	{"quant/products_amd64.s", encoderProducts},
	{"quant/attention_amd64.s", attention},
	{"quant/norm_amd64.s", norm},
	{"quant/products256_amd64.s", encoderProducts256},
	{"simd/gemmamx_amd64.s", gemmAMX},
	{"simd/bf16gemm_amd64.s", gemmBF16},
}

func main() {
	for _, f := range files {
		text, err := assemble(f.generate)
		if err == nil {
			err = os.WriteFile(filepath.Join("../..", f.path), text, 0o644)
		}
		if err != nil {
			fmt.Fprintf(os.Stderr, "asmgen: %s: %v\n", f.path, err)
			os.Exit(1)
		}
	}
}

// assemble returns the text of the assembly file that generate describes.
func assemble(generate func(*build.Context)) ([]byte, error) {
	c := build.NewContext()
	c.ConstraintExpr("amd64,!noasm")
	generate(c)
	file, err := c.Result()
	if err != nil {
		return nil, err
	}
	passes := pass.Concat(
		pass.FunctionPass(markAVXVNNI),
		pass.Compile,
		pass.FunctionPass(refuseEVEX),
		pass.FunctionPass(encode),
	)
	if err := passes.Execute(file); err != nil {
		return nil, err
	}
	return printer.NewGoAsm(printer.Config{Name: "asmgen", Argv: []string{"internal/asmgen"}}).Print(file)
}

// function begins a function that needs no stack of its own.
func function(c *build.Context, name, signature string) {
	c.Function(name)
	c.Attributes(attr.NOSPLIT | attr.NOFRAME)
	c.SignatureExpr(signature)
}
