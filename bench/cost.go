package bench

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

const (
	startTime = "start, us"
	starts    = 100
	passes    = 200_000
)

// passedCalls are those that the program calls makes.
var passedCalls = []string{"read", "write", "recv", "poll", "epoll_wait"}

// passing is what the preload object costs a program that is not selected: at its start, and in each call it lets pass.
func passing() Work {
	w := Work{Name: "not-selected", Title: "a program that is not selected: start of /bin/true (us), and calls that pass through (ns)", Bed: oneQueue}
	for _, fast := range []bool{false, true} {
		name := "plain"
		if fast {
			name = "preloaded"
		}
		w.Variants = append(w.Variants, Variant{Name: name, run: func(s *Session) (*Sample, error) { return passingRun(s, fast) }})
	}
	return w
}

func passingRun(s *Session, fast bool) (*Sample, error) {
	w, err := s.open(nil)
	if err != nil {
		return nil, err
	}
	args := []string{"start", strconv.Itoa(starts)}
	if fast {
		args = append(args, filepath.Join(s.cfg.Bin, "libsluice.so"))
	}
	started, err := s.client.run(s.ctx, command{Program: "calls", Args: args})
	if err != nil {
		return nil, err
	}
	passed, err := s.client.run(s.ctx, command{
		Program: "calls", Args: []string{"pass", strconv.Itoa(passes)}, Fast: fast, Knobs: []string{"SLUICE_LISTEN=none"},
	})
	if err != nil {
		return nil, err
	}
	passed.Usage = passed.Usage.Add(started.Usage)
	sample, err := w.close(passed)
	if err != nil {
		return nil, err
	}
	sample.Figures = map[string]float64{}
	var all []float64
	for _, f := range strings.Fields(string(started.Stdout)) {
		us, err := strconv.ParseFloat(f, 64)
		if err != nil {
			return nil, fmt.Errorf("calls printed %q", f)
		}
		all = append(all, us)
	}
	sample.Figures[startTime] = median(all)
	return sample, readCalls(sample, string(passed.Stdout))
}

func readCalls(sample *Sample, text string) error {
	for line := range strings.Lines(text) {
		var name string
		var ns float64
		if _, err := fmt.Sscan(line, &name, &ns); err != nil || !slices.Contains(passedCalls, name) {
			return fmt.Errorf("calls printed %q", line)
		}
		sample.Figures[name+", ns"] = ns
	}
	return nil
}
