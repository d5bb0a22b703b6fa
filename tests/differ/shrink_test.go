package differ

import "slices"

// shrink gives the smallest sequence it finds that still differs: without steps, then with plainer arguments.
func shrink(q sequence, differs func(sequence) bool) sequence {
	for n := max(len(q.steps)/2, 1); n > 0; n /= 2 {
		for i := 0; i+n <= len(q.steps); {
			try := q
			try.steps = slices.Delete(slices.Clone(q.steps), i, i+n)
			if differs(try) {
				q = try
			} else {
				i += n
			}
		}
	}
	if q.conns > 1 {
		try := q
		try.conns = 1
		if differs(try) {
			q = try
		}
	}
	for i := range q.steps {
		q = plainer(q, i, differs)
	}
	return q
}

func plainer(q sequence, i int, differs func(sequence) bool) sequence {
	with := func(change func(*step)) {
		try := q
		try.steps = slices.Clone(q.steps)
		try.steps[i].args = slices.Clone(try.steps[i].args)
		change(&try.steps[i])
		if try.steps[i].String() != q.steps[i].String() && differs(try) {
			q = try
		}
	}
	with(func(s *step) { s.thread = 0 })
	at := slices.IndexFunc(calls, func(c call) bool { return c.name == q.steps[i].name })
	if at < 0 {
		return q
	}
	for k, arg := range calls[at].args {
		with(func(s *step) { s.args[k] = arg.plain })
	}
	return q
}
