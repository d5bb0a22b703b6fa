package tcp

import (
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// trace is a script of what happens to a connection, much as packetdrill has it: one event a line, times in seconds
// since the line before.
//
//	     < P. 1:101(100) ack 1 win 1000    the peer sends
//	+.04 > . 1:1(0) ack 101                we send, 40 ms later and not before
//	     write 1000                        a call of the program: write, read, close, shutdown, setsockopt, connect ...
//	     state CLOSE-WAIT                  what must hold now
//
// Everything that is sent must be in the script, at its time. Segments are written as rig says.
type trace struct {
	name   string
	script string
	params func(*Params)
}

// traces runs each trace in a connection that is in that state.
func traces(t *testing.T, from State, list []trace) {
	for _, x := range list {
		t.Run(x.name, func(t *testing.T) {
			r := newRig(t, func(p *Params) {
				p.WindowScaling = false
				if x.params != nil {
					x.params(p)
				}
			})
			r.run(wayTo[from])
			if c := r.c; c != nil && from != TimeWait {
				require.Equal(t, from, c.State())
			}
			r.run(x.script)
		})
	}
}

// wayTo is how a connection comes into a state.
var wayTo = map[State]string{
	Closed:    ``,
	Listening: `listen 10`,
	SynSent: `connect
		> S 0:0(0)`,
	SynReceived: `connect
		> S 0:0(0)
		< S 0:0(0) win 65535 <mss 1460,sackOK>
		> S. 0:0(0) ack 1`,
	Established: `listen 10
		< S 0:0(0) win 65535 <mss 1460,sackOK>
		> S. 0:0(0) ack 1
		+.1 < . 1:1(0) ack 1
		accept`, // a round trip of 100 ms: the first timeout is 300 ms
	FinWait1:  `shutdown SHUT_WR ; > F. 1:1(0) ack 1`,
	FinWait2:  `< . 1:1(0) ack 2`,
	CloseWait: `< F. 1:1(0) ack 1 ; +.001 > . 1:1(0) ack 2`,
	LastAck:   `shutdown SHUT_WR ; > F. 1:1(0) ack 2`,
	Closing:   `< F. 1:1(0) ack 1 ; > . 2:2(0) ack 2`,
	TimeWait:  `< F. 1:1(0) ack 2 ; > . 2:2(0) ack 2`,
}

func init() {
	wayTo[FinWait1] = wayTo[Established] + ";" + wayTo[FinWait1]
	wayTo[FinWait2] = wayTo[FinWait1] + ";" + wayTo[FinWait2]
	wayTo[CloseWait] = wayTo[Established] + ";" + wayTo[CloseWait]
	wayTo[LastAck] = wayTo[CloseWait] + ";" + wayTo[LastAck]
	wayTo[Closing] = wayTo[FinWait1] + ";" + wayTo[Closing]
	wayTo[TimeWait] = wayTo[FinWait2] + ";" + wayTo[TimeWait]
}

// run plays a script; lines may also be parted by semicolons.
func (r *rig) run(script string) {
	r.t.Helper()
	for _, line := range strings.FieldsFunc(script, func(c rune) bool { return c == '\n' || c == ';' }) {
		line, _, _ = strings.Cut(line, "//")
		if line = strings.TrimSpace(line); line != "" {
			r.line = line
			r.event(line)
		}
	}
	r.idle("the end")
}

func (r *rig) idle(before string) {
	r.t.Helper()
	if len(r.out) > 0 {
		require.FailNow(r.t, "a segment that is not in the trace", "before %q: %s", before, r.text(&r.out[0], "win  <"))
	}
}

// event plays one line.
func (r *rig) event(line string) {
	r.t.Helper()
	wait := time.Duration(0)
	if line[0] == '+' {
		at, rest, _ := strings.Cut(line[1:], " ")
		sec, err := strconv.ParseFloat(at, 64)
		require.NoError(r.t, err, line)
		wait, line = time.Duration(sec*1e9+.5), strings.TrimSpace(rest)
	}
	if wait > 0 {
		r.idle(r.line)
		r.advance(wait - 1)
		r.idle(r.line)
		r.advance(1)
	}
	if seg, ours := strings.CutPrefix(line, "> "); ours {
		require.NotEmpty(r.t, r.out, "nothing was sent, wanted %q", r.line)
		seg = strings.Join(strings.Fields(seg), " ")
		require.Equal(r.t, seg, r.text(&r.out[0], seg), r.line)
		r.out = r.out[1:]
		return
	}
	r.idle(r.line)
	if seg, peers := strings.CutPrefix(line, "< "); peers {
		r.send(strings.TrimSpace(seg))
		return
	}
	if line == "" {
		return
	}
	f := strings.Fields(line)
	do := traceCalls[f[0]]
	require.NotNil(r.t, do, "no such call: %q", r.line)
	do(r, f[1:])
	if r.c != nil {
		r.c.Output(r.now, r)
	}
}

// traceCalls are the words of a script.
var traceCalls = map[string]func(r *rig, arg []string){
	"listen":   func(r *rig, arg []string) { r.listen(num(arg[0])) },
	"connect":  func(r *rig, arg []string) { r.dial(nil) },
	"accept":   func(r *rig, arg []string) { require.Equal(r.t, r.c, r.l.Accept(r.now), r.line) },
	"write":    (*rig).traceWrite,
	"read":     (*rig).traceRead,
	"peek":     (*rig).tracePeek,
	"close":    func(r *rig, arg []string) { r.c.Close(r.now) },
	"abort":    func(r *rig, arg []string) { r.c.Abort(r.now) },
	"shutdown": (*rig).traceShutdown,
	"setsockopt": func(r *rig, arg []string) {
		o := traceOptions[arg[0]]
		require.NoError(r.t, r.c.SetOption(r.now, o[0], o[1], traceValue(arg[1:])), r.line)
	},
	"icmp":    func(r *rig, arg []string) { r.c.SoftError(r.now, traceErrors[arg[0]], r.iss.Add(num(arg[1])), false) },
	"too-big": func(r *rig, arg []string) { r.c.PathMTU(r.now, num(arg[0]), r.iss.Add(num(arg[1])), true) },
	"state":   func(r *rig, arg []string) { require.Equal(r.t, arg[0], r.stateName(), r.line) },
	"error":   func(r *rig, arg []string) { require.ErrorIs(r.t, r.c.TakeError(), traceErrors[arg[0]], r.line) },
	"poll":    func(r *rig, arg []string) { require.Equal(r.t, arg[0], pollNames(r.c.Poll()), r.line) },
	"inq":     func(r *rig, arg []string) { require.Equal(r.t, num(arg[0]), r.c.InQ(), r.line) },
	"outq":    func(r *rig, arg []string) { require.Equal(r.t, num(arg[0]), r.c.OutQ(), r.line) },
	"unsent":  func(r *rig, arg []string) { require.Equal(r.t, num(arg[0]), r.c.OutQNSD(), r.line) },
	"cwnd":    func(r *rig, arg []string) { require.EqualValues(r.t, num(arg[0]), r.c.snd.cwnd, r.line) },
	"ssthresh": func(r *rig, arg []string) {
		require.EqualValues(r.t, num(arg[0]), r.c.snd.ssthresh, r.line)
	},
	"mss": func(r *rig, arg []string) { require.Equal(r.t, num(arg[0]), r.c.snd.mss, r.line) },
	"count": func(r *rig, arg []string) {
		v := reflect.ValueOf(r.h.MIB).FieldByName(arg[0])
		require.True(r.t, v.IsValid(), "no counter %s", arg[0])
		require.EqualValues(r.t, num(arg[1]), v.Uint(), r.line)
	},
	"device": func(r *rig, arg []string) { r.full = arg[0] == "full" },
	"interactive": func(r *rig, arg []string) {
		r.interactive() // the quick ACKs of the beginning are over
	},
}

func (r *rig) stateName() string {
	switch {
	case r.h.Waits.Len() > 0:
		name := ""
		r.h.Waits.Each(func(_ Flow, s State) { name = s.String() })
		return name
	case (r.c == nil || r.c.Closed()) && r.l != nil && r.l.HalfOpens() > 0:
		return SynReceived.String()
	case r.c == nil && r.l != nil:
		return Listening.String()
	case r.c == nil:
		return Closed.String()
	}
	return r.c.State().String()
}

func (r *rig) traceWrite(arg []string) {
	r.t.Helper()
	n, flags := num(arg[0]), 0
	var want error
	for _, a := range arg[1:] {
		switch {
		case a == "MSG_MORE":
			flags |= msgMore
		case a == "MSG_OOB":
			flags |= msgOOB
		case a == "MSG_EOR":
			flags |= msgEOR
		default:
			want = traceErrors[a]
			require.NotNil(r.t, want, r.line)
		}
	}
	got, err := r.c.Write(r.now, [][]byte{pattern(Seq(r.wrote), n)}, flags)
	require.ErrorIs(r.t, err, want, r.line)
	if want == nil {
		require.Equal(r.t, n, got, r.line)
	}
	r.wrote += got
}

// traceRead reads and checks the bytes: they are those the peer sent. "read EOF", "read EAGAIN" want none.
func (r *rig) traceRead(arg []string) { r.readFlags(arg, 0) }
func (r *rig) tracePeek(arg []string) { r.readFlags(arg, msgPeek) }

func (r *rig) readFlags(arg []string, flags int) {
	r.t.Helper()
	if len(arg) > 1 && arg[1] == "MSG_OOB" {
		flags |= msgOOB
	}
	n, at := num(arg[0]), r.c.copied
	b := make([]byte, max(n, 10))
	if n > 0 {
		b = b[:n]
	}
	got, _, err := r.c.Read(r.now, [][]byte{b}, flags)
	if n == 0 {
		require.Zero(r.t, got, r.line)
		require.ErrorIs(r.t, err, traceErrors[arg[0]], r.line)
		return
	}
	require.NoError(r.t, err, r.line)
	require.Equal(r.t, n, got, r.line)
	if flags&msgOOB == 0 && r.c.urg.have == urgNone && r.c.copied.Sub(at) <= n {
		require.Equal(r.t, pattern(at-r.irs, n), b, r.line)
	}
}

func (r *rig) traceShutdown(arg []string) {
	how := map[string]int{"SHUT_RD": shutRD, "SHUT_WR": shutWR, "SHUT_RDWR": shutRDWR}[arg[0]]
	err := r.c.Shutdown(r.now, how)
	if len(arg) > 1 {
		require.ErrorIs(r.t, err, traceErrors[arg[1]], r.line)
		return
	}
	require.NoError(r.t, err, r.line)
}

// traceErrors are the errno names a script uses; EOF and none are no error.
var traceErrors = map[string]error{
	"EOF": nil, "none": nil, "EAGAIN": ErrAgain, "ECONNRESET": ErrReset, "ETIMEDOUT": ErrTimeout, "EPIPE": ErrPipe,
	"ECONNREFUSED": ErrRefused, "EHOSTUNREACH": ErrHostUnreach, "ENETUNREACH": ErrNetUnreach, "ENOTCONN": ErrNotConn,
	"EINVAL": ErrInval, "EISCONN": ErrIsConn, "EALREADY": ErrAlready, "EPROTO": ErrProto,
}

var traceOptions = map[string][2]int{
	"TCP_NODELAY": {solTCP, tcpNoDelay}, "TCP_CORK": {solTCP, tcpCork}, "TCP_MAXSEG": {solTCP, tcpMaxSeg},
	"TCP_KEEPIDLE": {solTCP, tcpKeepIdle}, "TCP_KEEPINTVL": {solTCP, tcpKeepIntvl}, "TCP_KEEPCNT": {solTCP, tcpKeepCnt},
	"TCP_LINGER2": {solTCP, tcpLinger2}, "TCP_WINDOW_CLAMP": {solTCP, tcpWindowClamp}, "TCP_QUICKACK": {solTCP, tcpQuickAck},
	"TCP_USER_TIMEOUT": {solTCP, tcpUserTimeout}, "TCP_NOTSENT_LOWAT": {solTCP, tcpNotsentLowat},
	"SO_KEEPALIVE": {solSocket, soKeepAlive}, "SO_LINGER": {solSocket, soLinger}, "SO_RCVBUF": {solSocket, soRcvBuf},
	"SO_SNDBUF": {solSocket, soSndBuf}, "SO_OOBINLINE": {solSocket, soOOBInline}, "SO_RCVLOWAT": {solSocket, soRcvLowat},
}

func traceValue(arg []string) (val []byte) {
	for _, a := range arg {
		val = append(val, optInt(num(a))...)
	}
	return val
}

func pollNames(m uint32) string {
	var l []string
	for _, b := range []struct {
		bit  uint32
		name string
	}{{pollIn, "IN"}, {pollPri, "PRI"}, {pollOut, "OUT"}, {pollErr, "ERR"}, {pollHup, "HUP"}, {pollRdHup, "RDHUP"}} {
		if m&b.bit != 0 {
			l = append(l, b.name)
		}
	}
	if l == nil {
		return "nothing"
	}
	return strings.Join(l, "|")
}
