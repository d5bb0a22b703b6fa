package main

import (
	"encoding/json"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const root = "../.."

// TestEveryMutantAppliesAndCompiles: a record whose text is gone, or whose new text is no Go, would plant nothing.
func TestEveryMutantAppliesAndCompiles(t *testing.T) {
	list, err := parse(text)
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(list), 60)
	c := newChecker(t)
	names := map[string]bool{}
	for _, m := range list {
		require.False(t, names[m.name], "two are called %s", m.name)
		names[m.name] = true
		require.NotEmpty(t, m.rule, m.name)
		b, err := m.apply(root)
		if err != nil {
			t.Error(err)
			continue
		}
		if err := c.check(m.file, b); err != nil {
			t.Errorf("%s: %v", m.name, err)
		}
	}
}

// checker compiles packages with one file changed, as far as types.
type checker struct {
	exports map[string]string // of imported packages, by path
	imports types.Importer
	fset    *token.FileSet
	dirs    map[string]map[string]*ast.File // parsed packages, by directory and file
}

func newChecker(t *testing.T) *checker {
	c := &checker{exports: map[string]string{}, fset: token.NewFileSet(), dirs: map[string]map[string]*ast.File{}}
	cmd := exec.Command("go", "list", "-export", "-deps", "-json=ImportPath,Export", "./ustack/...")
	cmd.Dir = root
	out, err := cmd.Output()
	require.NoError(t, err)
	for d := json.NewDecoder(strings.NewReader(string(out))); d.More(); {
		var p struct{ ImportPath, Export string }
		require.NoError(t, d.Decode(&p))
		c.exports[p.ImportPath] = p.Export
	}
	c.imports = importer.ForCompiler(c.fset, "gc", func(path string) (io.ReadCloser, error) { return os.Open(c.exports[path]) })
	return c
}

func (c *checker) check(file string, changed []byte) error {
	dir := filepath.Dir(file)
	if c.dirs[dir] == nil {
		c.dirs[dir] = map[string]*ast.File{}
		paths, err := filepath.Glob(filepath.Join(root, dir, "*.go"))
		if err != nil {
			return err
		}
		for _, p := range paths {
			if strings.HasSuffix(p, "_test.go") {
				continue
			}
			f, err := parser.ParseFile(c.fset, p, nil, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			c.dirs[dir][filepath.Base(p)] = f
		}
	}
	mine, err := parser.ParseFile(c.fset, file, changed, parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	var files []*ast.File
	for name, f := range c.dirs[dir] {
		if name == filepath.Base(file) {
			f = mine
		}
		files = append(files, f)
	}
	conf := types.Config{Importer: c.imports}
	_, err = conf.Check("github.com/sluice-net/sluice/"+dir, c.fset, files, nil)
	return err
}
