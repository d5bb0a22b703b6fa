package engine

import "time"

// answerWait is how long the ACK of a request waits for the answer that may carry it (tcp.Answers): as long as any that the kernel delays,
// since a program may have many others to answer first.
func (b *Boot) answerWait() int64 {
	if !b.fast("ack") {
		return 0
	}
	return int64(40 * time.Millisecond)
}

// unanswered is Shared.Unanswered: a program that waits for more has no answer to what it read.
func (e *Engine) unanswered() uint32 {
	if e.plane != nil && !e.stopped && e.plane.stack.Unanswered() {
		return 1
	}
	return 0
}
