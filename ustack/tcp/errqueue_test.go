package tcp

import (
	"encoding/binary"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// notesRig is connected, with an option set.
func notesRig(t *testing.T, name int, v uint32) *rig {
	r := newRig(t, func(p *Params) { p.WindowScaling = false })
	r.run(wayTo[Established])
	r.c.Owner = r
	r.set(solTCP, tcpNoDelay, 1)
	r.set(solSocket, name, v)
	return r
}

func (r *rig) set(level, name int, v uint32) {
	r.t.Helper()
	require.NoError(r.t, r.c.SetOption(r.now, level, name, binary.NativeEndian.AppendUint32(nil, v)))
}

func (r *rig) writeWith(n, flags int) int {
	r.t.Helper()
	n, err := r.c.Write(r.now, [][]byte{pattern(r.c.snd.end-r.c.snd.iss-1, n)}, flags)
	require.NoError(r.t, err)
	r.c.Output(r.now, r)
	r.out = nil
	return n
}

func (r *rig) wantNote(want Note) {
	r.t.Helper()
	require.NotZero(r.t, r.c.Poll()&pollErr)
	n, ok := r.c.TakeNote()
	require.True(r.t, ok)
	require.Equal(r.t, want, n)
}

func (r *rig) wantNoNote() {
	r.t.Helper()
	require.Zero(r.t, r.c.Poll()&pollErr)
	_, ok := r.c.TakeNote()
	require.False(r.t, ok)
}

func copied(lo, hi uint32) Note {
	return Note{Origin: NoteOfWrites, Code: noteCopied, Info: lo, Data: hi}
}

// zerocopy/basic.pkt, batch.pkt: each MSG_ZEROCOPY write has a number; it is told when all of the write is acknowledged, and
// with those before it that nobody has asked after.
func TestZeroCopyIsTold(t *testing.T) {
	r := notesRig(t, soZeroCopy, 1)
	r.writeWith(1000, 0) // has none
	r.writeWith(4000, msgZeroCopy)
	r.send(". 1:1(0) ack 4001")
	r.wantNoNote()
	edges := r.outEdges
	r.send(". 1:1(0) ack 5001")
	require.Greater(t, r.outEdges, edges, "EPOLLERR wakes")
	r.wantNote(copied(0, 0))
	r.writeWith(10, msgZeroCopy)
	r.writeWith(10, msgZeroCopy)
	r.send(". 1:1(0) ack 5011")
	r.send(". 1:1(0) ack 5021")
	r.wantNote(copied(1, 2))
	r.wantNoNote()
}

// A write that waits for room is one write.
func TestZeroCopyOfAWaitingWrite(t *testing.T) {
	r := notesRig(t, soZeroCopy, 1)
	r.writeWith(100, msgZeroCopy|MsgWaits)
	r.writeWith(100, msgZeroCopy|MsgWaits|MsgContinues)
	r.writeWith(100, msgZeroCopy)
	r.send(". 1:1(0) ack 101")
	r.wantNoNote()
	r.send(". 1:1(0) ack 201")
	r.wantNote(copied(0, 0))
}

// The end of the connection gives all bytes back.
func TestZeroCopyAtTheEnd(t *testing.T) {
	r := notesRig(t, soZeroCopy, 1)
	r.writeWith(100, msgZeroCopy)
	r.writeWith(100, msgZeroCopy)
	r.send("R. 1:1(0) ack 1")
	require.Equal(t, Closed, r.c.State())
	require.ErrorIs(t, r.c.TakeError(), ErrReset)
	r.wantNote(copied(0, 1))
	r.wantNoNote()
}

func TestNoZeroCopyWithoutTheOption(t *testing.T) {
	r := notesRig(t, soZeroCopy, 0)
	r.writeWith(100, msgZeroCopy)
	r.send(". 1:1(0) ack 101")
	r.wantNoNote()
	require.ErrorIs(t, r.c.SetOption(r.now, solSocket, soZeroCopy, []byte{2, 0, 0, 0}), ErrInval)
}

const allStamps = stampRecords | StampSoftware | stampByID

// timestamping/server.pkt: "the last byte of each sendmsg", when it is queued, sent and acknowledged.
func TestStampsOfAWrite(t *testing.T) {
	r := notesRig(t, soStamping, allStamps)
	stamp := func(kind, key uint32) Note { return Note{At: r.now, Origin: NoteOfStamp, Info: kind, Data: key} }
	r.writeWith(2000, 0)
	r.wantNote(stamp(stampScheduled, 1999))
	r.wantNote(stamp(stampSent, 1999))
	r.wantNoNote()
	r.advance(10 * time.Millisecond)
	r.send(". 1:1(0) ack 1461")
	r.wantNoNote()
	r.send(". 1:1(0) ack 2001")
	r.wantNote(stamp(stampAcked, 1999))
	r.wantNoNote()
}

// timestamping/client-only-last-byte.pkt: what the window holds back has its time when it leaves.
func TestStampOfTheLastByte(t *testing.T) {
	r := notesRig(t, soStamping, allStamps&^stampOnQueueing)
	r.send(". 1:1(0) ack 1 win 65535")
	r.writeWith(14600+1000, 0)
	r.wantNoNote()
	r.advance(10 * time.Millisecond)
	r.send(". 1:1(0) ack 14601")
	r.wantNote(Note{At: r.now, Origin: NoteOfStamp, Info: stampSent, Data: 15599})
}

// Writes that share a segment have one time, that of the last.
func TestStampsOfASharedSegment(t *testing.T) {
	r := notesRig(t, soStamping, stampOnSending|StampSoftware|stampByID)
	r.writeWith(100, msgMore)
	r.writeWith(100, msgMore)
	r.writeWith(100, 0)
	n, _ := r.c.TakeNote()
	require.EqualValues(t, 299, n.Data)
	r.wantNoNote()
}

func TestStampingOption(t *testing.T) {
	r := notesRig(t, soStamping, 0)
	set := func(v uint32) error {
		return r.c.SetOption(r.now, solSocket, soStamping, binary.NativeEndian.AppendUint32(nil, v))
	}
	require.ErrorIs(t, set(1<<3), ErrNoProtoOpt, "times of reception are not served")
	require.ErrorIs(t, set(stampIDFromEnd), ErrInval)
	r.writeWith(100, 0)
	require.NoError(t, set(allStamps|stampIDFromEnd))
	r.writeWith(100, 0)
	n, _ := r.c.TakeNote()
	require.EqualValues(t, 99, n.Data, "counted from what was written then")
	var o Options
	require.ErrorIs(t, o.Set(r.h.Params, solSocket, soStamping, binary.NativeEndian.AppendUint32(nil, stampByID)), ErrInval)
}

// The error queue is bounded by the receive buffer.
func TestStampsAreBounded(t *testing.T) {
	r := notesRig(t, soStamping, stampOnSending|stampOnACK)
	r.set(solSocket, soRcvBuf, 1) // the least there is: 2,304 bytes
	for i := range 10 {
		r.writeWith(10, 0)
		r.send(". 1:1(0) ack " + strconv.Itoa(11+10*i))
	}
	require.Len(t, r.c.rare.errq.notes, 3)
	require.Empty(t, r.c.rare.errq.stamps)
}
