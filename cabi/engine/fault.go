package engine

import (
	"fmt"
	"runtime"
	"strings"
)

// fault ends the engine after a panic: what it held is lost, the program goes on by the kernel.
func (e *Engine) fault(r any) {
	e.sh.Panics++
	e.sh.Dead.Store(1)
	e.sh.note(levelError, fmt.Sprintf("internal fault, the kernel takes over: %v at %s", r, where()))
	for h := range e.tab.objects {
		if e.tab.objects[h].open {
			e.moved(int32(h), -1)
		}
	}
	e.sh.Deadline.Store(0)
	// The broker sees the channel close, resets the peers and steers packets away.
	e.hangUp()
}

// where is the innermost functions that the panic passed.
func where() string {
	var pc [24]uintptr
	frames := runtime.CallersFrames(pc[:runtime.Callers(2, pc[:])])
	var at []string
	for len(at) < 4 {
		f, more := frames.Next()
		if strings.Contains(f.Function, "sluice") && !strings.Contains(f.Function, "fault") && !strings.HasSuffix(f.Function, "where") {
			at = append(at, fmt.Sprintf("%s:%d", f.Function[strings.LastIndexByte(f.Function, '/')+1:], f.Line))
		}
		if !more {
			break
		}
	}
	return strings.Join(at, " < ")
}
