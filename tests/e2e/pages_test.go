package e2e

import (
	"crypto/sha256"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/testbed"
	"github.com/sluice-net/sluice/tests/testrig"
)

const (
	bigFile   = 200 << 20
	bigUpload = 100 << 20
)

// curl gets pages and a large file and uploads through a proxy, over both
// families, with kept connections and without.
func TestCurlGetsPagesAndUploads(t *testing.T) {
	r := newRig(t, testbed.Config{})
	x := r.accelerated()
	startRole(t, r.Server, nil, "backend", fmt.Sprintf("127.0.0.1:%d", x.Backend))
	testrig.Until(t, "the backend", func() bool { return strings.Contains(r.listeners(), fmt.Sprintf(":%d ", x.Backend)) })
	big := sum(t, x.file("big", bigFile))
	upload := filepath.Join(r.Dir, "upload")
	require.NoError(t, os.Rename(x.file("upload", bigUpload), upload))
	uploaded := fmt.Sprintf("%d %s", bigUpload, sum(t, upload))
	for _, addr := range []netip.Addr{r.Server.IPv4, r.Server.IPv6} {
		base := "http://" + netip.AddrPortFrom(addr, uint16(x.Port)).String()
		t.Run(family(addr)+" pages", func(t *testing.T) {
			page, err := os.ReadFile(filepath.Join(x.Root(), "index.html"))
			require.NoError(t, err)
			url := base + "/index.html"
			require.Equal(t, string(page), testrig.Run(t, r.Client, "curl", "-sS", "-m", "60", "-H", "Connection: close", url))
			// Three pages over one kept connection.
			kept := testrig.Run(t, r.Client, "curl", "-sS", "-m", "60", "-w", "%{num_connects}\n", "-o", "/dev/null", url, "-o", "/dev/null", url, "-o", "/dev/null", url)
			require.Equal(t, "1\n0\n0\n", kept)
		})
		t.Run(family(addr)+" large file", func(t *testing.T) {
			got := filepath.Join(r.Dir, "got")
			testrig.Run(t, r.Client, "curl", "-sS", "-m", "300", "-o", got, base+"/big")
			require.Equal(t, big, sum(t, got))
		})
		t.Run(family(addr)+" upload", func(t *testing.T) {
			answer := testrig.Run(t, r.Client, "curl", "-sS", "-m", "300", "-T", upload, base+"/up/load")
			require.Equal(t, uploaded, strings.TrimSpace(answer))
		})
	}
	r.requireAccelerated(x)
}

func family(a netip.Addr) string {
	if a.Is4() {
		return "IPv4"
	}
	return "IPv6"
}

func sum(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	return fmt.Sprintf("%x", sha256.Sum256(data))
}
