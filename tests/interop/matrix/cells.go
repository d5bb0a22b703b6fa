package main

import (
	"fmt"
	"path"
	"strconv"
	"strings"
	"time"

	impair "github.com/sluice-net/sluice/testbed/path"
)

// impairments by name, the same in both directions. "direct" is one veth pair without anything between.
var impairments = map[string]impair.Link{
	"plain":       {},
	"loss1":       {Loss: 0.01},
	"loss5":       {Loss: 0.05},
	"reorder":     {Delay: time.Millisecond, Reorder: 0.02, Hold: time.Millisecond},
	"delay":       {Delay: 10 * time.Millisecond},
	"delay-loss1": {Delay: 10 * time.Millisecond, Loss: 0.01},
	"lan":         {Delay: 100 * time.Microsecond, Rate: 1_000_000_000, Queue: 400},
	"wan":         {Delay: 10 * time.Millisecond, Rate: 50_000_000, Queue: 200},
}

// cell is one line of the table: who sends what over which path.
type cell struct {
	congestion, impairment string
	mtu                    int
	v6, call, send         bool
}

func (c cell) String() string {
	family, role, way := "v4", "server", "receives"
	if c.v6 {
		family = "v6"
	}
	if c.call {
		role = "client"
	}
	if c.send {
		way = "sends"
	}
	return strings.Join([]string{c.congestion, c.impairment, strconv.Itoa(c.mtu), family, role, way}, "/")
}

// cells are all: each congestion control over each path, and each MTU, family and role over two paths.
func cells() (all []cell) {
	for _, send := range []bool{true, false} {
		for i, congestion := range []string{"cubic", "reno", "bbr"} {
			for j, name := range []string{"plain", "loss1", "loss5", "reorder", "delay", "delay-loss1", "lan", "wan"} {
				all = append(all, cell{congestion, name, 1500, (i+j)%2 == 1, (i+j)%3 == 1, send})
			}
		}
		for _, name := range []string{"plain", "loss1"} {
			for i, mtu := range []int{576, 1280, 1500, 3000, 9000} {
				for _, v6 := range []bool{false, true} {
					for _, call := range []bool{false, true} {
						if v6 && mtu < 1280 || name == "loss1" && call != v6 {
							continue
						}
						all = append(all, cell{[]string{"cubic", "bbr", "reno"}[i%3], name, mtu, v6, call, send})
					}
				}
			}
		}
	}
	return unique(all)
}

func unique(in []cell) (out []cell) {
	seen := map[cell]bool{}
	for _, c := range in {
		if !seen[c] {
			seen[c] = true
			out = append(out, c)
		}
	}
	return out
}

// chosen are the cells whose name matches one of the patterns, as path.Match has them; a pattern may leave out what
// follows.
func chosen(patterns string) (out []cell, err error) {
	for _, c := range cells() {
		for _, p := range strings.Split(patterns, ",") {
			for strings.Count(p, "/") < 5 {
				p += "/*"
			}
			ok, err := path.Match(p, c.String())
			if err != nil {
				return nil, fmt.Errorf("%s: %w", p, err)
			}
			if ok {
				out = append(out, c)
				break
			}
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("no cell is like %s", patterns)
	}
	return out, nil
}
