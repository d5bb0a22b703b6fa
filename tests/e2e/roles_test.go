package e2e

import (
	"bufio"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/sluice-net/sluice/tests/testrig"
)

// backendMain is a web server on the kernel path: it answers with the
// SHA-256 of what it was sent. Arguments: address.
func backendMain(args []string) error {
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		h := sha256.New()
		n, err := io.Copy(h, r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		fmt.Fprintf(w, "%d %x\n", n, h.Sum(nil))
	})
	l, err := net.Listen("tcp", args[0])
	if err != nil {
		return err
	}
	return http.Serve(l, nil)
}

// loadResult is what loadMain prints when its input ends.
type loadResult struct {
	Requests int      // answered whole with status 200
	Retried  int      // sent again, because a kept connection was closed before a byte of the answer
	Failed   int      // everything else
	Errors   []string // the first few
}

// loadMain requests a page in a loop over n connections until its standard
// input ends. Arguments: address, "keep" or "close", n.
func loadMain(args []string) error {
	addr, keep := args[0], args[1] == "keep"
	var n int
	if _, err := fmt.Sscan(args[2], &n); err != nil {
		return err
	}
	stop := make(chan struct{})
	go func() {
		io.Copy(io.Discard, os.Stdin)
		close(stop)
	}()
	var (
		mu    sync.Mutex
		total loadResult
		wg    sync.WaitGroup
	)
	for range n {
		wg.Add(1)
		go func() {
			defer wg.Done()
			l := loader{addr: addr, keep: keep}
			l.run(stop)
			mu.Lock()
			defer mu.Unlock()
			total.Requests += l.Requests
			total.Retried += l.Retried
			total.Failed += l.Failed
			total.Errors = append(total.Errors, l.Errors...)
		}()
	}
	wg.Wait()
	if len(total.Errors) > 10 {
		total.Errors = total.Errors[:10]
	}
	return json.NewEncoder(os.Stdout).Encode(total)
}

// loader is one connection after the other.
type loader struct {
	loadResult
	addr string
	keep bool
	conn net.Conn
	rd   *bufio.Reader
	used bool // an answer came over conn already
}

func (l *loader) run(stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			l.drop()
			return
		default:
		}
		err := l.once()
		switch {
		case err == nil:
			l.Requests++
		case errors.Is(err, errUnanswered) && l.used:
			// RFC 9112 §9.5: a client may see a kept connection closed at any
			// time, and sends an idempotent request again over a new one.
			l.Retried++
			l.drop()
		default:
			l.Failed++
			l.Errors = append(l.Errors, err.Error())
			l.drop()
		}
	}
}

var errUnanswered = errors.New("closed before a byte of the answer")

func (l *loader) once() error {
	if l.conn == nil {
		c, err := net.DialTimeout("tcp", l.addr, testrig.Patience)
		if err != nil {
			return err
		}
		l.conn, l.rd, l.used = c, bufio.NewReader(c), false
	}
	l.conn.SetDeadline(time.Now().Add(testrig.Patience))
	mode := "close"
	if l.keep {
		mode = "keep-alive"
	}
	_, err := fmt.Fprintf(l.conn, "GET /index.html HTTP/1.1\r\nHost: x\r\nConnection: %s\r\n\r\n", mode)
	if err != nil {
		return errors.Join(errUnanswered, err)
	}
	if _, err := l.rd.Peek(1); err != nil {
		return errors.Join(errUnanswered, err)
	}
	return l.answer()
}

func (l *loader) answer() error {
	resp, err := http.ReadResponse(l.rd, nil)
	if err != nil {
		return err
	}
	n, err := io.Copy(io.Discard, resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK || n != resp.ContentLength {
		return fmt.Errorf("status %d, %d of %d bytes", resp.StatusCode, n, resp.ContentLength)
	}
	l.used = true
	if resp.Close || !l.keep {
		l.drop()
	}
	return nil
}

func (l *loader) drop() {
	if l.conn != nil {
		l.conn.Close()
		l.conn = nil
	}
}
