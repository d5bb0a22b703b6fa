package tests

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/knobs"
)

// The preload object's parser in C and the table's in Go take and refuse the
// same values, and both name what they refuse.
func TestBothParsersAgreeOnKnobs(t *testing.T) {
	lib, err := filepath.Abs(filepath.Join(root, "build", "libsluice.so"))
	require.NoError(t, err)
	_, err = os.Stat(lib)
	require.NoError(t, err, "run make first")
	values := map[string][]string{
		"SLUICE":            {"on", "off", "1", "0", "", "yes", "ON"},
		"SLUICE_BROKER":     {"/run/x.sock", "", "relative.sock", "/" + strings.Repeat("x", 106), "/" + strings.Repeat("x", 107)},
		"SLUICE_CONNECT":    {"none", "*:80", "10.0.0.0/8:6379", "0.0.0.0/0:*", "[2001:db8::/32]:80", "192.0.2.9:80-90", "", "80", "10.0.0.0/33:80", "10.0.0.0/8", "2001:db8::/32:80", "10.0.0.0/:80", "10.0.0.0/08:80", "[2001:db8::]/32:80", "[::/0]:1", "[::/129]:1"},
		"SLUICE_CONGESTION": {"host", "cubic", "reno", "bbr", "bbr3", "", "bbr2", "Cubic", "cubic,reno"},
		"SLUICE_DEVICES":    {"all", "eth0", "eth0,eth1", "", "eth0,", "a/b", "averyverylongname", "a b"},
		"SLUICE_FAST":       {"all", "none", "ack", "batch", "peek,cork", "ack,batch,checksum,peek,prefetch,cork", "tso", "recycle", "plain", "plain,peek", "batch,batch", "", "batch,", "none,batch", "Batch", "kick"},
		"SLUICE_LISTEN":     {"*", "none", "80", "8000-8100", "80,443", "192.0.2.1:443", "[2001:db8::1]:443", "192.0.2.1:*", "*:80", "", "0", "65536", "80-", "-80", "90-80", "http", "1.2.3:80", "::1:80", "[::1]", "80,", "[1.2.3.4]:80", "+80", " 80", "080", "1.2.3.04:80", "1.2.3.4:", "[fe80::1%eth0]:80", "99999999999999999999", strings.Repeat("80,", 63) + "80", strings.Repeat("80,", 64) + "80"},
		"SLUICE_LOG":        {"off", "error", "info", "debug", "/dev/null", "", "loud", "relative/path"},
		"SLUICE_SLOW_USEC":  {"0", "100", "1000000", "", "-1", "1000001", "1ms"},
		"SLUICE_SPIN_USEC":  {"0", "20", "1000000", "", "-1", "+1", "1000001", "20us", " 1", "99999999999999999999"},
		"SLUICE_NONSENSE":   {"1", ""},
	}
	for name, list := range values {
		for _, v := range list {
			entry := name + "=" + v
			cmd := exec.Command("/bin/true")
			cmd.Env = []string{"LD_PRELOAD=" + lib, entry}
			said, err := cmd.CombinedOutput()
			require.NoError(t, err, entry)
			if bad := knobs.Validate([]string{entry}); len(bad) > 0 {
				require.Contains(t, string(said), name, "the table refuses %s (%v), the preload object does not", entry, bad[0])
			} else {
				require.Empty(t, string(said), "the table takes %s", entry)
			}
		}
	}
}
