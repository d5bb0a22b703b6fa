package tcp

// State is a connection's state; the numbers are those of the kernel (net/tcp_states.h), as tcpi_state tells them.
type State uint8

// The states of RFC 9293 §3.3.2.
const (
	Established State = iota + 1
	SynSent
	SynReceived
	FinWait1
	FinWait2
	TimeWait
	Closed
	CloseWait
	LastAck
	Listening
	Closing
)

var stateNames = [...]string{"?", "ESTABLISHED", "SYN-SENT", "SYN-RECEIVED", "FIN-WAIT-1", "FIN-WAIT-2", "TIME-WAIT",
	"CLOSED", "CLOSE-WAIT", "LAST-ACK", "LISTEN", "CLOSING"}

// String is the name in RFC 9293.
func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return stateNames[0]
}

// in says whether s is one of the given states.
func (s State) in(of ...State) bool {
	for _, o := range of {
		if s == o {
			return true
		}
	}
	return false
}

// synchronized says whether both ends know each other's initial numbers: "one of the synchronized states (ESTABLISHED,
// FIN-WAIT-1, FIN-WAIT-2, CLOSE-WAIT, CLOSING, LAST-ACK, TIME-WAIT)" RFC 9293 §3.5.1.
func (s State) synchronized() bool {
	return s != SynSent && s != SynReceived && s != Closed && s != Listening
}
