package e2e

import (
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/testbed"
	"github.com/sluice-net/sluice/tests/testrig"
)

// TCP_SAVE_SYN, TCP_SAVED_SYN and TCP_INQ answer as the kernel's do: the same server without and with the preload object.

const savedServer = `
import socket, sys
TCP_SAVE_SYN, TCP_SAVED_SYN, TCP_INQ = 27, 28, 36
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.setsockopt(socket.IPPROTO_TCP, TCP_SAVE_SYN, 1)
s.bind((sys.argv[1], 8080))
s.listen(5)
print("listening", flush=True)
while True:
    c, peer = s.accept()
    syn = c.getsockopt(socket.IPPROTO_TCP, TCP_SAVED_SYN, 200)
    words = [hex(syn[0]), len(syn), socket.inet_ntoa(syn[12:16]) == peer[0], int.from_bytes(syn[20:22], "big") == peer[1]]
    words.append(len(c.getsockopt(socket.IPPROTO_TCP, TCP_SAVED_SYN, 200)))
    c.setsockopt(socket.IPPROTO_TCP, TCP_INQ, 1)
    words.append(c.getsockopt(socket.IPPROTO_TCP, TCP_INQ))
    c.sendall(b"?")
    c.recv(1, socket.MSG_PEEK)
    c.recv(100, socket.MSG_PEEK | socket.MSG_WAITALL)
    for room in (socket.CMSG_SPACE(4), socket.CMSG_LEN(4), 10, 0):
        data, anc, flags, _ = c.recvmsg(10, room)
        words += [len(data), flags, [(a[0], a[1], int.from_bytes(a[2], "little")) for a in anc]]
    c.shutdown(socket.SHUT_WR)
    c.recv(60)
    data, anc, flags, _ = c.recvmsg(10, 100)
    words += [len(data), flags, [int.from_bytes(a[2], "little") for a in anc]]
    print(*words, flush=True)
    c.close()
`

const savedClient = `
import socket, sys
s = socket.create_connection((sys.argv[1], 8080))
s.recv(1)
s.sendall(bytes(100))
s.recv(1)
s.close()
`

func TestSavedSYNAndInq(t *testing.T) {
	r := newRig(t, testbed.Config{})
	addr := r.Server.IPv4.String()
	serve := func(env []string) string {
		s := testrig.Start(t, r.Server, env, "python3", "-c", savedServer, addr)
		t.Cleanup(func() { s.Stop(syscall.SIGKILL) })
		testrig.Until(t, "the server to listen", func() bool { return strings.Contains(s.Output(), "listening") })
		lines := 0
		ask := func() {
			testrig.Run(t, r.Client, "python3", "-c", savedClient, addr)
			lines++
			testrig.Until(t, "the server's line", func() bool { return strings.Count(s.Output(), "\n") > lines })
		}
		ask()
		if env != nil {
			testrig.Until(t, "packets through hidden queues", func() bool {
				before := r.packets()
				ask()
				return r.packets() > before
			})
		}
		s.Stop(syscall.SIGTERM)
		all := strings.Split(strings.TrimSpace(s.Output()), "\n")
		return all[lines]
	}
	kernel := serve(nil)
	require.Contains(t, kernel, "0x45 60 True True 0 1 ")
	ours := serve(append(r.Env(), "SLUICE_LISTEN=8080", "LD_PRELOAD="+testrig.Built(t, "libsluice.so")))
	require.Equal(t, kernel, ours)
}
