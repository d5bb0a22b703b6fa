package floods

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-net/sluice/testbed"
)

// clients request a page again and again, two over kept connections and two over a new one each time.
type clients struct {
	node   *testbed.Node
	addr   string
	page   []byte
	stop   chan struct{}
	wg     sync.WaitGroup
	served atomic.Int64
	failed atomic.Int64
	mu     sync.Mutex
	wrong  error
}

func startClients(node *testbed.Node, addr string, page []byte) *clients {
	c := &clients{node: node, addr: addr, page: page, stop: make(chan struct{})}
	for i := range 4 {
		c.wg.Go(func() { c.work(i%2 == 0) })
	}
	return c
}

func (c *clients) end() error {
	close(c.stop)
	c.wg.Wait()
	return c.wrong
}

var errWrong = errors.New("not the page")

func (c *clients) work(keep bool) {
	var conn net.Conn
	var in *bufio.Reader
	for {
		select {
		case <-c.stop:
			if conn != nil {
				conn.Close()
			}
			return
		default:
		}
		var err error
		last := false
		if conn == nil {
			if conn, err = dial(c.node, c.addr); err == nil {
				in = bufio.NewReader(conn)
			}
		}
		if err == nil {
			last, err = c.request(conn, in)
		}
		if err == nil {
			c.served.Add(1)
		} else {
			c.failed.Add(1)
		}
		if errors.Is(err, errWrong) {
			c.mu.Lock()
			c.wrong = err
			c.mu.Unlock()
		}
		if (err != nil || last || !keep) && conn != nil {
			conn.Close()
			conn = nil
		}
	}
}

func dial(node *testbed.Node, addr string) (conn net.Conn, err error) {
	derr := node.Do(func() error {
		conn, err = net.DialTimeout("tcp4", addr, time.Second)
		return err
	})
	if derr != nil {
		return nil, derr
	}
	return conn, nil
}

// request asks for the page; last is that the server ends the connection with it.
func (c *clients) request(conn net.Conn, in *bufio.Reader) (last bool, err error) {
	conn.SetDeadline(time.Now().Add(time.Second))
	if _, err := io.WriteString(conn, "GET /index.html HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		return false, err
	}
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		return false, err
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return false, err
	}
	if resp.StatusCode != http.StatusOK || !bytes.Equal(body, c.page) {
		return false, fmt.Errorf("%w: status %d, %d octets", errWrong, resp.StatusCode, len(body))
	}
	return resp.Close, nil
}

// rate is how many pages a second are served within d.
func (c *clients) rate(d time.Duration) float64 {
	before, began := c.served.Load(), time.Now()
	time.Sleep(d)
	return float64(c.served.Load()-before) / time.Since(began).Seconds()
}
