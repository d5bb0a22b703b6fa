package procfs

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Machine says what the figures were measured on. What the machine does not tell is empty.
type Machine struct {
	CPU        string  `json:"cpu"`
	Cores      int     `json:"cores"`       // that this process may use
	SMT        string  `json:"smt"`         // "on", "off", …: /sys/devices/system/cpu/smt/control
	Governor   string  `json:"governor"`    // of core 0
	MHz        float64 `json:"mhz"`         // of core 0, now
	Hypervisor bool    `json:"hypervisor"`  // it is a virtual machine
	MemoryMiB  int     `json:"memory_mib"`  //
	Kernel     string  `json:"kernel"`      // release
	Clock      string  `json:"clock"`       // clocksource
	Congestion string  `json:"congestion"`  // the kernel's default congestion control
	Load       string  `json:"load"`        // averages over 1, 5 and 15 minutes, when the run began
	Go         string  `json:"go"`          // version this was built with
	Interfere  string  `json:"mitigations"` // of processor faults: the kernel's line for spectre_v2
}

// Look looks at the machine.
func Look() Machine {
	info := read("/proc/cpuinfo")
	m := Machine{
		CPU: field(info, "model name"), Cores: runtime.NumCPU(), Hypervisor: strings.Contains(field(info, "flags")+" ", " hypervisor "),
		SMT:        read("/sys/devices/system/cpu/smt/control"),
		Governor:   read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
		Clock:      read("/sys/devices/system/clocksource/clocksource0/current_clocksource"),
		Congestion: read("/proc/sys/net/ipv4/tcp_congestion_control"),
		Load:       loads(), Go: runtime.Version(),
		Interfere: read("/sys/devices/system/cpu/vulnerabilities/spectre_v2"),
	}
	m.MHz, _ = strconv.ParseFloat(field(info, "cpu MHz"), 64)
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		m.Kernel = string(bytes.TrimRight(u.Release[:], "\x00"))
	}
	kib, _ := strconv.Atoi(strings.TrimSuffix(field(read("/proc/meminfo"), "MemTotal"), " kB"))
	m.MemoryMiB = kib / 1024
	return m
}

// Siblings tells which cores share core's execution units, itself among them.
func Siblings(core int) string {
	return read(filepath.Join("/sys/devices/system/cpu", fmt.Sprintf("cpu%d", core), "topology/thread_siblings_list"))
}

func loads() string {
	f := strings.Fields(read("/proc/loadavg"))
	return strings.Join(f[:min(3, len(f))], " ")
}

func read(path string) string {
	text, _ := os.ReadFile(path)
	return strings.TrimSpace(string(text))
}

// field is the first "name: value" of a text.
func field(text, name string) string {
	for line := range strings.Lines(text) {
		if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == name {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// Cautions are the properties of the machine that make figures worse or less steady than elsewhere.
func (m Machine) Cautions() (all []string) {
	if m.Hypervisor {
		all = append(all, "a virtual machine: its processors are the host's to take away (steal), and interrupts and wake-ups cost more")
	}
	if m.SMT == "on" {
		all = append(all, "SMT is on: processors share cores")
	}
	if m.Governor != "" && m.Governor != "performance" {
		all = append(all, "the frequency follows the load (governor "+m.Governor+")")
	}
	var one float64
	if f := strings.Fields(m.Load); len(f) > 0 {
		one, _ = strconv.ParseFloat(f[0], 64)
	}
	if one > 0.3*float64(m.Cores) {
		all = append(all, "the machine was not idle when the run began: load "+m.Load)
	}
	return all
}
