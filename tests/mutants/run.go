package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"
)

// runner runs mutants and counts what became of them.
type runner struct {
	root, dir string
	end       time.Time

	mu               sync.Mutex
	caught           int
	equivalent       int
	by               map[string]int // caught, by package
	survived, broken []string
}

// one plants a mistake and prints which test notices.
func (r *runner) one(m *mutant) {
	overlay, err := r.overlay(m)
	if err != nil {
		r.note(m, func() { r.broken = append(r.broken, err.Error()) }, "broken")
		return
	}
	began := time.Now()
	for _, pkg := range strings.Split(*by, ",") {
		test, err := r.test(m, overlay, pkg)
		if err != nil {
			r.note(m, func() { r.broken = append(r.broken, err.Error()) }, "broken")
			return
		}
		if test == "" {
			continue
		}
		r.note(m, func() {
			r.caught++
			if r.by == nil {
				r.by = map[string]int{}
			}
			r.by[pkg]++
		}, fmt.Sprintf("caught by %s %s (%.0f s)", pkg, test, time.Since(began).Seconds()))
		return
	}
	if m.equivalent != "" {
		r.note(m, func() { r.equivalent++ }, "equivalent: "+m.equivalent)
		return
	}
	r.note(m, func() { r.survived = append(r.survived, m.name) }, "SURVIVED: "+m.rule)
}

func (r *runner) note(m *mutant, f func(), what string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f()
	fmt.Printf("%-34s %s\n", m.name, what)
}

// overlay writes the changed file and go's description of it.
func (r *runner) overlay(m *mutant) (string, error) {
	b, err := m.apply(r.root)
	if err != nil {
		return "", err
	}
	changed := filepath.Join(r.dir, m.name+".go")
	if err := os.WriteFile(changed, b, 0o600); err != nil {
		return "", err
	}
	from, err := filepath.Abs(filepath.Join(r.root, m.file))
	if err != nil {
		return "", err
	}
	j, err := json.Marshal(map[string]map[string]string{"Replace": {from: changed}})
	if err != nil {
		return "", err
	}
	path := filepath.Join(r.dir, m.name+".json")
	return path, os.WriteFile(path, j, 0o600)
}

var failed = regexp.MustCompile(`--- FAIL: (\S+)`)

// test is the first of the package's tests that fails, "" if none does.
func (r *runner) test(m *mutant, overlay, pkg string) (string, error) {
	bin := filepath.Join(r.dir, m.name+".test")
	defer os.Remove(bin)
	if out, err := exec.Command("go", "test", "-c", "-overlay", overlay, "-o", bin, "./"+pkg).CombinedOutput(); err != nil {
		return "", fmt.Errorf("%s does not build: %s", m.name, out)
	}
	ctx, cancel := context.WithTimeout(context.Background(), *patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, bin, "-test.failfast", "-test.short")
	cmd.Dir = filepath.Join(r.root, pkg)
	out, err := cmd.CombinedOutput()
	switch {
	case ctx.Err() != nil:
		return "by never ending", nil
	case err == nil:
		return "", nil
	}
	// The deepest name is the test itself; those of its parents follow.
	if name := failed.FindSubmatch(out); name != nil {
		return string(name[1]), nil
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) && strings.Contains(string(out), "panic:") {
		return "by a panic", nil
	}
	return "", fmt.Errorf("%s: %w: %s", m.name, err, out)
}
