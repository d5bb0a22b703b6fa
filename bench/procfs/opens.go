package procfs

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// Opens are the connections that the kernel's TCP opened (RFC 4022: tcpActiveOpens, tcpPassiveOpens).
type Opens struct{ Active, Passive uint64 }

// KernelOpens reads them in the calling thread's network namespace.
func KernelOpens() (Opens, error) {
	text, err := os.ReadFile("/proc/thread-self/net/snmp")
	if err != nil {
		return Opens{}, err
	}
	return parseSNMP(string(text))
}

// parseSNMP looks for two lines that begin with "Tcp:", one of names and one of values.
func parseSNMP(text string) (o Opens, err error) {
	var names []string
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) == 0 || f[0] != "Tcp:" {
			continue
		}
		if names == nil {
			names = f
			continue
		}
		found := 0
		for i := range min(len(names), len(f)) {
			n, _ := strconv.ParseUint(f[i], 10, 64)
			switch names[i] {
			case "ActiveOpens":
				o.Active = n
				found++
			case "PassiveOpens":
				o.Passive = n
				found++
			}
		}
		if found == 2 {
			return o, nil
		}
	}
	return Opens{}, fmt.Errorf("/proc/net/snmp has no Tcp ActiveOpens and PassiveOpens")
}
