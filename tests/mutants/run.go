package main

import (
	"context"
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
	list      []*mutant
	packages  []string
	ids       map[*mutant]int
	end       time.Time
	takes     map[string]time.Duration // by package: how long its tests take without a mistake

	mu               sync.Mutex
	caught           map[string]int // by package
	equivalent       int
	survived, broken []string
}

// build makes the test binaries with all mistakes in them, and checks that they pass while none is switched on.
func (r *runner) build() error {
	path, ids, err := r.switchable(r.list)
	if err != nil {
		return err
	}
	r.ids = ids
	for _, pkg := range r.packages {
		if err := r.compile(path, pkg, "all"); err != nil {
			return err
		}
		if *keep != "" {
			continue
		}
		began := time.Now()
		switch test, err := r.test("all", pkg, 0); {
		case err != nil:
			return err
		case test != "":
			return fmt.Errorf("without any mistake %s fails in %s", test, pkg)
		}
		r.takes[pkg] = time.Since(began)
	}
	return nil
}

func (r *runner) binary(name, pkg string) string {
	return filepath.Join(r.dir, name+"."+strings.ReplaceAll(pkg, "/", "_")+".test")
}

func (r *runner) compile(overlay, pkg, name string) error {
	out, err := exec.Command("go", "test", "-c", "-overlay", overlay, "-o", r.binary(name, pkg), "./"+pkg).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s does not build: %s", name, out)
	}
	return nil
}

// one switches a mistake on and prints which test notices.
func (r *runner) one(m *mutant) {
	began := time.Now()
	name, id := "all", r.ids[m]
	for _, pkg := range r.packages {
		if id == 0 { // outside of functions
			name = m.name
			if err := r.alone(m, pkg); err != nil {
				r.note(m, func() { r.broken = append(r.broken, err.Error()) }, "broken")
				return
			}
		}
		test, err := r.test(name, pkg, id)
		if err != nil {
			r.note(m, func() { r.broken = append(r.broken, err.Error()) }, "broken")
			return
		}
		if test != "" {
			r.note(m, func() { r.caught[pkg]++ }, fmt.Sprintf("%s %s (%.1f s)", pkg, test, time.Since(began).Seconds()))
			return
		}
	}
	if m.equivalent != "" {
		r.note(m, func() { r.equivalent++ }, "equivalent: "+m.equivalent)
		return
	}
	r.note(m, func() { r.survived = append(r.survived, m.name) }, "SURVIVED: "+m.rule)
}

// alone builds a binary with one mistake.
func (r *runner) alone(m *mutant, pkg string) error {
	b, err := m.apply(r.root)
	if err != nil {
		return err
	}
	o := overlay{map[string]string{}}
	from, err := filepath.Abs(filepath.Join(r.root, m.file))
	if err != nil {
		return err
	}
	o.Replace[from] = filepath.Join(r.dir, m.name+".go")
	if err := os.WriteFile(o.Replace[from], b, 0o600); err != nil {
		return err
	}
	path, err := r.write(m.name, &o)
	if err != nil {
		return err
	}
	return r.compile(path, pkg, m.name)
}

func (r *runner) note(m *mutant, f func(), what string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f()
	fmt.Printf("%-34s %s\n", m.name, what)
}

var failed = regexp.MustCompile(`--- FAIL: (\S+)`)

// limit is how long a package's tests may take. On a machine that is busy with other things they take longer without any mistake, too.
func (r *runner) limit(pkg string) time.Duration {
	if took, ok := r.takes[pkg]; ok {
		return max(*patience, 10*took)
	}
	return 10 * *patience
}

// test is the first of the package's tests that fails with that mistake, "" if none does.
func (r *runner) test(name, pkg string, id int) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), r.limit(pkg))
	defer cancel()
	cmd := exec.CommandContext(ctx, r.binary(name, pkg), "-test.failfast", "-test.short")
	cmd.Dir = filepath.Join(r.root, pkg)
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d", envName, id))
	out, err := cmd.CombinedOutput()
	switch {
	case ctx.Err() != nil:
		return "(never ends)", nil
	case err == nil:
		return "", nil
	}
	if name := failed.FindSubmatch(out); name != nil {
		return string(name[1]), nil
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) && strings.Contains(string(out), "panic:") {
		return "(panic)", nil
	}
	return "", fmt.Errorf("%s: %w: %s", name, err, out)
}
