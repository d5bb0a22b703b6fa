package main

import (
	"go/parser"
	"go/token"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestEveryMutantAppliesAndCompiles: a record whose text is gone, or whose new text is no Go, would plant nothing.
func TestEveryMutantAppliesAndCompiles(t *testing.T) {
	list, err := parse(text)
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(list), 60)
	names := map[string]bool{}
	for _, m := range list {
		require.False(t, names[m.name], "two are called %s", m.name)
		names[m.name] = true
		require.NotEmpty(t, m.rule, m.name)
	}
	r := runner{root: "../..", dir: t.TempDir(), list: list}
	path, ids, err := r.switchable(list)
	require.NoError(t, err)
	require.Empty(t, r.broken)
	cmd := exec.Command("go", "build", "-overlay", path, "./ustack/...")
	cmd.Dir = r.root
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	for i, m := range list {
		if ids[m] != 0 {
			require.Equal(t, i+1, ids[m])
			continue
		}
		b, err := m.apply(r.root) // in a constant
		require.NoError(t, err)
		_, err = parser.ParseFile(token.NewFileSet(), m.file, b, 0)
		require.NoError(t, err, m.name)
	}
}

// TestSlices: each mutant is in one slice.
func TestSlices(t *testing.T) {
	list, err := parse(text)
	require.NoError(t, err)
	seen := map[*mutant]bool{}
	for _, s := range []string{"1/3", "2/3", "3/3"} {
		some, err := part(list, s)
		require.NoError(t, err)
		for _, m := range some {
			require.False(t, seen[m], "%s is in two", m.name)
			seen[m] = true
		}
	}
	require.Len(t, seen, len(list))
	for _, bad := range []string{"", "1", "0/3", "4/3", "a/b"} {
		_, err := part(list, bad)
		require.Error(t, err, bad)
	}
}

// TestDispatcher: the function that chooses keeps receiver, parameters and results, with names where they have none.
func TestDispatcher(t *testing.T) {
	src := []byte("package p\n\nfunc (*T) f(_ int, _ string, rest ...byte) (n int, err error) { return 1, nil }\n\nfunc g(a, b int) {}\n")
	all, pkg, err := functions("p.go", src)
	require.NoError(t, err)
	require.Equal(t, "p", pkg)
	require.Equal(t, `func (it *T) f(arg1 int, arg2 string, rest ...byte) (n int, err error) {
switch planted {
case 7:
return it.f_7(arg1, arg2, rest...)
}
return it.f_right(arg1, arg2, rest...)
}
`, all["(*T)f"].dispatcher([]int{7}))
	require.Equal(t, "func g(a, b int) {\nswitch planted {\ncase 1:\ng_1(a, b)\nreturn\n}\ng_right(a, b)\nreturn\n}\n", all["g"].dispatcher([]int{1}))
}
