package sockets

import (
	"os"
	"strings"
	"sync"
)

var byPort = map[string]string{}

// services reads /etc/services, once: the standard library looks names up, but not numbers.
var services = sync.OnceFunc(func() {
	b, err := os.ReadFile("/etc/services")
	if err != nil {
		return
	}
	for _, line := range strings.Split(string(b), "\n") {
		line, _, _ = strings.Cut(line, "#")
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		if port, ok := strings.CutSuffix(f[1], "/tcp"); ok && byPort[port] == "" {
			byPort[port] = f[0]
		}
	}
})
