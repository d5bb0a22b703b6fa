package knobs

import (
	"net/netip"
	"sort"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTableIsSortedAndItsDefaultsAreGood(t *testing.T) {
	require.True(t, sort.SliceIsSorted(Table, func(i, j int) bool { return Table[i].Name < Table[j].Name }))
	for _, k := range Table {
		require.NoError(t, k.Check(k.Default), k.Name)
		require.NotEmpty(t, k.Doc, k.Name)
	}
}

func TestListenRules(t *testing.T) {
	for _, c := range []struct {
		value, addr string
		match       bool
	}{
		{"*", "192.0.2.1:80", true},
		{"none", "192.0.2.1:80", false},
		{"80", "192.0.2.1:80", true},
		{"80", "[2001:db8::1]:80", true},
		{"80", "192.0.2.1:81", false},
		{"8000-8100", "0.0.0.0:8100", true},
		{"8000-8100", "0.0.0.0:8101", false},
		{"192.0.2.1:443", "192.0.2.1:443", true},
		{"192.0.2.1:443", "[::ffff:192.0.2.1]:443", true},
		{"192.0.2.1:443", "192.0.2.2:443", false},
		{"[2001:db8::1]:443", "[2001:db8::1]:443", true},
		{"[2001:db8::1]:443", "[2001:db8::2]:443", false},
		{"22,192.0.2.1:*", "192.0.2.1:9", true},
	} {
		rules, err := ParseListen(c.value)
		require.NoError(t, err, c.value)
		require.Equal(t, c.match, matchAny(rules, c.addr), "%s %s", c.value, c.addr)
	}
}

func TestConnectRules(t *testing.T) {
	for _, c := range []struct {
		value, addr string
		match       bool
	}{
		{"10.0.0.0/8:6379", "10.1.2.3:6379", true},
		{"10.0.0.0/8:6379", "10.1.2.3:6380", false},
		{"10.0.0.0/8:6379", "11.1.2.3:6379", false},
		{"0.0.0.0/0:*", "192.0.2.9:1", true},
		{"0.0.0.0/0:*", "[2001:db8::9]:1", false},
		{"[2001:db8::]/32:80", "[2001:db8::9]:80", false},
		{"[2001:db8::/32]:80", "[2001:db8::9]:80", true},
		{"192.0.2.9:80", "192.0.2.9:80", true},
		{"*:80", "[2001:db8::9]:80", true},
	} {
		rules, err := ParseConnect(c.value)
		if err != nil {
			require.False(t, c.match, "%s: %v", c.value, err)
			continue
		}
		require.Equal(t, c.match, matchAny(rules, c.addr), "%s %s", c.value, c.addr)
	}
}

func TestBadValues(t *testing.T) {
	bad := map[string][]string{
		"SLUICE":            {"", "yes", "ON"},
		"SLUICE_LISTEN":     {"", "0", "65536", "80-", "90-80", "http", "1.2.3:80", "::1:80", "[::1]", "80,", "[1.2.3.4]:80", "+80"},
		"SLUICE_CONNECT":    {"", "80", "10.0.0.0/33:80", "10.0.0.0/8", "2001:db8::/32:80"},
		"SLUICE_DEVICES":    {"", "eth0,", "a/b", "averyverylongname"},
		"SLUICE_CONGESTION": {"", "vegas", "BBR", "bbr,cubic"},
		"SLUICE_FAST":       {"", "batch,", "none,batch", "Batch"},
		"SLUICE_SPIN_USEC":  {"", "-1", "+1", "1000001", "20us"},
		"SLUICE_LOG":        {"", "loud", "relative/path"},
		"SLUICE_BROKER":     {"", "relative.sock"},
	}
	for name, values := range bad {
		k, ok := Lookup(name)
		require.True(t, ok, name)
		for _, v := range values {
			require.Error(t, k.Check(v), "%s=%q", name, v)
		}
	}
}

func TestValidateNamesWhatIsWrong(t *testing.T) {
	errs := Validate([]string{"HOME=/", "SLUICE=off", "SLUICE_LISTN=80", "SLUICE_LISTEN=http", "SLUICED=1"})
	require.Len(t, errs, 2)
	require.ErrorContains(t, errs[0], "SLUICE_LISTN: unknown variable")
	require.ErrorContains(t, errs[1], `SLUICE_LISTEN="http"`)
}

func matchAny(rules []Rule, addr string) bool {
	for _, r := range rules {
		if r.Match(netip.MustParseAddrPort(addr)) {
			return true
		}
	}
	return false
}
