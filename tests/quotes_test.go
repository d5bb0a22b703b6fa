package tests

import (
	"bufio"
	"fmt"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A quote is what stands in quotation marks right before "RFC n" in a comment: "..." RFC 5681 §3.1.
var (
	fromRFC = regexp.MustCompile(`"([^"]{8,})"\s*\(?RFC (\d+)`)
	left    = regexp.MustCompile(`\[[^\]]*\]`) // [...], [what is meant]
	tokens  = regexp.MustCompile(`[A-Za-z0-9_]+|[<>=+*/%&|!^-]+`)
	page    = regexp.MustCompile(`\n*[^\n]*\[Page \d+\]\n\f?\n*(RFC \d+[^\n]*\n)?\n*`)
	hyphen  = regexp.MustCompile(`([A-Za-z])-\s*\n\s+([A-Za-z])`)
	refs    = regexp.MustCompile(`\[?\((MUST|SHLD|MAY|REC)-\d+\)\]?|\[[A-Z][A-Za-z]*\d{2,4}\]`)
	bullets = regexp.MustCompile(`(?m)^\s*([-+*o|]|\d+\.|\(\d+\)|\d\)|/\*)\s+`)
)

const quotesTable = "testdata/quotes.txt"

// TestQuotesAreInTheTable: each sentence quoted from an RFC stands in the table, which was held against the RFCs' texts; what
// is quoted from memory fails. With SLT_RFC=directory of rfcN.txt (Debian's doc-rfc packages have most) the test compares
// all of them with the texts that are there, word by word, and writes the table anew.
func TestQuotesAreInTheTable(t *testing.T) {
	found := quotes(t, "../ustack")
	require.Greater(t, len(found), 100)
	if dir := os.Getenv("SLT_RFC"); dir != "" {
		compareQuotes(t, dir, found)
		return
	}
	f, err := os.Open(quotesTable)
	require.NoError(t, err)
	defer f.Close()
	table := map[string]bool{}
	for s := bufio.NewScanner(f); s.Scan(); {
		table[s.Text()] = true
	}
	for q, at := range found {
		require.True(t, table[q], "%s: %s: not in %s: see this test", at, q, quotesTable)
		delete(table, q)
	}
	require.Empty(t, table, "nobody quotes that any more")
}

// quotes finds them below dir, as "RFC n<tab>quote", and says where.
func quotes(t *testing.T, dir string) map[string]string {
	found := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") {
			return err
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, path, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, c := range file.Comments {
			for _, m := range fromRFC.FindAllStringSubmatch(strings.Join(strings.Fields(c.Text()), " "), -1) {
				found["RFC "+m[2]+"\t"+m[1]] = fmt.Sprint(set.Position(c.Pos()))
			}
		}
		return nil
	})
	require.NoError(t, err)
	return found
}

// words are what counts of a text: neither layout nor punctuation.
func words(s string) string { return " " + strings.Join(tokens.FindAllString(s, -1), " ") + " " }

func compareQuotes(t *testing.T, dir string, found map[string]string) {
	texts := map[string][2]string{} // with bullets, and without
	for _, q := range slices.Sorted(maps.Keys(found)) {
		rfc, text, _ := strings.Cut(q, "\t")
		if _, ok := texts[rfc]; !ok {
			b, err := os.ReadFile(filepath.Join(dir, strings.ToLower(strings.ReplaceAll(rfc, " ", ""))+".txt"))
			if err != nil {
				t.Logf("%s: %v", rfc, err)
			}
			plain := refs.ReplaceAllString(hyphen.ReplaceAllString(page.ReplaceAllString(string(b), " \n"), "$1-$2"), "")
			texts[rfc] = [2]string{words(plain), words(bullets.ReplaceAllString(plain, ""))}
		}
		for _, part := range left.Split(text, -1) {
			w := words(part)
			if in := texts[rfc]; in[0] != "  " && len(w) > 2 && !contains(in[0], w) && !contains(in[1], w) {
				t.Errorf("%s: not in %s: %s", found[q], rfc, part)
			}
		}
	}
	if !t.Failed() {
		require.NoError(t, os.WriteFile(quotesTable, []byte(strings.Join(slices.Sorted(maps.Keys(found)), "\n")+"\n"), 0o644))
	}
}

// contains also takes a first word whose capital is another.
func contains(text, w string) bool {
	first := w[1:2]
	return strings.Contains(text, w) || strings.Contains(text, " "+strings.ToUpper(first)+w[2:]) || strings.Contains(text, " "+strings.ToLower(first)+w[2:])
}
