package sockets

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Filter decides which sockets are shown. The grammar is ss's:
//
//	filter = { state | exclude NAME } [ expr ]
//	expr   = term { or term }        term = factor { [and] factor }        factor = ( expr ) | not factor | match
//	match  = (src|dst) [op] ADDR[/LEN][:PORT] | (sport|dport) [op] [:]PORT | autobound is not known
//	op     = = == eq != ne neq < lt > gt <= le leq >= ge geq
type Filter struct {
	States uint32 // mask of 1 << state; 0: as the options say
	expr   func(*Socket) bool
}

// Match tells whether a socket is to be shown.
func (f *Filter) Match(s *Socket) bool {
	return f.States&(1<<s.State) != 0 && (f.expr == nil || f.expr(s))
}

// Masks of states, as ss's.
const (
	allStates    = 1<<(Closing+1) - 2
	Connected    = allStates &^ (1<<Listen | 1<<Closed | 1<<TimeWait | 1<<SynRecv)
	All          = allStates
	bucketStates = 1<<SynRecv | 1<<TimeWait
)

var stateMasks = map[string]uint32{
	"all": All, "connected": All &^ (1<<Listen | 1<<Closed), "synchronized": All &^ (1<<Listen | 1<<Closed | 1<<SynSent),
	"bucket": bucketStates, "big": All &^ bucketStates,
	"established": 1 << Established, "syn-sent": 1 << SynSent, "syn-recv": 1 << SynRecv, "fin-wait-1": 1 << FinWait1,
	"fin-wait-2": 1 << FinWait2, "time-wait": 1 << TimeWait, "closed": 1 << Closed, "unconnected": 1 << Closed, "close-wait": 1 << CloseWait, "last-ack": 1 << LastAck,
	"listening": 1 << Listen, "listen": 1 << Listen, "closing": 1 << Closing,
}

// ParseFilter reads the arguments behind the options.
func ParseFilter(args []string) (*Filter, error) {
	p := parser{words: split(strings.Join(args, " "))}
	f := &Filter{}
	excluded := uint32(0)
	for p.peek() == "state" || p.peek() == "exclude" {
		verb, name := p.next(), p.next()
		mask, ok := stateMasks[strings.ToLower(name)]
		switch {
		case !ok:
			return nil, fmt.Errorf("%s %q: no such state", verb, name)
		case verb == "state":
			f.States |= mask
		default:
			excluded |= mask
		}
	}
	if excluded != 0 {
		if f.States == 0 {
			f.States = All
		}
		f.States &^= excluded
	}
	if p.peek() == "" {
		return f, nil
	}
	var err error
	if f.expr, err = p.or(); err == nil && p.peek() != "" {
		err = fmt.Errorf("filter: %q not understood", p.peek())
	}
	return f, err
}

// split cuts at blanks and around parentheses, exclamation marks and comparisons.
func split(s string) []string {
	for _, sign := range []string{"(", ")"} {
		s = strings.ReplaceAll(s, sign, " "+sign+" ")
	}
	var words []string
	for _, w := range strings.Fields(s) {
		for i := 0; i < len(w); {
			n := strings.IndexAny(w[i:], "=<>!")
			if n < 0 {
				words = append(words, w[i:])
				break
			}
			if n > 0 {
				words = append(words, w[i:i+n])
			}
			i += n
			end := i + 1
			if end < len(w) && w[end] == '=' {
				end++
			}
			words = append(words, w[i:end])
			i = end
		}
	}
	return words
}

type parser struct{ words []string }

func (p *parser) peek() string {
	if len(p.words) == 0 {
		return ""
	}
	return p.words[0]
}

func (p *parser) next() string {
	w := p.peek()
	if w != "" {
		p.words = p.words[1:]
	}
	return w
}

type match = func(*Socket) bool

func (p *parser) or() (match, error) {
	a, err := p.and()
	for err == nil && (p.peek() == "or" || p.peek() == "|" || p.peek() == "||") {
		p.next()
		var b match
		if b, err = p.and(); err == nil {
			x := a
			a = func(s *Socket) bool { return x(s) || b(s) }
		}
	}
	return a, err
}

func (p *parser) and() (match, error) {
	a, err := p.factor()
	for err == nil {
		switch p.peek() {
		case "", ")", "or", "|", "||":
			return a, nil
		case "and", "&", "&&":
			p.next()
		}
		var b match
		if b, err = p.factor(); err == nil {
			x := a
			a = func(s *Socket) bool { return x(s) && b(s) }
		}
	}
	return a, err
}

func (p *parser) factor() (match, error) {
	switch w := p.next(); w {
	case "(":
		m, err := p.or()
		if err == nil && p.next() != ")" {
			err = fmt.Errorf("filter: a parenthesis is not closed")
		}
		return m, err
	case "not", "!":
		m, err := p.factor()
		return func(s *Socket) bool { return !m(s) }, err
	case "src", "dst":
		return p.host(w == "src")
	case "sport", "dport":
		return p.port(w == "sport")
	case "":
		return nil, fmt.Errorf("filter: something is missing at its end")
	default:
		return nil, fmt.Errorf("filter: %q not understood; want src, dst, sport, dport, not, ( or state", w)
	}
}

var operators = map[string]func(int) bool{
	"=": equal, "==": equal, "eq": equal, "!=": differs, "ne": differs, "neq": differs,
	"<": less, "lt": less, ">": more, "gt": more,
	"<=": atMost, "le": atMost, "leq": atMost, ">=": atLeast, "ge": atLeast, "geq": atLeast,
}

func equal(c int) bool   { return c == 0 }
func differs(c int) bool { return c != 0 }
func less(c int) bool    { return c < 0 }
func more(c int) bool    { return c > 0 }
func atMost(c int) bool  { return c <= 0 }
func atLeast(c int) bool { return c >= 0 }

// operator takes one if there is one.
func (p *parser) operator() func(int) bool {
	if op, ok := operators[p.peek()]; ok {
		p.next()
		return op
	}
	return equal
}

func (p *parser) port(local bool) (match, error) {
	op := p.operator()
	w := strings.TrimPrefix(p.next(), ":")
	n, err := portNumber(w)
	if err != nil {
		return nil, fmt.Errorf("filter: %q is no port", w)
	}
	return func(s *Socket) bool { return op(int(s.end(local).Port()) - n) }, nil
}

func (s *Socket) end(local bool) netip.AddrPort {
	if local {
		return s.Local
	}
	return s.Remote
}

// host matches ADDR, ADDR/LEN, either with :PORT, or :PORT alone; an address of version 6 with a port stands in brackets.
func (p *parser) host(local bool) (match, error) {
	op := p.operator()
	w := p.next()
	net, port, err := parseHost(w)
	if err != nil {
		return nil, fmt.Errorf("filter: %q is no address: %w", w, err)
	}
	hit := func(s *Socket) bool {
		a := s.end(local)
		return (!net.IsValid() || net.Contains(a.Addr().Unmap())) && (port < 0 || int(a.Port()) == port)
	}
	if op(0) == op(1) {
		return nil, fmt.Errorf("filter: addresses are equal or not")
	}
	return func(s *Socket) bool { return hit(s) == op(0) }, nil
}

func parseHost(w string) (net netip.Prefix, port int, err error) {
	port = -1
	host := w
	if i := strings.LastIndexByte(w, ':'); i >= 0 && (strings.Count(w, ":") == 1 || strings.HasPrefix(w, "[") && w[i-1] == ']' || strings.Contains(w, "]/")) {
		if host = w[:i]; w[i+1:] != "*" {
			if port, err = portNumber(w[i+1:]); err != nil {
				return net, port, err
			}
		}
	}
	host = strings.NewReplacer("[", "", "]", "").Replace(host)
	switch {
	case host == "" || host == "*":
		return netip.Prefix{}, port, nil
	case strings.Contains(host, "/"):
		net, err = netip.ParsePrefix(host)
		return net.Masked(), port, err
	}
	a, err := netip.ParseAddr(host)
	if err != nil {
		return net, port, err
	}
	return netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()), port, nil
}

// portNumber reads a number or a service's name.
func portNumber(w string) (int, error) {
	if n, err := strconv.ParseUint(w, 10, 16); err == nil {
		return int(n), nil
	}
	return lookupService(w)
}
