package main

import (
	"fmt"
	"io"
	"slices"
	"sync"
)

// logger writes a line for each event up to a level.
type logger struct {
	mu    sync.Mutex
	out   io.Writer
	level int
}

var levels = []string{"off", "error", "info", "debug"}

func newLogger(out io.Writer, level string) *logger {
	return &logger{out: out, level: slices.Index(levels, level)}
}

func (l *logger) Errorf(format string, args ...any) { l.print(1, format, args) }
func (l *logger) Infof(format string, args ...any)  { l.print(2, format, args) }
func (l *logger) Debugf(format string, args ...any) { l.print(3, format, args) }

func (l *logger) print(level int, format string, args []any) {
	if level > l.level {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintf(l.out, "sluice "+format+"\n", args...)
}
