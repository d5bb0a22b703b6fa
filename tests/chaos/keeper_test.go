package chaos

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/sluice-net/sluice/tests/testrig"
)

// keepers write numbers that only grow, each to keys of its own, and know of each key what was acknowledged and what was tried.
type keepers struct {
	store *store
	now   atomic.Int32
	stop  chan struct{}
	wg    sync.WaitGroup
	all   []*keeper

	acknowledged, read, excused atomic.Int64
	mu                          sync.Mutex
	wrong                       []error
}

func startKeepers(s *store, n int) *keepers {
	k := &keepers{store: s, stop: make(chan struct{})}
	for i := range n {
		c := &keeper{store: s, keepers: k, id: i, patience: testrig.Patience}
		k.all = append(k.all, c)
		k.wg.Go(c.work)
	}
	return k
}

func (k *keepers) explain(h harm) { k.now.Store(int32(h)) }

func (k *keepers) end() []error {
	close(k.stop)
	k.wg.Wait()
	return k.unexplained()
}

func (k *keepers) unexplained() []error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.wrong
}

func (k *keepers) fail(err error) {
	k.store.look()
	k.mu.Lock()
	defer k.mu.Unlock()
	k.wrong = append(k.wrong, fmt.Errorf("%s: %w", time.Now().Format("15:04:05.000"), err))
}

// tour waits until every keeper has made a whole request and more: what the fault broke is known to all.
func (k *keepers) tour() {
	for _, c := range k.all {
		began := c.rounds.Load()
		testrig.Until(k.store.t, "a keeper's requests", func() bool { return c.rounds.Load() > began+1 })
	}
}

// readBack looks at each key once more, by new connections.
func (k *keepers) readBack() {
	for _, c := range k.all {
		c.drop()
		for key := range c.keys {
			if err := c.check(key); err != nil {
				k.fail(fmt.Errorf("at the end: %w", err))
			}
		}
		c.drop()
	}
}

// keeper is one client.
type keeper struct {
	store    *store
	keepers  *keepers
	id       int
	patience time.Duration
	rounds   atomic.Int64
	keys     [16]struct{ acked, tried int }
	conn     net.Conn
	in       *bufio.Reader
}

func (c *keeper) drop() {
	if c.conn != nil {
		c.conn.Close()
		c.conn = nil
	}
}

func (c *keeper) work() {
	for i := 0; ; i++ {
		select {
		case <-c.keepers.stop:
			return
		case <-time.After(2 * time.Millisecond):
		}
		c.rounds.Add(1)
		before := harm(c.keepers.now.Load())
		key := i % len(c.keys)
		err := c.write(key)
		if err == nil && i%3 == 0 {
			err = c.check(key)
		}
		if err == nil && i%50 == 49 {
			c.drop() // new connections are to be had
		}
		if err != nil {
			c.judge(err, max(before, harm(c.keepers.now.Load())))
			c.drop()
		}
	}
}

var errWrong = errors.New("another value")

// judge excuses what the fault under way explains: never a wrong value.
func (c *keeper) judge(err error, h harm) {
	broken := errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
	switch {
	case errors.Is(err, errWrong):
	case h >= openConns && broken, h >= allConns && errors.Is(err, syscall.ECONNREFUSED):
		c.keepers.excused.Add(1)
		return
	case h >= allConns && strings.Contains(err.Error(), "LOADING"):
		c.keepers.excused.Add(1)
		return
	case h >= unreachable && (errors.Is(err, syscall.EHOSTUNREACH) || errors.Is(err, syscall.ENETUNREACH)):
		c.keepers.excused.Add(1)
		return
	}
	c.keepers.fail(fmt.Errorf("keeper %d, when %d explained: %w", c.id, h, err))
}

func (c *keeper) name(key int) string { return fmt.Sprintf("k%d-%d", c.id, key) }

// write sets a key to the next number, with as much behind it as fills several segments now and then.
func (c *keeper) write(key int) error {
	k := &c.keys[key]
	k.tried++
	value := strconv.Itoa(k.tried) + " " + strings.Repeat("v", (k.tried%8)*700)
	answer, err := c.ask("SET", c.name(key), value)
	if err != nil {
		return err
	}
	if answer != "OK" {
		return fmt.Errorf("SET: %s", answer)
	}
	k.acked = k.tried
	c.keepers.acknowledged.Add(1)
	return nil
}

// check reads a key: it has what was acknowledged last, or something later that was tried.
func (c *keeper) check(key int) error {
	k := &c.keys[key]
	answer, err := c.ask("GET", c.name(key))
	if err != nil {
		return err
	}
	number, rest, _ := strings.Cut(answer, " ")
	n, err := strconv.Atoi(number)
	if answer == "" && k.acked == 0 {
		return nil
	}
	if err != nil || n < k.acked || n > k.tried || rest != strings.Repeat("v", (n%8)*700) {
		return fmt.Errorf("%w: %s is %.40q and %d octets, %d was acknowledged and %d tried", errWrong, c.name(key), answer, len(answer), k.acked, k.tried)
	}
	c.keepers.read.Add(1)
	return nil
}

// ask sends a command in redis' protocol, and gives its answer.
func (c *keeper) ask(words ...string) (string, error) {
	if c.conn == nil {
		if err := c.store.rig.Client.Do(func() (err error) {
			c.conn, err = net.DialTimeout("tcp", c.store.addr(), c.patience)
			return err
		}); err != nil {
			c.conn = nil
			return "", fmt.Errorf("connect: %w", err)
		}
		c.in = bufio.NewReader(c.conn)
	}
	c.conn.SetDeadline(time.Now().Add(c.patience))
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(words))
	for _, w := range words {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(w), w)
	}
	if _, err := io.WriteString(c.conn, b.String()); err != nil {
		return "", err
	}
	line, err := c.in.ReadString('\n')
	if err != nil {
		return "", err
	}
	line = strings.TrimRight(line, "\r\n")
	switch line[0] {
	case '+':
		return line[1:], nil
	case '$':
		n, err := strconv.Atoi(line[1:])
		if err != nil || n < 0 {
			return "", err
		}
		body := make([]byte, n+2)
		if _, err := io.ReadFull(c.in, body); err != nil {
			return "", err
		}
		return string(body[:n]), nil
	}
	return "", errors.New(line)
}
