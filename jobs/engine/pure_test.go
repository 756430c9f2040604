package engine_test

import (
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// purePackages compute and do nothing else: no I/O, no clock, no goroutine, no log.
var purePackages = []string{"tend/jobs", "tend/jobs/event", "tend/jobs/environ", "tend/jobs/engine"}

// pureImports is all that they may import of the standard library. Package time is
// for Duration, syscall for Signal; what else these have is caught below.
var pureImports = []string{
	"errors", "maps", "slices", "sort", "strconv", "strings", "syscall", "time",
}

func TestImportsArePure(t *testing.T) {
	for _, pkg := range purePackages {
		out, err := exec.Command("go", "list", "-f", `{{join .Imports "\n"}}`, pkg).Output()
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range strings.Fields(string(out)) {
			if !slices.Contains(purePackages, path) && !slices.Contains(pureImports, path) {
				t.Errorf("%s imports %s", pkg, path)
			}
		}
	}
	// What the machine is made of in the end: nothing of ours but these.
	out, err := exec.Command("go", "list", "-deps", "tend/jobs/engine").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range strings.Fields(string(out)) {
		if strings.HasPrefix(path, "tend/") && !slices.Contains(purePackages, path) {
			t.Errorf("tend/jobs/engine depends on %s", path)
		}
		switch path {
		case "os", "fmt", "net", "context", "log", "math/rand", "math/rand/v2":
			t.Errorf("tend/jobs/engine depends on %s", path)
		}
	}
}

// TestSourceIsPure looks for what an import does not show: a go statement, a range
// over a map, or its keys in a function that sorts nothing, the clock, a system call.
func TestSourceIsPure(t *testing.T) {
	for _, pkg := range purePackages {
		dir := filepath.Join("..", "..", strings.TrimPrefix(pkg, "tend/"))
		checkPurity(t, dir)
	}
}

func checkPurity(t *testing.T, dir string) {
	t.Helper()
	fset := token.NewFileSet()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var files []*ast.File
	for _, e := range entries {
		if name := e.Name(); strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go") {
			f, err := parser.ParseFile(fset, filepath.Join(dir, name), nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, f)
		}
	}
	info := &types.Info{Types: map[ast.Expr]types.TypeAndValue{}, Uses: map[*ast.Ident]types.Object{}}
	conf := types.Config{Importer: importer.ForCompiler(fset, "source", nil)}
	if _, err := conf.Check(dir, fset, files, info); err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt, *ast.SelectStmt, *ast.SendStmt:
				t.Errorf("%s: concurrency", fset.Position(n.Pos()))
			case *ast.RangeStmt:
				switch info.Types[n.X].Type.Underlying().(type) {
				case *types.Map:
					t.Errorf("%s: range over a map", fset.Position(n.Pos()))
				case *types.Chan:
					t.Errorf("%s: range over a channel", fset.Position(n.Pos()))
				}
			case *ast.SelectorExpr:
				if p, name := function(info, n); p == "time" || p == "syscall" || p == "iter" {
					t.Errorf("%s: calls %s.%s", fset.Position(n.Pos()), p, name)
				}
			case *ast.FuncDecl:
				keys, sorts := token.NoPos, false
				ast.Inspect(n, func(n ast.Node) bool {
					if n, ok := n.(*ast.SelectorExpr); ok {
						p, name := function(info, n)
						if p == "maps" {
							keys = n.Pos()
						}
						sorts = sorts || p == "sort" || p == "slices" && strings.HasPrefix(name, "Sort")
					}
					return true
				})
				if keys.IsValid() && !sorts {
					t.Errorf("%s: walks over a map", fset.Position(keys))
				}
			case *ast.Ident:
				if b, ok := info.Uses[n].(*types.Builtin); ok && strings.HasPrefix(b.Name(), "print") {
					t.Errorf("%s: prints", fset.Position(n.Pos()))
				}
			}
			return true
		})
	}
}

// function returns the package and the name of a function, no method, that an
// expression names.
func function(info *types.Info, n *ast.SelectorExpr) (pkg, name string) {
	fn, ok := info.Uses[n.Sel].(*types.Func)
	if !ok || fn.Pkg() == nil || fn.Type().(*types.Signature).Recv() != nil {
		return "", ""
	}
	return fn.Pkg().Path(), fn.Name()
}
