package main

import (
	"bufio"
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

//go:embed mutants.txt
var text string

// mutant is one planted mistake.
type mutant struct {
	name, rule string
	file       string // from the top of the tree
	old, new   string
	equivalent string // why no test can tell it from the stack
}

// parse reads the list; its head says how it is written.
func parse(text string) (list []*mutant, err error) {
	var m *mutant
	var old, new []string
	line := 0
	for s := bufio.NewScanner(strings.NewReader(text)); s.Scan(); {
		line++
		t := s.Text()
		switch {
		case line < 10 && m == nil && !strings.HasPrefix(t, "= ") || t == "" || t[0] == '#': // the head, a heading
		case strings.HasPrefix(t, "= "):
			if t == "= name" {
				continue
			}
			m = &mutant{name: t[2:]}
			list = append(list, m)
			old, new = nil, nil
		case m == nil:
		case t[0] == '-':
			old = append(old, t[1:])
			m.old = strings.Join(old, "\n")
		case t[0] == '+':
			new = append(new, t[1:])
			m.new = strings.Join(new, "\n")
		case strings.HasPrefix(t, "~ "):
			m.equivalent += t[2:] + " "
		case strings.HasPrefix(t, "  ") && m.rule == "":
			m.rule = t[2:]
		case strings.HasPrefix(t, "  ") && m.file == "":
			m.file = t[2:]
		default:
			return nil, fmt.Errorf("line %d: %q", line, t)
		}
	}
	return list, nil
}

// apply returns the file with the mistake in it.
func (m *mutant) apply(root string) ([]byte, error) {
	b, err := os.ReadFile(filepath.Join(root, m.file))
	if err != nil {
		return nil, err
	}
	switch n := strings.Count(string(b), m.old); {
	case m.old == "" || m.old == m.new:
		return nil, fmt.Errorf("%s changes nothing", m.name)
	case n != 1:
		return nil, fmt.Errorf("%s: its text is %d times in %s", m.name, n, m.file)
	}
	return []byte(strings.Replace(string(b), m.old, m.new, 1)), nil
}
