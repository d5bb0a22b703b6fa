package qemu

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/broker"
)

const nginxPath = "/usr/sbin/nginx"

// nginxWorkers is a command that lists the children of nginx' master: Debian's busybox has no pgrep.
const nginxWorkers = `grep -l "^PPid:.$(cat /run/nginx.pid)$" /proc/[0-9]*/status | cut -d/ -f3`

// nginxConf is a server of two workers without privilege.
const nginxConf = `user www-data; worker_processes 2; error_log /var/log/nginx/error.log info; pid /run/nginx.pid;
events { worker_connections 256; }
http { access_log off; server { listen 80 reuseport; root /www; } }
`

// serveNginx starts the broker and an accelerated nginx with one page in the guest.
func (g *guest) serveNginx(brokerFlags string) {
	g.t.Helper()
	g.run("mkdir -p /www /etc/nginx && cat > /etc/nginx/nginx.conf <<'E'\n" + nginxConf + "E\n")
	g.startBroker(brokerFlags)
	g.run("cd / && SLUICE_LOG=debug sluice run -- " + nginxPath + " -c /etc/nginx/nginx.conf >/run/nginx.log 2>&1 &")
	g.until("nginx to listen", "netstat -ltn | grep -q ':80 '")
}

// client is an HTTP client on the other side of the wire.
func (g *guest) client(keep bool) *http.Client {
	d := net.Dialer{Timeout: bootTime}
	tr := &http.Transport{DisableKeepAlives: !keep, DialContext: func(ctx context.Context, network, addr string) (c net.Conn, err error) {
		err = g.wire.Do(func() error {
			c, err = d.DialContext(ctx, network, addr)
			return err
		})
		return c, err
	}}
	g.t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: bootTime}
}

// page puts random bytes into the guest's server, and returns them.
func (g *guest) page(name string, n int) []byte {
	g.t.Helper()
	random := rand.NewChaCha8([32]byte{1})
	b := make([]byte, n)
	_, _ = random.Read(b)
	for i := range b {
		b[i] = 'a' + b[i]%26
	}
	const piece = 4096
	for at := 0; at < n; at += piece {
		g.run(fmt.Sprintf("printf %%s '%s' >> /www/%s", b[at:min(at+piece, n)], name))
	}
	return b
}

func (g *guest) fetch(c *http.Client, name string) ([]byte, error) {
	r, err := c.Get(fmt.Sprintf("http://%v/%s", guestIP, name))
	if err != nil {
		return nil, err
	}
	defer r.Body.Close()
	return io.ReadAll(r.Body)
}

// status is the guest's broker's. On a machine with other work an answer takes longer than the command waits for it.
func (g *guest) status() (s broker.Status) {
	g.t.Helper()
	g.until("the broker's status", "sluice status >/run/status")
	require.NoError(g.t, json.Unmarshal([]byte(g.run("cat /run/status")), &s))
	return s
}

// accelerated waits until each of so many programs has a queue that packets come to.
func (g *guest) accelerated(programs int) {
	g.t.Helper()
	for end := time.Now().Add(bootTime); ; time.Sleep(time.Second) {
		s, have := g.status(), 0
		for _, n := range s.QueuesByPID() {
			have += min(n, 1)
		}
		if have == programs {
			return
		}
		if time.Now().After(end) {
			g.t.Fatalf("waited %v in vain for queues: %+v", bootTime, s)
		}
	}
}

// accepted is how many connections programs took from their own stack, those of programs that ended among them.
func (g *guest) accepted() (n uint64) {
	g.t.Helper()
	s := g.status()
	for _, l := range s.Leases {
		n += l.Counters["accepted"]
	}
	return n + s.Ended["accepted"]
}

// zeroCopy looks whether the programs' queues are such that the driver reads and writes their memory itself.
func (g *guest) zeroCopy(want bool) {
	g.t.Helper()
	n := 0
	if want {
		n = queues
	}
	require.Equal(g.t, n, g.status().Devices[0].ZeroCopy, "queues with zero-copy")
}

// fetchAll gets the page by that many connections, one after the other.
func (g *guest) fetchAll(n int, want []byte) {
	g.t.Helper()
	for range n {
		got, err := g.fetch(g.client(false), "page")
		require.NoError(g.t, err)
		require.True(g.t, bytes.Equal(want, got), "%d octets of %d", len(got), len(want))
	}
}

// thereAndBack uses one connection before it goes to the kernel, while it is there, and when it has come back.
func (g *guest) thereAndBack(want []byte) {
	g.t.Helper()
	c := g.client(true)
	get := func() {
		g.t.Helper()
		got, err := g.fetch(c, "page")
		require.NoError(g.t, err)
		require.True(g.t, bytes.Equal(want, got), "%d octets of %d", len(got), len(want))
	}
	use := func(accelerated string) {
		g.t.Helper()
		get()
		for flag, n := range map[string]string{"--accelerated": accelerated, "": "1"} {
			require.Equal(g.t, n, strings.TrimSpace(g.run("sluice ss -Hn "+flag+" state established sport = :80 | wc -l")), "connections "+flag)
		}
	}
	use("1")
	move := func(how string) {
		for pid := range g.status().QueuesByPID() {
			g.t.Log(strings.TrimSpace(g.run(fmt.Sprintf("sluice %s %d", how, pid))))
		}
	}
	move("detach")
	use("0")
	move("attach")
	get() // by the kernel again if its packets come by the other worker's queue
	c.CloseIdleConnections()
}

// nginx serves by its own stack on a kernel that is not this machine's, before and after a reload and a worker's death: octets are right, and
// the counters say that they did not come from the kernel's TCP.
func TestNginxInAGuest(t *testing.T) {
	kernelsOf(t, func(t *testing.T, k kernel) {
		g := boot(t, k, machine{programs: []string{nginxPath}})
		t.Logf("guest: %s", g.run("uname -rv; cat /sys/kernel/security/lsm"))
		g.serveNginx("")
		want := g.page("page", 20000)
		const each = 20
		g.accelerated(queues)
		g.zeroCopy(k.zeroCopy(t))
		g.fetchAll(each, want)
		require.EqualValues(t, each, g.accepted())

		g.thereAndBack(want)

		old := g.run(nginxWorkers)
		g.run("kill -HUP $(cat /run/nginx.pid)")
		for _, pid := range strings.Fields(old) {
			g.until("the old workers to end", "! kill -0 "+pid)
		}
		g.accelerated(queues)
		g.fetchAll(each, want)
		require.EqualValues(t, 2*each+1, g.accepted())

		g.run("kill -9 $(" + nginxWorkers + " | head -1)")
		g.accelerated(queues)
		g.fetchAll(each, want)
		require.EqualValues(t, 3*each+1, g.accepted())
		g.zeroCopy(k.zeroCopy(t))
		t.Log(g.run("sluice doctor || true; ls /sys/fs/bpf"))
	})
}
