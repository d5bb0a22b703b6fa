package observe

import (
	"bufio"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/tests/testrig"
)

// report is `sluice netstat --json`.
type report struct {
	Total     map[string]uint64
	Processes []struct {
		Pid      int
		Counters map[string]uint64
	}
}

// capture is what tcpdump saw at the far end of the connections with one port of the server.
type capture struct {
	in, out, bytesIn, bytesOut uint64            // seen from the server: segments, and bytes of payload
	again, bytesAgain          uint64            // sent before
	synAgain                   uint64            // so, SYN-ACKs
	flows                      map[string]uint64 // bytes sent to each port, again ones too
}

// capturing starts tcpdump in the client's namespace.
func (r *rig) capturing(port int) (done func() capture) {
	r.T.Helper()
	file := filepath.Join(r.Dir, "far.pcap")
	dump := testrig.Start(r.T, r.Client, nil, "tcpdump", "-i", r.Client.Device, "-s", "120", "-B", "65536", "--immediate-mode", "-U", "-Z", "root", "-w", file, "tcp", "port", strconv.Itoa(port))
	testrig.Until(r.T, "tcpdump to listen", func() bool { return strings.Contains(dump.Output(), "listening on") })
	return func() capture {
		dump.Stop(syscall.SIGINT)
		require.Contains(r.T, dump.Output(), "\n0 packets dropped by kernel")
		return readCapture(r.T, file, port)
	}
}

var segment = regexp.MustCompile(`IP6? (\S+)\.(\d+) > (\S+)\.(\d+): Flags \[(\S+)\].*?(?:seq (\d+)(?::(\d+))?)?(?:, ack \d+)?.* length (\d+)`)

func readCapture(t *testing.T, file string, port int) capture {
	t.Helper()
	c, err := tryCapture(t, file, port)
	require.NoError(t, err)
	return c
}

// tryCapture is readCapture of a file that somebody writes: an error if it ends within a packet.
func tryCapture(t *testing.T, file string, port int) (c capture, _ error) {
	t.Helper()
	cmd := exec.Command("tcpdump", "-nn", "-S", "-r", file)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	c.flows = map[string]uint64{}
	high := map[string]uint64{} // by flow, the highest number the server sent
	for lines := bufio.NewScanner(out); lines.Scan(); {
		m := segment.FindStringSubmatch(lines.Text())
		require.NotNil(t, m, lines.Text())
		n, _ := strconv.ParseUint(m[8], 10, 64)
		if m[2] != strconv.Itoa(port) {
			c.in++
			c.bytesIn += n
			continue
		}
		c.out++
		c.bytesOut += n
		seq := field(t, lines.Text())
		flow := m[3] + m[4]
		c.flows[m[4]] += n
		switch {
		case strings.Contains(m[5], "S"):
			if high[flow] == seq+1 {
				c.synAgain++
			}
			high[flow] = seq + 1
		case n > 0 || strings.Contains(m[5], "F"):
			end := seq + n
			if strings.Contains(m[5], "F") {
				end++
			}
			if end <= high[flow] {
				c.again++
				c.bytesAgain += n
			}
			high[flow] = max(high[flow], end)
		}
	}
	return c, cmd.Wait()
}

var seqField = regexp.MustCompile(`seq (\d+)`)

func field(t *testing.T, line string) uint64 {
	m := seqField.FindStringSubmatch(line)
	if m == nil {
		return 0
	}
	n, err := strconv.ParseUint(m[1], 10, 64)
	require.NoError(t, err)
	return n
}

// What is counted is what a capture at the far end sees: segments and retransmissions agree exactly, also when nothing that is sent arrives for a
// while, and bytes do with what the connections tell.
func TestCountersAgreeWithACapture(t *testing.T) {
	for _, cut := range []bool{false, true} {
		t.Run(fmt.Sprintf("cut=%v", cut), func(t *testing.T) {
			r := newRig(t)
			s, c := r.puppet(r.Server, r.Env()), r.puppet(r.Client, nil)
			s.do("listen l 0.0.0.0 80")
			done := r.capturing(80)
			for i := range 5 {
				c.do("connect c%d %s 80", i, r.Server.IPv4)
				s.do("accept l s%d", i)
				if cut && i < 2 {
					r.whileCut(func() { // the capture is in front of where frames for another MAC are dropped
						s.do("send s%d %d", i, 20000)
						testrig.Until(t, "retransmissions", func() bool {
							all := r.ss(r.Server, "dport", "=", ":"+c.do("port c%d", i))
							return len(all) == 1 && all[0].Tcp_info.TotalRetrans > 2
						})
					})
					c.do("recv c%d %d", i, 20000)
				}
				s.do("send s%d %d", i, 50000*(i+1))
				c.do("recv c%d %d", i, 50000*(i+1))
				c.do("send c%d 70000", i)
				s.do("recv s%d 70000", i)
			}
			for i := range 4 {
				c.do("close c%d", i)
				s.do("recv s%d 1", i)
				s.do("close s%d", i)
			}
			n := r.settled()
			last := *r.ss(r.Server, "--accelerated", "state", "established")[0].Tcp_info
			seen := done()
			require.Equal(t, seen.in, n["TcpInSegs"], "%+v", seen)
			require.Equal(t, seen.out, n["TcpOutSegs"]+n["TcpRetransSegs"], "%+v", seen)
			require.Equal(t, seen.again, n["TcpRetransSegs"], "%+v", seen)
			require.Equal(t, cut, seen.again > 0)
			require.EqualValues(t, 5*70000, seen.bytesIn)
			sent := uint64(50000 * 15)
			if cut {
				sent += 2 * 20000
			}
			require.Equal(t, sent, seen.bytesOut-seen.bytesAgain)
			require.EqualValues(t, seen.flows[c.do("port c4")], last.BytesSent, "the connection that is still open")
			require.EqualValues(t, 5, n["TcpPassiveOpens"])
			require.NotZero(t, n["SluiceSleeps"])
			require.NotZero(t, n["SluiceKicks"])
		})
	}
}

// settled are the counters of the one program there is, once nothing moves any more.
func (r *rig) settled() (n map[string]uint64) {
	r.T.Helper()
	testrig.Until(r.T, "nothing in flight", func() bool {
		for _, x := range r.ss(r.Server, "--accelerated", "state", "connected") {
			if x.Tcp_info != nil && x.Tcp_info.Unacked != 0 {
				return false
			}
		}
		return true
	})
	testrig.Until(r.T, "silence", func() bool {
		before := jsonOf[report](r, r.Server, "netstat", "--json").Processes[0].Counters
		time.Sleep(250 * time.Millisecond) // longer than an ACK is delayed
		n = jsonOf[report](r, r.Server, "netstat", "--json").Processes[0].Counters
		return before["TcpInSegs"] == n["TcpInSegs"] && before["TcpOutSegs"] == n["TcpOutSegs"]
	})
	return n
}
