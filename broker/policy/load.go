package policy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/user"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// file is the file's shape; what it does not know is an error.
type file struct {
	Rules []struct {
		Users   []string `yaml:"users"`
		Devices []string `yaml:"devices"`
		Listen  []string `yaml:"listen"`
		Connect bool     `yaml:"connect"`
	} `yaml:"rules"`
	Limits Limits `yaml:"limits"`
}

// Load reads a policy. Only root may be able to change the file. An error says what to mend; there is no half a policy.
func Load(path string) (*Policy, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("policy: %w", err)
	}
	defer f.Close()
	if err := safe(f); err != nil {
		return nil, fmt.Errorf("policy %s: %w", path, err)
	}
	text, err := io.ReadAll(io.LimitReader(f, 1<<20))
	if err != nil {
		return nil, fmt.Errorf("policy: %w", err)
	}
	p, err := Parse(text)
	if err != nil {
		return nil, fmt.Errorf("policy %s: %w", path, err)
	}
	return p, nil
}

// Parse reads a policy's text.
func Parse(text []byte) (*Policy, error) {
	var f file
	dec := yaml.NewDecoder(bytes.NewReader(text))
	dec.KnownFields(true)
	if err := dec.Decode(&f); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if f.Limits.Processes < 0 || f.Limits.Memory < 0 {
		return nil, errors.New("a limit below 0")
	}
	p := &Policy{Limits: f.Limits}
	for i, r := range f.Rules {
		users, err1 := ranges(r.Users, math.MaxUint32, uidOf)
		listen, err2 := ranges(r.Listen, math.MaxUint16, nil)
		if err := errors.Join(err1, err2); err != nil {
			return nil, fmt.Errorf("rule %d: %w", i+1, err)
		}
		p.rules = append(p.rules, rule{users: users, devices: r.Devices, listen: listen, connect: r.Connect})
	}
	return p, nil
}

// ranges reads numbers, ranges, "all", and with named names.
func ranges(texts []string, most uint64, named func(string) (uint32, error)) (out spans, err error) {
	for _, t := range texts {
		if t == "all" {
			out = append(out, span{0, uint32(most)})
			continue
		}
		from, to, isRange := strings.Cut(t, "-")
		a, err1 := strconv.ParseUint(from, 10, 32)
		b := a
		var err2 error
		if isRange {
			b, err2 = strconv.ParseUint(to, 10, 32)
		}
		if err1 == nil && err2 == nil && a <= b && b <= most {
			out = append(out, span{uint32(a), uint32(b)})
			continue
		}
		if named == nil {
			return nil, fmt.Errorf("%q is no number up to %d and no range", t, most)
		}
		n, err := named(t)
		if err != nil {
			return nil, err
		}
		out = append(out, span{n, n})
	}
	return out, nil
}

func uidOf(name string) (uint32, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(u.Uid, 10, 32)
	return uint32(n), err
}

// safe: who can write the file rules the broker.
func safe(f *os.File) error {
	st, err := f.Stat()
	if err != nil {
		return err
	}
	if st.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("others than its owner may write it (mode %v)", st.Mode().Perm())
	}
	return ownedByRoot(st)
}
