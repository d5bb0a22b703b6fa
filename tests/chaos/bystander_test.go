package chaos

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/tests/testrig"
)

// bystander is a connection of the kernel's over the same device, as somebody's ssh: numbers go to an echo server and come back.
type bystander struct {
	conn   net.Conn
	done   chan error
	stop   chan struct{}
	count  uint64
	slowly time.Duration // the longest way there and back
}

func startBystander(t *testing.T, r *testrig.Rig) *bystander {
	const port = 2222
	var l net.Listener
	require.NoError(t, r.Server.Do(func() (err error) {
		l, err = net.Listen("tcp4", fmt.Sprintf("%s:%d", r.Server.IPv4, port))
		return err
	}))
	go func() {
		c, err := l.Accept()
		l.Close()
		if err == nil {
			io.Copy(c, c)
			c.Close()
		}
	}()
	b := &bystander{done: make(chan error, 1), stop: make(chan struct{})}
	require.NoError(t, r.Client.Do(func() (err error) {
		b.conn, err = net.Dial("tcp4", l.Addr().String())
		return err
	}))
	go func() { b.done <- b.run() }()
	return b
}

func (b *bystander) run() error {
	defer b.conn.Close()
	var out, in [8]byte
	for {
		select {
		case <-b.stop:
			return nil
		case <-time.After(time.Millisecond):
		}
		b.count++
		binary.BigEndian.PutUint64(out[:], b.count)
		began := time.Now()
		b.conn.SetDeadline(began.Add(testrig.Patience))
		if _, err := b.conn.Write(out[:]); err != nil {
			return err
		}
		if _, err := io.ReadFull(b.conn, in[:]); err != nil {
			return err
		}
		if in != out {
			return errors.New("another number came back")
		}
		b.slowly = max(b.slowly, time.Since(began))
	}
}

func (b *bystander) end() error {
	close(b.stop)
	return <-b.done
}
