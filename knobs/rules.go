package knobs

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Rule selects addresses and ports: of listeners (Net is one address, or
// invalid for any) or of the peers of outgoing connections.
type Rule struct {
	Net      netip.Prefix
	Low, Top uint16 // ports, both included
}

// Match tells whether the rule selects addr. An IPv4-mapped address is
// matched as the IPv4 address it carries.
func (r Rule) Match(addr netip.AddrPort) bool {
	if addr.Port() < r.Low || addr.Port() > r.Top {
		return false
	}
	return !r.Net.IsValid() || r.Net.Contains(addr.Addr().Unmap())
}

// ParseListen reads SLUICE_LISTEN: `*`, ports, port ranges, addresses with
// ports; `none` selects nothing.
func ParseListen(v string) ([]Rule, error) {
	return parseList(v, parseListenEntry)
}

// ParseConnect reads SLUICE_CONNECT: `cidr:ports` entries; `none` selects
// nothing. An address without a prefix length means that address alone.
func ParseConnect(v string) ([]Rule, error) {
	return parseList(v, parseConnectEntry)
}

func parseList(v string, parse func(string) (Rule, error)) ([]Rule, error) {
	if v == "none" {
		return nil, nil
	}
	entries := strings.Split(v, ",")
	if len(entries) > MaxRules {
		return nil, errTooMany
	}
	rules := make([]Rule, 0, len(entries))
	for _, e := range entries {
		r, err := parse(e)
		if err != nil {
			return nil, err
		}
		rules = append(rules, r)
	}
	return rules, nil
}

func parseListenEntry(e string) (Rule, error) {
	if e == "" {
		return Rule{}, errEmpty
	}
	if !strings.Contains(e, ":") {
		return withPorts(netip.Prefix{}, e)
	}
	host, ports, err := splitHost(e)
	if err != nil {
		return Rule{}, err
	}
	if host == "*" {
		return withPorts(netip.Prefix{}, ports)
	}
	addr, err := netip.ParseAddr(host)
	if err != nil || addr.Zone() != "" {
		return Rule{}, fmt.Errorf("%q is no address", host)
	}
	addr = addr.Unmap()
	return withPorts(netip.PrefixFrom(addr, addr.BitLen()), ports)
}

func parseConnectEntry(e string) (Rule, error) {
	if e == "" {
		return Rule{}, errEmpty
	}
	host, ports, err := splitHost(e)
	if err != nil {
		return Rule{}, err
	}
	if host == "*" {
		return withPorts(netip.Prefix{}, ports)
	}
	if !strings.Contains(host, "/") {
		addr, err := netip.ParseAddr(host)
		if err != nil || addr.Zone() != "" {
			return Rule{}, fmt.Errorf("%q is no address", host)
		}
		addr = addr.Unmap()
		return withPorts(netip.PrefixFrom(addr, addr.BitLen()), ports)
	}
	net, err := netip.ParsePrefix(host)
	if err != nil {
		return Rule{}, fmt.Errorf("%q is no network", host)
	}
	return withPorts(net.Masked(), ports)
}

// splitHost cuts host:ports, where an IPv6 host stands in brackets.
func splitHost(e string) (host, ports string, err error) {
	if strings.HasPrefix(e, "[") {
		host, ports, ok := strings.Cut(e[1:], "]:")
		if !ok || !strings.Contains(host, ":") {
			return "", "", fmt.Errorf("%q: want [address]:ports", e)
		}
		return host, ports, nil
	}
	host, ports, ok := strings.Cut(e, ":")
	if !ok || strings.Contains(ports, ":") {
		return "", "", fmt.Errorf("%q: want address:ports, an IPv6 address in brackets", e)
	}
	return host, ports, nil
}

func withPorts(net netip.Prefix, ports string) (Rule, error) {
	if ports == "*" {
		return Rule{net, 1, 65535}, nil
	}
	low, top, isRange := strings.Cut(ports, "-")
	if !isRange {
		top = low
	}
	l, err1 := port(low)
	t, err2 := port(top)
	if err1 != nil || err2 != nil || l > t {
		return Rule{}, fmt.Errorf("%q is no port or range of ports", ports)
	}
	return Rule{net, l, t}, nil
}

func port(s string) (uint16, error) {
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return 0, strconv.ErrSyntax
	}
	n, err := strconv.ParseUint(s, 10, 16)
	if err == nil && n == 0 {
		err = strconv.ErrRange
	}
	return uint16(n), err
}
