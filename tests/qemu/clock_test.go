package qemu

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// steps of the guest's clock, for date(1): a day ahead and two back, beyond 2^31 and 2^32 seconds, to the beginning.
var steps = []string{"@$(($(date +%s) + 86400))", "@$(($(date +%s) - 172800))", "@2147483650", "@4294967300", "@86400"}

// The guest's CLOCK_REALTIME is stepped in the middle of transfers, whose reader stands still meanwhile, so that the window is closed: every octet comes, by
// the same connection and the program's own stack, which afterwards moves connections as before.
func TestClockStepsInAGuest(t *testing.T) {
	kernelsOf(t, func(t *testing.T, k kernel) {
		g := boot(t, k, machine{programs: []string{nginxPath}})
		g.serveNginx("")
		page := g.page("page", 20000)
		const lines = 1000000
		g.run(fmt.Sprintf("seq 1 %d > /www/big", lines))
		var want bytes.Buffer
		for i := range lines {
			fmt.Fprintln(&want, i+1)
		}
		g.accelerated(queues)
		c := g.client(true)
		for _, step := range steps {
			g.stepAmid(c, step, want.Bytes())
		}
		c.CloseIdleConnections()
		require.EqualValues(t, 1, g.accepted(), "one connection, and the engine's")
		g.accelerated(queues)
		g.thereAndBack(page)
		require.EqualValues(t, 2, g.accepted())
	})
}

// stepAmid gets the file, and steps the clock when a part of it has come.
func (g *guest) stepAmid(c *http.Client, step string, want []byte) {
	g.t.Helper()
	r, err := c.Get(fmt.Sprintf("http://%v/big", guestIP))
	require.NoError(g.t, err)
	defer r.Body.Close()
	first := make([]byte, 100_000)
	_, err = io.ReadFull(r.Body, first)
	require.NoError(g.t, err)
	was := strings.TrimSpace(g.run("date +%s; date -s " + step + " >/dev/null; date +%s"))
	rest, err := io.ReadAll(r.Body)
	require.NoError(g.t, err)
	require.True(g.t, bytes.Equal(want, append(first, rest...)), "%d octets of %d", len(first)+len(rest), len(want))
	g.t.Logf("the clock, before and after: %s", strings.ReplaceAll(was, "\n", ", "))
}
