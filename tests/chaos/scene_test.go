package chaos

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/sluice-net/sluice/testbed"
	"github.com/sluice-net/sluice/tests/testrig"
)

// look keeps what everybody knows of the connections at the first moment that something could not be explained: later ones tell what came of it.
func (s *stand) look() { s.looked.Do(func() { s.scene = s.sight() }) }

// open are the connections that are not over: there may be thousands that are.
var open = []string{"state", "connected", "exclude", "time-wait"}

// sight asks the kernels of both ends, the engines and the broker.
func (s *stand) sight() string {
	var b strings.Builder
	fmt.Fprintln(&b, time.Now().Format("15:04:05.000"))
	show := func(what, out string, err error) {
		const most = 30000
		fmt.Fprintf(&b, "--- %s\n%s\n", what, out[max(0, len(out)-most):])
		if err != nil {
			fmt.Fprintln(&b, err)
		}
	}
	for _, n := range []*testbed.Node{s.rig.Server, s.rig.Client} {
		out, errs, err := testrig.Try(n, nil, "ss", append([]string{"-tanip"}, open...)...)
		show("ss, "+n.Name, out+errs, err)
	}
	sluice := testrig.Built(s.t, "sluice")
	for _, n := range []*testbed.Node{s.rig.Server, s.rig.Client} {
		out, errs, err := testrig.Try(n, s.rig.Env(), sluice, append([]string{"ss", "-tanip"}, open...)...)
		show("sluice ss, "+n.Name, out+errs, err)
	}
	for _, pid := range s.pids() {
		out, errs, err := testrig.Try(nil, s.rig.Env(), sluice, "trace", fmt.Sprint(pid))
		show(fmt.Sprint("sluice trace ", pid), out+errs, err)
	}
	st, err := testrig.QueryStatus(s.rig.Socket())
	text, _ := json.MarshalIndent(st, "", " ")
	show("status", string(text), err)
	return b.String()
}
