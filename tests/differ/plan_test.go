package differ

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
)

// step is one call: on which thread (0: in turn), and its arguments.
type step struct {
	name   string
	thread int64
	args   []int64
}

func (s step) String() string {
	words := []string{s.name, strconv.FormatInt(s.thread, 10)}
	for _, a := range s.args {
		words = append(words, strconv.FormatInt(a, 10))
	}
	return strings.Join(words, " ")
}

// sequence is what is run on each path: connections that the program accepted or made, and steps.
type sequence struct {
	accepted bool
	conns    int
	steps    []step
}

// text is the sequence as prog/ reads it.
func (s sequence) text(patience int) string {
	how := "connected"
	if s.accepted {
		how = "accepted"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "begin %d %s %d\n", patience, how, s.conns)
	for _, st := range s.steps {
		fmt.Fprintln(&b, st)
	}
	b.WriteString("end\n")
	return b.String()
}

// parse reads what text wrote, one sequence or several.
func parse(text string) (all []sequence, err error) {
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		words := strings.Fields(line)
		if len(words) == 0 || words[0] == "end" {
			continue
		}
		if words[0] == "begin" && len(words) == 4 {
			all = append(all, sequence{accepted: words[2] == "accepted"})
			all[len(all)-1].conns, err = strconv.Atoi(words[3])
		} else {
			var st step
			st, err = parseStep(words)
			all[len(all)-1].steps = append(all[len(all)-1].steps, st)
		}
		if err != nil {
			return nil, fmt.Errorf("%q: %w", line, err)
		}
	}
	return all, nil
}

func parseStep(words []string) (st step, err error) {
	st.name = words[0]
	for i, w := range words[1:] {
		v, err := strconv.ParseInt(w, 0, 64)
		if err != nil {
			return st, err
		}
		if i == 0 {
			st.thread = v
		} else {
			st.args = append(st.args, v)
		}
	}
	return st, nil
}

// plan makes the sequence of a seed.
func plan(seed uint64, accepted bool) sequence {
	r := rand.New(rand.NewPCG(seed, 7))
	s := sequence{accepted: accepted, conns: 1 + r.IntN(2)}
	threads := 0
	if r.IntN(4) == 0 {
		threads = 1 + r.IntN(2)
	}
	total := 0
	for _, c := range calls {
		total += c.weight
	}
	for range 5 + r.IntN(30) {
		n := r.IntN(total)
		i := slices.IndexFunc(calls, func(c call) bool { n -= c.weight; return n < 0 })
		st := step{name: calls[i].name, args: choose(r, calls[i])}
		if threads > 0 && mayThread(st) && r.IntN(4) == 0 {
			st.thread = 1 + r.Int64N(int64(threads))
		}
		s.steps = append(s.steps, st)
		if threads > 0 && r.IntN(6) == 0 {
			s.steps = append(s.steps, step{name: "join", thread: 0, args: []int64{1 + r.Int64N(int64(threads))}})
		}
	}
	if slices.ContainsFunc(s.steps, func(st step) bool { return st.name == "peer_oob" }) {
		s.steps = slices.DeleteFunc(s.steps, func(st step) bool { return slices.Contains(handsOver, st.name) })
	}
	if slices.ContainsFunc(s.steps, func(st step) bool { return slices.Contains(handsOver, st.name) }) { // one that was moved holds its port (docs/limits.md)
		s.steps = slices.DeleteFunc(s.steps, func(st step) bool { return st.name == "bind" })
	}
	if slices.ContainsFunc(s.steps, func(st step) bool { return st.name == "peer_close" }) { // a reset may come in the middle of it, or later
		s.steps = slices.DeleteFunc(s.steps, func(st step) bool { return st.name == "sendmmsg" })
	}
	return s
}

// handsOver may need the connection to move, which one with urgent data cannot (docs/limits.md).
var handsOver = []string{"setsockopt", "splice", "sendfile", "fork"}

// mayThread: the other end is asked by one thread only, and a process is forked by the first.
func mayThread(st step) bool {
	return !strings.HasPrefix(st.name, "peer_") && st.name != "fork" && st.name != "connect"
}

func choose(r *rand.Rand, c call) (args []int64) {
	if strings.HasSuffix(c.name, "etsockopt") {
		o := options[r.IntN(len(options))]
		length := []int64{4, 4, 4, 4, 4, 0, 1, 3, 8, 16, 100, -1}[r.IntN(12)]
		if c.name == "setsockopt" {
			return []int64{fd.pick(r), o.level, o.name, o.values.pick(r), length, ptr.pick(r)}
		}
		return []int64{fd.pick(r), o.level, o.name, length, ptr.pick(r)}
	}
	for _, k := range c.args {
		args = append(args, k.pick(r))
	}
	return args
}
