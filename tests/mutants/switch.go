package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// All mistakes are built into one binary, which an environment variable switches: a function with mistakes becomes
//
//	func (c *Conn) rcvFIN(now int64) {
//		switch planted {
//		case 17:
//			c.rcvFIN_17(now)
//			return
//		}
//		c.rcvFIN_right(now)
//	}
//
// with its copies behind it. A mistake outside of functions, in a constant, gets a binary of its own.

// envName names the mistake to a test binary, by number.
const envName = "MUTANT"

// planted is what each changed package has beside: which mistake is on.
const planted = `package %s

import (
	"os"
	"strconv"
)

var planted, _ = strconv.Atoi(os.Getenv("` + envName + `"))
`

// overlay is go's -overlay: what stands in for which file.
type overlay struct{ Replace map[string]string }

// switchable makes an overlay with all mistakes that can be switched, and says which those are, by number.
func (r *runner) switchable(list []*mutant) (path string, ids map[*mutant]int, err error) {
	o := overlay{map[string]string{}}
	ids = map[*mutant]int{}
	files := map[string][]*mutant{}
	for _, m := range list {
		files[m.file] = append(files[m.file], m)
	}
	for file, ms := range files {
		src, err := os.ReadFile(filepath.Join(r.root, file))
		if err != nil {
			return "", nil, err
		}
		out, pkg, err := r.join(file, src, ms, ids)
		if err != nil {
			return "", nil, err
		}
		if err := r.replace(&o, file, out); err != nil {
			return "", nil, err
		}
		if err := r.replace(&o, filepath.Join(filepath.Dir(file), "planted.go"), fmt.Appendf(nil, planted, pkg)); err != nil {
			return "", nil, err
		}
	}
	path, err = r.write("all", &o)
	return path, ids, err
}

// join is the file with all mistakes of it.
func (r *runner) join(file string, src []byte, ms []*mutant, ids map[*mutant]int) (out []byte, pkg string, err error) {
	right, pkg, err := functions(file, src)
	if err != nil {
		return nil, "", err
	}
	copies := map[string]*bytes.Buffer{}
	cases := map[string][]int{}
	for _, m := range ms {
		wrongSrc, err := m.apply(r.root)
		if err != nil {
			r.broken = append(r.broken, err.Error())
			continue
		}
		wrong, _, err := functions(file, wrongSrc)
		if err != nil {
			return nil, "", fmt.Errorf("%s: %w", m.name, err)
		}
		for key, f := range right {
			w, ok := wrong[key]
			if !ok || w.text == f.text {
				continue
			}
			id := slices.Index(r.list, m) + 1
			ids[m] = id
			if copies[key] == nil {
				copies[key] = new(bytes.Buffer)
			}
			copies[key].WriteString("\n" + w.renamed(fmt.Sprintf("%s_%d", w.name, id)) + "\n")
			cases[key] = append(cases[key], id)
		}
	}
	return assemble(src, right, copies, cases), pkg, nil
}

// assemble renames the functions that have mistakes and puts dispatchers and copies behind.
func assemble(src []byte, right map[string]*function, copies map[string]*bytes.Buffer, cases map[string][]int) []byte {
	var keys []string
	for key := range cases {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(a, b string) int { return right[b].nameAt - right[a].nameAt }) // from the end
	out := string(src)
	for _, key := range keys {
		f := right[key]
		out = out[:f.nameAt] + f.name + "_right" + out[f.nameAt+len(f.name):]
	}
	for _, key := range keys {
		out += "\n" + right[key].dispatcher(cases[key]) + copies[key].String()
	}
	return []byte(out)
}

// function is one of a file.
type function struct {
	decl   *ast.FuncDecl
	name   string
	text   string // source, without the comment in front
	nameAt int    // offset in the file
	inText int    // and in text
}

func functions(file string, src []byte) (all map[string]*function, pkg string, err error) {
	set := token.NewFileSet()
	f, err := parser.ParseFile(set, file, src, parser.SkipObjectResolution)
	if err != nil {
		return nil, "", err
	}
	all = map[string]*function{}
	for _, d := range f.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok || fn.Name.Name == "init" {
			continue
		}
		from, to, at := set.Position(fn.Type.Pos()).Offset, set.Position(fn.End()).Offset, set.Position(fn.Name.Pos()).Offset
		g := &function{decl: fn, name: fn.Name.Name, text: string(src[from:to]), nameAt: at, inText: at - from}
		key := g.name
		if fn.Recv != nil {
			key = string(src[set.Position(fn.Recv.Pos()).Offset:set.Position(fn.Recv.End()).Offset]) + key
		}
		all[key] = g
	}
	return all, f.Name.Name, nil
}

func (f *function) renamed(name string) string {
	return f.text[:f.inText] + name + f.text[f.inText+len(f.name):]
}

// dispatcher is the function that calls the one that is switched on.
func (f *function) dispatcher(cases []int) string {
	var args []string
	n := 0
	name := func(id string) string {
		if id == "" || id == "_" {
			n++
			return fmt.Sprintf("arg%d", n)
		}
		return id
	}
	typ := *f.decl.Type
	params := *typ.Params
	params.List = nil
	for _, p := range f.decl.Type.Params.List {
		names := p.Names
		if len(names) == 0 {
			names = []*ast.Ident{{}}
		}
		q := &ast.Field{Type: p.Type}
		for _, id := range names {
			a := name(id.Name)
			q.Names = append(q.Names, ast.NewIdent(a))
			if _, variadic := p.Type.(*ast.Ellipsis); variadic {
				a += "..."
			}
			args = append(args, a)
		}
		params.List = append(params.List, q)
	}
	typ.Params = &params
	on := ""
	decl := &ast.FuncDecl{Name: ast.NewIdent(f.name), Type: &typ}
	if r := f.decl.Recv; r != nil {
		recv := "it"
		if len(r.List[0].Names) > 0 && r.List[0].Names[0].Name != "_" {
			recv = r.List[0].Names[0].Name
		}
		decl.Recv = &ast.FieldList{List: []*ast.Field{{Names: []*ast.Ident{ast.NewIdent(recv)}, Type: r.List[0].Type}}}
		on = recv + "."
	}
	var head bytes.Buffer
	if err := format.Node(&head, token.NewFileSet(), decl); err != nil {
		panic(err)
	}
	call := func(suffix string) string {
		s := on + f.name + suffix + "(" + strings.Join(args, ", ") + ")\n"
		if f.decl.Type.Results != nil {
			return "return " + s
		}
		return s + "return\n"
	}
	body := "switch planted {\n"
	for _, id := range cases {
		body += fmt.Sprintf("case %d:\n%s", id, call(fmt.Sprintf("_%d", id)))
	}
	return head.String() + " {\n" + body + "}\n" + call("_right") + "}\n"
}

// replace puts content in place of a file.
func (r *runner) replace(o *overlay, file string, content []byte) error {
	from, err := filepath.Abs(filepath.Join(r.root, file))
	if err != nil {
		return err
	}
	to := filepath.Join(r.dir, strings.ReplaceAll(file, "/", "_"))
	o.Replace[from] = to
	return os.WriteFile(to, content, 0o600)
}

func (r *runner) write(name string, o *overlay) (string, error) {
	j, err := json.Marshal(o)
	if err != nil {
		return "", err
	}
	path := filepath.Join(r.dir, name+".json")
	return path, os.WriteFile(path, j, 0o600)
}
