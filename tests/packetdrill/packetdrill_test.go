// Package packetdrill has scripts for packetdrill, by state and feature of TCP: what the peer sends, what the program calls,
// and what must leave the host, and when. Each begins with the sentence it is about. They pass on the running kernel and on
// our stack; docs/packetdrill.md tells how the public ones fare.
package packetdrill

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/testbed/drill"
)

const plugin = "../../build/libsluice_packetdrill.so"

// runners are for our stack and for the kernel; the test is skipped when there is no packetdrill.
func runners(t *testing.T) (ours, kernel *drill.Runner) {
	program, err := drill.Find()
	if err != nil {
		t.Skip(err)
	}
	if os.Geteuid() != 0 {
		t.Skip("packetdrill needs root: each run has a network namespace")
	}
	object, err := filepath.Abs(plugin)
	require.NoError(t, err)
	if _, err := os.Stat(object); err != nil {
		t.Skip("no plug-in: make packetdrill")
	}
	ours = &drill.Runner{Program: program, Plugin: object, Limit: time.Minute}
	kernel = &drill.Runner{Program: program, Limit: time.Minute}
	return ours, kernel
}

func scripts(t *testing.T) []string {
	list, err := drill.Scripts(".")
	require.NoError(t, err)
	require.Greater(t, len(list), 60)
	return list
}

// Our stack does what the scripts say. Time is virtual: a failure is no matter of load.
func TestScripts(t *testing.T) {
	ours, _ := runners(t)
	versions := drill.Versions
	if os.Getenv("PACKETDRILL_KERNEL") == "" {
		versions = versions[:1] // as a part of all tests it should be short
	}
	for _, v := range versions {
		for _, s := range scripts(t) {
			if !v.Fits(s) {
				continue
			}
			t.Run(string(v)+"/"+strings.TrimSuffix(s, ".pkt"), func(t *testing.T) {
				t.Parallel()
				require.NoError(t, ours.Run(t.Context(), s, v))
			})
		}
	}
}

// The running kernel does what the scripts say, too: they are no invention of ours. Real time on a busy machine may be
// late, so that each has three attempts.
func TestScriptsOnTheKernel(t *testing.T) {
	if os.Getenv("PACKETDRILL_KERNEL") == "" {
		t.Skip("PACKETDRILL_KERNEL is not set: make packetdrill-test sets it")
	}
	_, kernel := runners(t)
	for _, s := range scripts(t) {
		v := drill.IPv4
		if !v.Fits(s) {
			v = drill.IPv6
		}
		t.Run(strings.TrimSuffix(s, ".pkt"), func(t *testing.T) {
			var err error
			for range 3 {
				if err = kernel.Run(t.Context(), s, v); err == nil {
					return
				}
			}
			require.NoError(t, err)
		})
	}
}

// Every script says what it is about, before anything else.
func TestScriptsSayWhatTheyAreAbout(t *testing.T) {
	for _, s := range scripts(t) {
		text, err := os.ReadFile(s)
		require.NoError(t, err)
		require.True(t, strings.HasPrefix(string(text), "// "), "%s", s)
		require.Contains(t, string(text), "`./defaults.sh", "%s sets no settings", s)
	}
}

// TestSuite runs the scripts below $PACKETDRILL_SUITE, such as packetdrill's own gtests/net/tcp, against our stack, and with
// PACKETDRILL_KERNEL against the kernel. It judges nothing: it writes a table to $PACKETDRILL_TABLE, or the log.
func TestSuite(t *testing.T) {
	dir := os.Getenv("PACKETDRILL_SUITE")
	if dir == "" {
		t.Skip("PACKETDRILL_SUITE is not set: make packetdrill-suite SUITE=directory")
	}
	ours, kernel := runners(t)
	list, err := drill.Scripts(dir)
	require.NoError(t, err)
	var table, sums strings.Builder
	for _, v := range drill.Versions {
		passed := map[bool]int{}
		for _, s := range list {
			row := map[string]string{"ours": "not run", "kernel": "not run"}
			for name, r := range map[string]*drill.Runner{"ours": ours, "kernel": kernel} {
				if r == kernel && os.Getenv("PACKETDRILL_KERNEL") == "" {
					continue
				}
				if err := r.Run(t.Context(), s, v); err != nil {
					row[name] = firstLine(err.Error())
				} else {
					row[name] = "pass"
					passed[r == ours]++
				}
			}
			rel, _ := filepath.Rel(dir, s)
			fmt.Fprintf(&table, "%s\t%s\tours: %s\tkernel: %s\n", v, rel, row["ours"], row["kernel"])
		}
		fmt.Fprintf(&sums, "%s: ours %d, kernel %d of %d\n", v, passed[true], passed[false], len(list))
	}
	if out := os.Getenv("PACKETDRILL_TABLE"); out != "" {
		require.NoError(t, os.WriteFile(out, []byte(table.String()+sums.String()), 0o644))
	}
	t.Log("\n" + sums.String())
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}
