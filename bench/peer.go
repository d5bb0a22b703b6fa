package bench

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
)

// peerPort is where a peer listens if nothing else is said.
const peerPort = 7077

// tokenHeader carries what the peer printed when it was started: a peer runs programs as root, if only the benchmark's.
const tokenHeader = "Sluice-Bench-Token"

// about is what a peer says of itself.
type about struct {
	MAC      [6]byte  `json:"mac"`
	Programs []string `json:"programs"` // that are there
}

// Peer runs the benchmark's clients for another machine until ctx is done.
func Peer(ctx context.Context, bin, listen string, out io.Writer) error {
	at, err := endpointOf(listen)
	if err != nil {
		return err
	}
	s, err := Open(ctx, Config{Bin: bin})
	if err != nil {
		return err
	}
	defer s.Close()
	h := &local{ip: at.Addr(), cores: s.cores[len(s.cores)-1], bin: bin, dir: s.dir, socket: s.socket}
	if h.mac, err = hardwareOf(at.Addr()); err != nil {
		return err
	}
	if err := writeScript(s.dir); err != nil {
		return err
	}
	l, err := net.Listen("tcp", at.String())
	if err != nil {
		return err
	}
	token := rand.Text()
	srv := &http.Server{Handler: guarded(token, routes(h)), ReadHeaderTimeout: patience, BaseContext: func(net.Listener) context.Context { return ctx }}
	go func() {
		<-ctx.Done()
		_ = srv.Close()
	}()
	fmt.Fprintf(out, "on the other machine: sluice bench --device DEVICE --peer %s --token %s\n", at, token)
	if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// routes answers a remote's three questions.
func routes(h *local) http.Handler {
	mux := http.NewServeMux()
	answer := func(w http.ResponseWriter, v any, err error) {
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		_ = json.NewEncoder(w).Encode(v)
	}
	mux.HandleFunc("GET /about", func(w http.ResponseWriter, _ *http.Request) {
		a := about{MAC: h.mac}
		for p := range programs {
			if h.has(p) {
				a.Programs = append(a.Programs, p)
			}
		}
		answer(w, a, nil)
	})
	mux.HandleFunc("GET /opens", func(w http.ResponseWriter, _ *http.Request) {
		o, err := h.opens()
		answer(w, o, err)
	})
	mux.HandleFunc("POST /run", func(w http.ResponseWriter, r *http.Request) {
		var c command
		if err := json.NewDecoder(r.Body).Decode(&c); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		o, err := h.run(r.Context(), c)
		answer(w, o, err)
	})
	return mux
}

func guarded(token string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if subtle.ConstantTimeCompare([]byte(r.Header.Get(tokenHeader)), []byte(token)) != 1 {
			http.Error(w, "the token is not the one printed here", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// remote is the end that a peer runs.
type remote struct {
	at    netip.AddrPort
	token string
	about about
}

func dialPeer(ctx context.Context, peer, token string) (*remote, error) {
	at, err := endpointOf(peer)
	if err != nil {
		return nil, err
	}
	r := &remote{at: at, token: token}
	return r, r.ask(ctx, http.MethodGet, "/about", nil, &r.about)
}

func (r *remote) ask(ctx context.Context, method, path string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://"+r.at.String()+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set(tokenHeader, r.token)
	// A connection each: one that is kept would be in the counters of the window, or not, by chance.
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("peer: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 4096))
		return fmt.Errorf("peer: %s: %s", resp.Status, bytes.TrimSpace(text))
	}
	return json.NewDecoder(resp.Body).Decode(out)
}

func (r *remote) address() netip.Addr { return r.at.Addr() }
func (r *remote) hardware() [6]byte   { return r.about.MAC }

func (r *remote) run(ctx context.Context, c command) (*output, error) {
	o := new(output)
	return o, r.ask(ctx, http.MethodPost, "/run", c, o)
}

func (r *remote) opens() (*opened, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	o := new(opened)
	return o, r.ask(ctx, http.MethodGet, "/opens", nil, o)
}

func (r *remote) has(program string) bool {
	for _, p := range r.about.Programs {
		if p == program {
			return true
		}
	}
	return false
}

// endpointOf reads ADDRESS or ADDRESS:PORT.
func endpointOf(text string) (netip.AddrPort, error) {
	if ip, err := netip.ParseAddr(text); err == nil {
		return netip.AddrPortFrom(ip, peerPort), nil
	}
	at, err := netip.ParseAddrPort(text)
	if err != nil {
		return at, fmt.Errorf("%q is no ADDRESS or ADDRESS:PORT", text)
	}
	return at, nil
}

// hardwareOf is the address of the device that has an IP address.
func hardwareOf(ip netip.Addr) (mac [6]byte, err error) {
	all, err := net.Interfaces()
	if err != nil {
		return mac, err
	}
	for _, i := range all {
		addrs, _ := i.Addrs()
		for _, a := range addrs {
			if n, ok := a.(*net.IPNet); ok && n.IP.Equal(ip.AsSlice()) {
				copy(mac[:], i.HardwareAddr)
				return mac, nil
			}
		}
	}
	return mac, fmt.Errorf("no device here has the address %s", ip)
}
