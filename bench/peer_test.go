package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/testbed"
	"github.com/sluice-net/sluice/testbed/bedtest"
)

// The two ends as on two machines: each its own broker, the clients run by a peer that was started by hand.
func TestPeerRunsTheClients(t *testing.T) {
	bin := filepath.Join(built(t), "sluice")
	bed := bedtest.New(t, testbed.Config{Queues: 1})
	peer := exec.Command(bin, "bench", "peer", "--listen", bed.Client.IPv4.String())
	out, err := peer.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, bed.Client.Start(peer))
	defer func() {
		_ = peer.Process.Signal(unix.SIGTERM)
		require.NoError(t, peer.Wait(), "the peer ends by itself, and cleanly")
	}()
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	token := regexp.MustCompile(`--token (\S+)`).FindStringSubmatch(line)
	require.NotNil(t, token, line)

	dir := t.TempDir()
	text, err := bed.Server.Run(bin, "bench", "--device", bed.Server.Device, "--peer", bed.Client.IPv4.String(), "--token", token[1],
		"--only", "connect-close,bulk-9000", "--rounds", "1", "--seconds", "0.4", "--out", dir)
	require.NoError(t, err, text)
	var rep Report
	data, err := os.ReadFile(filepath.Join(dir, jsonName))
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(data, &rep))
	require.Equal(t, "only on the testbed", rep.work("bulk-9000").LeftOut)
	for i, path := range []Path{Kernel, Server, Both} {
		requireOnPath(t, rep.work("connect-close").Variants[i], path)
	}
}

// A peer answers nobody without the token, and runs nothing but the benchmark's programs.
func TestPeerRefuses(t *testing.T) {
	h := &local{bin: t.TempDir(), dir: t.TempDir(), cores: "0"}
	srv := httptest.NewServer(guarded("secret", routes(h)))
	defer srv.Close()
	at := netip.MustParseAddrPort(srv.Listener.Addr().String())
	ctx := context.Background()

	stranger := &remote{at: at, token: "guess"}
	_, err := stranger.run(ctx, command{Program: "pingpong"})
	require.ErrorContains(t, err, "token")
	resp, err := http.Get(srv.URL + "/about")
	require.NoError(t, err)
	resp.Body.Close()
	require.Equal(t, http.StatusForbidden, resp.StatusCode)

	friend := &remote{at: at, token: "secret"}
	for _, program := range []string{"sh", "/bin/sh", "", "../sh"} {
		_, err = friend.run(ctx, command{Program: program, Args: []string{"-c", "true"}})
		require.ErrorContains(t, err, "no program of the benchmark", program)
	}
}

func TestEndpoints(t *testing.T) {
	at, err := endpointOf("192.0.2.1")
	require.NoError(t, err)
	require.Equal(t, "192.0.2.1:7077", at.String())
	at, err = endpointOf("192.0.2.1:80")
	require.NoError(t, err)
	require.Equal(t, "192.0.2.1:80", at.String())
	_, err = endpointOf("host")
	require.Error(t, err)
}
