package gomai

import (
	"go/parser"
	"go/scanner"
	"go/token"
	"os"
	"path"
	"regexp"
	"strings"
	"testing"
)

// The execution core stays small enough to be read in an afternoon.
const maxCoreLines = 2000

func TestCoreStaysSmall(t *testing.T) {
	lines := 0
	sources(t, func(file string) {
		if within([]string{"kernel", "sched"}, file) {
			src, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			lines += codeLines(src)
		}
	})
	t.Logf("kernel/ and sched/ have %d lines of code", lines)
	if lines > maxCoreLines {
		t.Errorf("kernel/ and sched/ have %d lines of code; the limit is %d", lines, maxCoreLines)
	}
}

// codeLines counts the lines of src that hold more than blanks and comments.
func codeLines(src []byte) int {
	fset := token.NewFileSet()
	file := fset.AddFile("", -1, len(src))
	var s scanner.Scanner
	s.Init(file, src, nil, 0)
	n, last := 0, 0
	for {
		pos, tok, lit := s.Scan()
		if tok == token.EOF {
			return n
		}
		if tok == token.SEMICOLON && lit == "\n" {
			continue // inserted by the scanner
		}
		first := file.Line(pos)
		end := first + strings.Count(lit, "\n") // a raw string
		n += end - max(first-1, last)
		last = end
	}
}

func TestCodeLines(t *testing.T) {
	for src, want := range map[string]int{
		"":                         0,
		"package p\n":              1,
		"// c\n\npackage p // d\n": 1,
		"package p\n\nvar x = `a\n\nb`; /*\n*/\nvar y, z = 1, 2\n": 5,
		"package p; func f() {\n\tg()\n}\n":                        3,
	} {
		if got := codeLines([]byte(src)); got != want {
			t.Errorf("codeLines(%q) = %d, want %d", src, got, want)
		}
	}
}

func TestPackageComments(t *testing.T) {
	doc := map[string]string{}
	sources(t, func(file string) {
		tree, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.PackageClauseOnly|parser.ParseComments)
		if err != nil {
			t.Error(err)
			return
		}
		doc[path.Dir(file)] += tree.Doc.Text()
	})
	for dir, text := range doc {
		if text == "" {
			t.Errorf("package %s has no package comment: say what lives there and what may not", dir)
		}
	}
}

func TestGoVersion(t *testing.T) {
	mod, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	// A higher patch level or a toolchain line would make the go command of a user download another
	// toolchain.
	if !regexp.MustCompile(`(?m)^go 1\.26(\.0)?$`).Match(mod) {
		t.Error("go.mod does not say go 1.26 or go 1.26.0")
	}
	if regexp.MustCompile(`(?m)^toolchain`).Match(mod) {
		t.Error("go.mod has a toolchain line")
	}
}
