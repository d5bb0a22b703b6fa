package chaos

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
	"syscall"
	"time"

	"github.com/sluice-net/sluice/testbed"
	"github.com/sluice-net/sluice/tests/testrig"
)

// load is a number of clients that request a page, each over one connection after the other.
type load struct {
	node *testbed.Node
	addr string
	page []byte
	wall bool         // stand.wall
	now  atomic.Int32 // the harm that the fault under way explains
	stop chan struct{}
	wg   sync.WaitGroup

	alarm  func()                     // something is not explained
	nobody func(client net.Addr) bool // stand.unheard

	answered, excused atomic.Int64
	mu                sync.Mutex
	wrong             []error // what nothing explains
	worst             harm    // of the last fault, which lasted
	until             time.Time
	mute              time.Time // the end of the last fault that was unheard
}

// startLoad starts clients; every second one closes its connection after each page.
func startLoad(s *stand, page []byte, clients int) *load {
	l := &load{node: s.rig.Client, addr: s.addr(), page: page, wall: s.wall, alarm: s.look, nobody: s.unheard, stop: make(chan struct{})}
	for i := range clients {
		l.wg.Add(1)
		go l.client(i%2 == 0)
	}
	return l
}

// end stops the clients, and returns what they could not explain.
func (l *load) end() []error {
	close(l.stop)
	l.wg.Wait()
	return l.unexplained()
}

func (l *load) unexplained() []error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.wrong
}

func (l *load) client(keep bool) {
	defer l.wg.Done()
	c := &client{load: l, keep: keep}
	defer c.drop()
	for {
		select {
		case <-l.stop:
			return
		case <-time.After(2 * time.Millisecond): // the machine has other things to do
		}
		before, began := harm(l.now.Load()), time.Now()
		if err := c.request(); err != nil {
			l.judge(err, max(before, harm(l.now.Load()), l.since(began)), began)
			c.drop()
			continue
		}
		l.answered.Add(1)
	}
}

// explain says which harm explains errors from now on. One that began before a fault may learn of it after that was over: a reset that gets
// lost is repeated half a second later.
func (l *load) explain(h harm) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if was := harm(l.now.Swap(int32(h))); was > h {
		l.worst, l.until = was, time.Now()
		if was == unheard {
			l.mute = l.until
		}
	}
}

// since is the harm of the last fault, if it lasted until then.
func (l *load) since(began time.Time) harm {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.until.After(began) {
		return l.worst
	}
	return harmless
}

// unheard tells whether a request was under way when a process may have died with nobody to tell its peers.
func (l *load) unheard(began time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mute.After(began)
}

// nobodys tells whether the connection that an error is about is nobody's.
func (l *load) nobodys(err error) bool {
	var op *net.OpError
	return l.nobody != nil && errors.As(err, &op) && l.nobody(op.Source)
}

// judge excuses an error that the faults since the request's begin explain.
func (l *load) judge(err error, h harm, began time.Time) {
	switch {
	case errors.Is(err, errIdle): // RFC 9112 §9.5: a kept connection may be closed between requests at any time
	case isTimeout(err) && !errors.Is(err, errConnect) && (l.unheard(began) || l.nobodys(err)):
	case l.wall && h >= outOfTime && errors.Is(err, errTimedOut):
	case h >= openConns && (errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)):
	case h >= allConns && (errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, errStatus)):
	case h >= unreachable && (errors.Is(err, syscall.EHOSTUNREACH) || errors.Is(err, syscall.ENETUNREACH)):
	default:
		l.mu.Lock()
		defer l.mu.Unlock()
		l.alarm()
		l.wrong = append(l.wrong, fmt.Errorf("%s, when %d explained: %w", time.Now().Format("15:04:05.000"), h, err))
		return
	}
	l.excused.Add(1)
}

var errIdle = errors.New("a kept connection was closed before a byte of the answer")

// errStatus is what a server says that lacks something; errTimedOut, that it waited too long for its client or for whom it asked.
var (
	errConnect  = errors.New("connect")
	errStatus   = errors.New("status")
	errTimedOut = errors.New("no time left")
)

type client struct {
	*load
	keep bool
	conn net.Conn
	in   *bufio.Reader
	used bool
}

func (c *client) drop() {
	if c.conn != nil {
		c.conn.Close()
		c.conn = nil
	}
}

func (c *client) request() error {
	if c.conn == nil {
		if err := c.node.Do(func() (err error) {
			c.conn, err = net.DialTimeout("tcp", c.addr, testrig.Patience)
			return err
		}); err != nil {
			return fmt.Errorf("%w: %w", errConnect, err)
		}
		c.in, c.used = bufio.NewReader(c.conn), false
	}
	c.conn.SetDeadline(time.Now().Add(testrig.Patience))
	mode := "close"
	if c.keep {
		mode = "keep-alive"
	}
	_, err := fmt.Fprintf(c.conn, "GET /index.html HTTP/1.1\r\nHost: x\r\nConnection: %s\r\n\r\n", mode)
	if err == nil {
		_, err = c.in.Peek(1)
	}
	if err != nil && c.used && !isTimeout(err) {
		return fmt.Errorf("%w (%w)", errIdle, err)
	}
	if err != nil {
		return fmt.Errorf("request: %w", err)
	}
	return c.answer()
}

func isTimeout(err error) bool {
	var n net.Error
	return errors.As(err, &n) && n.Timeout()
}

func (c *client) answer() error {
	resp, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return fmt.Errorf("answer: %w", err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Errorf("answer's body: %w", err)
	}
	switch resp.StatusCode {
	case http.StatusRequestTimeout, http.StatusGatewayTimeout:
		return fmt.Errorf("%w: %w %d", errTimedOut, errStatus, resp.StatusCode)
	}
	if resp.StatusCode >= 500 {
		return fmt.Errorf("%w %d", errStatus, resp.StatusCode)
	}
	if resp.StatusCode != http.StatusOK || !bytes.Equal(body, c.page) {
		return fmt.Errorf("status %d and %d octets that are not the page", resp.StatusCode, len(body))
	}
	c.used = true
	if !c.keep || resp.Close {
		c.drop()
	}
	return nil
}
