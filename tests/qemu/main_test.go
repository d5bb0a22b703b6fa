// Package qemu holds tests in a machine of their own: an emulator (QEMU, without hardware's help) boots a kernel that is not this machine's,
// with a virtio network card of several queues whose driver has native XDP. The client is in a namespace of this machine, behind a tap device.
//
//	┌─ slt-c… ─────────────┐   ┌─ guest: Debian 12's Linux 6.1 ────┐
//	│ client   tap0        ╪═══╪ eth0 (virtio-net)   broker, nginx │
//	│          10.78.0.2   │   │ 10.78.0.1                         │
//	└──────────────────────┘   └───────────────────────────────────┘
//
// A scenario boots a guest with the programs it needs and sends it scripts; see guest_test.go. `make test-qemu` runs them.
package qemu

import (
	"os"
	"path/filepath"
	"testing"
)

// kernelsOf runs a scenario with each kernel that is there, or skips it.
func kernelsOf(t *testing.T, scenario func(t *testing.T, k kernel)) {
	dir := os.Getenv("SLT_QEMU")
	if dir == "" {
		t.Skip("make test-qemu runs it")
	}
	found, err := filepath.Glob(filepath.Join(dir, "*", "version"))
	if err != nil || len(found) == 0 {
		t.Fatalf("no kernel below %s: run scripts/qemu (%v)", dir, err)
	}
	for _, version := range found {
		k := kernel{dir: filepath.Dir(version), name: filepath.Base(filepath.Dir(version))}
		t.Run(k.name, func(t *testing.T) { scenario(t, k) })
	}
}
