package moves

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// peer is the kernel's end of a connection that duplex.c serves.
type peer struct {
	net.Conn
	number    int
	style     string
	sent, got uint64
	stopping  atomic.Bool
	pausing   atomic.Bool
	bad       atomic.Bool
	failing   func() // told before the connection is closed
	pace      paces
	mu        sync.Mutex
	err       error
}

func (c *peer) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		c.err = err
	}
	if c.failing != nil {
		c.failing()
	}
	c.bad.Store(true)
	c.Conn.Close()
}

func (c *peer) failed() bool { return c.bad.Load() }
func (c *peer) stop()        { c.stopping.Store(true) }

// pause ends send for the moment.
func (c *peer) pause(wg *sync.WaitGroup) {
	c.pausing.Store(true)
	wg.Wait()
	c.pausing.Store(false)
}

// stream is duplex.c's.
func stream(b []byte, at, seed uint64) {
	var w [8]byte
	for i := range b {
		if k := (at + uint64(i)) % 8; k == 0 || i == 0 {
			binary.LittleEndian.PutUint64(w[:], ((at+uint64(i))/8+1)*0x9e3779b97f4a7c15+seed*0xbf58476d1ce4e5b9)
		}
		b[i] = w[(at+uint64(i))%8]
	}
}

// patience is how long nothing may come, or be acknowledged.
const patience = 60 * time.Second

func (c *peer) send(wg *sync.WaitGroup) {
	defer wg.Done()
	b := make([]byte, 8192)
	for !c.stopping.Load() && !c.pausing.Load() {
		part := b[:1+c.sent%uint64(len(b))]
		stream(part, c.sent, 1000+uint64(c.number))
		n, err := c.write(part)
		c.sent += uint64(n)
		time.Sleep(pause)
		if err != nil {
			c.fail(fmt.Errorf("write after %d: %w", c.sent, err))
			return
		}
	}
	if c.stopping.Load() {
		_ = c.Conn.(*net.TCPConn).CloseWrite()
	}
}

func (c *peer) receive(wg *sync.WaitGroup) {
	defer wg.Done()
	b, want := make([]byte, 65536), make([]byte, 65536)
	for {
		_ = c.SetReadDeadline(time.Now().Add(patience))
		n, err := c.Read(b)
		stream(want[:n], c.got, uint64(c.number))
		if !bytes.Equal(b[:n], want[:n]) {
			c.fail(fmt.Errorf("other octets than sent, between %d and %d", c.got, c.got+uint64(n)))
			return
		}
		c.got += uint64(n)
		if err == io.EOF {
			return
		}
		if err != nil {
			c.fail(fmt.Errorf("read after %d: %w", c.got, err))
			return
		}
	}
}
