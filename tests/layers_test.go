package tests

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/sluice-net/sluice/"

// layers says which of our own packages each may import: the table of the README's design notes. A package stands for
// those below it too, unless they have a line of their own. DO NOT CHANGE THE TABLE TO FIX A BUILD: an import that is
// not in it means that code is in the wrong place.
var layers = map[string][]string{
	"efvi":          {"efvi"},
	"efvi/examples": {"afxdp", "efvi"},
	"afxdp":         {"afxdp", "efvi"},
	"ustack/pbuf":   {},
	"ustack/wire":   {},
	"ustack/eth":    {"ustack/wire"},
	"ustack/ip":     {"ustack/wire"},
	"ustack/tcp":    {"ustack/wire", "ustack/pbuf"},
	"ustack/usock":  {"ustack/tcp"},
	"ustack":        {"efvi", "ustack"},
	"fallback":      {"fallback"},
	"knobs":         {},
	"observe":       {"afxdp", "broker", "efvi", "knobs", "observe"},
	"broker":        {"afxdp", "efvi", "fallback", "broker"},
	"testbed":       {"afxdp", "efvi", "testbed"},
	"cabi":          {"afxdp", "efvi", "fallback", "ustack", "cabi", "broker/proto", "knobs"},
	"drill":         {"cabi/engine", "drill", "efvi", "ustack"},
}

func TestImportsRunOneWay(t *testing.T) {
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", module+"...").Output()
	require.NoError(t, err, "go list")
	dec := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var p struct {
			ImportPath string
			Imports    []string
		}
		err := dec.Decode(&p)
		if errors.Is(err, io.EOF) {
			return
		}
		require.NoError(t, err)
		from := strings.TrimPrefix(p.ImportPath, module)
		allowed, ruled := rule(from)
		if !ruled {
			continue
		}
		for _, i := range p.Imports {
			if to, ours := strings.CutPrefix(i, module); ours && !under(to, allowed) {
				t.Errorf("%s imports %s; it may only import %v", from, to, allowed)
			}
		}
	}
}

// rule is the table's line for a package: that of the longest path it lies under.
func rule(pkg string) (allowed []string, ok bool) {
	for p := pkg; p != ""; {
		if a, ok := layers[p]; ok {
			return a, true
		}
		i := strings.LastIndexByte(p, '/')
		if i < 0 {
			break
		}
		p = p[:i]
	}
	return nil, false
}

func under(pkg string, list []string) bool {
	for _, l := range list {
		if pkg == l || strings.HasPrefix(pkg, l+"/") {
			return true
		}
	}
	return false
}
