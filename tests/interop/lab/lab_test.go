package lab_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/testbed/path"
	"github.com/sluice-net/sluice/tests/interop/lab"
)

func newLab(t *testing.T, cfg lab.Config) *lab.Lab {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root for network namespaces")
	}
	var err error
	cfg.Bin, err = filepath.Abs("../../../build")
	require.NoError(t, err)
	_, err = os.Stat(filepath.Join(cfg.Bin, "transfer"))
	require.NoError(t, err, "run make first")
	l, err := lab.New(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, l.Close()) })
	return l
}

// impaired is a path on which everything happens.
var impaired = path.Link{Delay: time.Millisecond, Loss: 0.01, Reorder: 0.02, Hold: time.Millisecond}

// TestTransfers: what is sent arrives, through the whole chain of a program, the preload object, the engine and AF_XDP,
// with each congestion control, as client and as server, by both versions of IP. "make interop" measures how fast.
func TestTransfers(t *testing.T) {
	l := newLab(t, lab.Config{MTU: 1500})
	l.Path.Set(impaired, impaired, 1)
	for i, congestion := range []string{"cubic", "reno", "bbr"} {
		for j, way := range []struct{ call, send bool }{{false, true}, {true, true}, {false, false}, {true, false}} {
			_, err := l.Transfer(lab.Transfer{Fast: true, Call: way.call, Send: way.send, V6: (i+j)%2 == 1,
				Congestion: congestion, Size: 500_000, Limit: time.Minute})
			require.NoError(t, err, "%s %+v", congestion, way)
		}
	}
}

func TestTransfersOfOtherSizes(t *testing.T) {
	for _, mtu := range []int{576, 9000} {
		l := newLab(t, lab.Config{MTU: mtu})
		link := path.Link{Delay: time.Millisecond, Loss: 0.005}
		l.Path.Set(link, link, 1)
		for _, send := range []bool{true, false} {
			_, err := l.Transfer(lab.Transfer{Fast: true, Send: send, V6: mtu > 1280, Congestion: "cubic", Size: 500_000, Limit: time.Minute})
			require.NoError(t, err, "MTU %d, we send: %v", mtu, send)
		}
	}
}
