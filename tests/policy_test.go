// Package tests holds what is true of the whole source: who imports whom, and what no file may do.
package tests

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// parsed is one Go file that is not a test.
type parsed struct {
	path string
	set  *token.FileSet
	file *ast.File
}

// sources parses the Go files below a directory of the repository.
func sources(t *testing.T, dir string) (out []parsed) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join("..", dir), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		set := token.NewFileSet()
		f, err := parser.ParseFile(set, path, nil, parser.SkipObjectResolution)
		out = append(out, parsed{strings.TrimPrefix(path, "../"), set, f})
		return err
	})
	require.NoError(t, err)
	require.NotEmpty(t, out)
	return out
}

func (p *parsed) imports(name string) bool {
	for _, i := range p.file.Imports {
		path := strings.Trim(i.Path.Value, `"`)
		if path == name || strings.HasPrefix(path, name+"/") {
			return true
		}
	}
	return false
}

// The stack runs to completion in its caller's thread and gets time and randomness as arguments: that is what lets
// tests run it in virtual time, and what keeps it out of the program's way.
func TestUstackHasNoClockNoThreadNoChance(t *testing.T) {
	for _, p := range sources(t, "ustack") {
		for _, banned := range []string{"math/rand", "crypto/rand", "sync", "os", "net/http", "syscall", "log", "golang.org/x/sys"} {
			if p.imports(banned) {
				t.Errorf("%s imports %s", p.path, banned)
			}
		}
		ast.Inspect(p.file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt:
				t.Errorf("%s starts a goroutine", p.set.Position(n.Pos()))
			case *ast.SelectorExpr:
				if x, ok := n.X.(*ast.Ident); ok && x.Name == "time" {
					switch n.Sel.Name {
					case "Now", "Since", "Until", "Sleep", "After", "AfterFunc", "NewTimer", "NewTicker", "Tick":
						t.Errorf("%s uses time.%s", p.set.Position(n.Pos()), n.Sel.Name)
					}
				}
			}
			return true
		})
	}
}

// unsafe is quarantined: a reader who looks for memory errors has few files to read.
func TestUnsafeOnlyWhereTheNameSaysSo(t *testing.T) {
	for _, dir := range []string{"efvi", "afxdp", "ustack", "fallback", "broker", "cabi", "knobs", "cmd"} {
		for _, p := range sources(t, dir) {
			base := filepath.Base(p.path)
			quarantine := strings.HasSuffix(base, "_unsafe.go") || strings.HasPrefix(p.path, "cabi/") && strings.HasPrefix(base, "export")
			if p.imports("unsafe") && !quarantine {
				t.Errorf("%s imports unsafe", p.path)
			}
		}
	}
}
