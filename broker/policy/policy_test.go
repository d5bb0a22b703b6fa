package policy_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/broker/policy"
)

const text = `
rules:
  - users: [www-data, 1000-1999]
    devices: [eth0]
    listen: [80, 8000-8999]
  - users: [root]
    listen: [all]
    connect: true
  - listen: [7777]
limits: {processes: 3, memory: 128}
`

func TestPolicy(t *testing.T) {
	p, err := policy.Parse([]byte(text))
	require.NoError(t, err)
	for _, c := range []struct {
		uid    uint32
		device string
		port   uint16
		listen bool
	}{
		{33, "eth0", 80, true}, {33, "eth1", 80, false}, {33, "eth0", 81, false},
		{1000, "eth0", 8000, true}, {1999, "eth0", 8999, true}, {2000, "eth0", 8999, false},
		{0, "any", 1, true}, {0, "any", 65535, true}, {12345, "any", 7777, true}, {12345, "any", 7778, false},
	} {
		err := p.Listen(c.uid, c.device, c.port)
		if c.listen {
			require.NoError(t, err, "%+v", c)
		} else {
			require.ErrorContains(t, err, "the policy has no rule", "%+v", c)
		}
	}
	require.NoError(t, p.Connect(0, "eth0"))
	require.ErrorContains(t, p.Connect(33, "eth0"), "uid 33 connect by eth0")
	require.Equal(t, policy.Limits{Processes: 3, Memory: 128}, p.Limits)
}

func TestNoPolicyAllowsEverything(t *testing.T) {
	var p *policy.Policy
	require.NoError(t, p.Listen(5, "eth0", 80))
	require.NoError(t, p.Connect(5, "eth0"))
}

func TestAnEmptyPolicyAllowsNothing(t *testing.T) {
	p, err := policy.Parse(nil)
	require.NoError(t, err)
	require.Error(t, p.Listen(0, "eth0", 80))
}

func TestPoliciesThatAreNone(t *testing.T) {
	for text, why := range map[string]string{
		"rules: [{users: [nobody-of-this-name]}]": "unknown user",
		"rules: [{listen: [http]}]":               `"http" is no number`,
		"rules: [{listen: [70000]}]":              "70000",
		"rules: [{listen: [9-8]}]":                "9-8",
		"rules: [{ports: [80]}]":                  "ports",
		"rules: {":                                "yaml",
		"limits: {memory: -1}":                    "below 0",
	} {
		_, err := policy.Parse([]byte(text))
		require.ErrorContains(t, err, why, text)
	}
}

func TestFilesThatOthersMayWrite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "policy.yaml")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	_, err := policy.Load(path)
	require.NoError(t, err)
	require.NoError(t, os.Chmod(path, 0o662))
	_, err = policy.Load(path)
	require.ErrorContains(t, err, "others than its owner may write it")
	if os.Geteuid() == 0 {
		require.NoError(t, os.Chmod(path, 0o600))
		require.NoError(t, os.Chown(path, 1, 1))
		_, err = policy.Load(path)
		require.ErrorContains(t, err, "belongs to uid 1")
	}
	_, err = policy.Load(path + ".not")
	require.ErrorIs(t, err, os.ErrNotExist)
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(text))
	f.Fuzz(func(t *testing.T, text []byte) {
		if p, err := policy.Parse(text); err == nil {
			_ = p.Listen(1, "x", 1)
		}
	})
}
