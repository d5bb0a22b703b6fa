package bedtest

import (
	"io"
	"net"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/testbed"
)

// Echo starts a server at the node's IPv4 address that sends back what comes until the other side has had enough, and returns its port.
func Echo(t *testing.T, node *testbed.Node) int {
	t.Helper()
	return Serve(t, node, func(c net.Conn) { _, _ = io.Copy(c, c) })
}

// Serve starts a server at the node's IPv4 address that does as each says with each connection, and closes it then. It returns its port.
func Serve(t *testing.T, node *testbed.Node, each func(net.Conn)) int {
	t.Helper()
	var l net.Listener
	require.NoError(t, node.Do(func() (err error) {
		l, err = net.Listen("tcp4", node.IPv4.String()+":0")
		return err
	}))
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				each(c)
				_ = c.Close()
			}()
		}
	}()
	return l.Addr().(*net.TCPAddr).Port
}
