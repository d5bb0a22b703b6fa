package qemu

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A program that gets its socket before it is bound can bind it to no queue, not even its own: only the broker can.
func TestASocketIsTheBrokersToBind(t *testing.T) {
	kernelsOf(t, func(t *testing.T, k kernel) {
		hostile := filepath.Join(t.TempDir(), "hostile")
		out, err := exec.Command("go", "build", "-o", hostile, "./hostile").CombinedOutput()
		require.NoError(t, err, "%s", out)
		g := boot(t, k, machine{files: map[string]string{"/hostile": hostile}})
		if !k.before64(t) {
			t.Skip("this kernel needs no unbound sockets")
		}
		g.startBroker("")
		require.Equal(t, strings.Join([]string{
			"unbound: true",
			"its own queue: operation not permitted",
			"another queue: operation not permitted",
			"another device: operation not permitted",
			"without its mark: operation not permitted",
			"by the broker: true", "",
		}, "\n"), g.run("/hostile"))
		g.run("kill $(pidof sluice)")
		g.until("the broker to end", "! pidof sluice")
		require.Contains(t, g.run("ls /sys/fs/bpf"), "sluice-guard", "sockets may outlive the broker")
	})
}

// Where the kernel has no such guard nobody gets a queue: the program works by the kernel, and says why.
func TestWithoutAGuard(t *testing.T) {
	kernelsOf(t, func(t *testing.T, k kernel) {
		if !k.before64(t) {
			t.Skip("this kernel needs no unbound sockets")
		}
		g := boot(t, k, machine{programs: []string{nginxPath}, append: "lsm=lockdown,yama"})
		g.serveNginx("")
		want := g.page("page", 5000)
		g.until("the reason", "grep -q 'nothing would keep a program from taking others' /var/log/nginx/error.log")
		g.fetchAll(3, want)
		require.Zero(t, g.accepted())
		require.Empty(t, g.run("ls /sys/fs/bpf | grep guard || true"))
	})
}
