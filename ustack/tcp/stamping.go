package tcp

import "encoding/binary"

// Flags of SO_TIMESTAMPING, <linux/net_tstamp.h>.
const (
	stampOnSending  = 1 << 1 // SOF_TIMESTAMPING_TX_SOFTWARE
	StampSoftware   = 1 << 4 // SOF_TIMESTAMPING_SOFTWARE: times of the software are told
	stampByID       = 1 << 7 // SOF_TIMESTAMPING_OPT_ID
	stampOnQueueing = 1 << 8 // SOF_TIMESTAMPING_TX_SCHED
	stampOnACK      = 1 << 9 // SOF_TIMESTAMPING_TX_ACK
	stampAsMessage  = 1 << 10
	StampOnly       = 1 << 11 // SOF_TIMESTAMPING_OPT_TSONLY: without the segment
	stampIDFromEnd  = 1 << 16 // SOF_TIMESTAMPING_OPT_ID_TCP

	stampRecords = stampOnSending | stampOnQueueing | stampOnACK
	stampServed  = stampRecords | StampSoftware | stampByID | stampAsMessage | StampOnly | stampIDFromEnd
)

// setStamping is SO_TIMESTAMPING: an int, or a struct so_timestamping. What is not served (times of reception, of hardware,
// statistics) is no option of this TCP: the kernel may know better.
func (o *Options) setStamping(val []byte) error {
	if len(val) < 4 {
		return ErrInval
	}
	v := binary.NativeEndian.Uint32(val)
	if v&^stampServed != 0 {
		return ErrNoProtoOpt
	}
	if v&stampIDFromEnd != 0 && v&stampByID == 0 {
		return ErrInval
	}
	o.Stamping = v
	return nil
}

// countsBytes says whether an option is SO_TIMESTAMPING with SOF_TIMESTAMPING_OPT_ID, which needs a connection.
func countsBytes(level, name int, val []byte) bool {
	return level == solSocket && (name == soStamping || name == soStampingNew) && len(val) >= 4 &&
		binary.NativeEndian.Uint32(val)&stampByID != 0
}

// stampIDs begins the count of SOF_TIMESTAMPING_OPT_ID: at the first byte that is not acknowledged, or at the next one that
// is written.
func (c *Conn) stampIDs(before uint32) {
	if v := c.opt.Stamping; v&^before&stampByID != 0 {
		c.errors().base = c.snd.una
		if v&stampIDFromEnd != 0 {
			c.errors().base = c.snd.end
		}
	}
}

// stampingText is what getsockopt tells: the flags, and no clock of a device.
func (o *Options) stampingText(out []byte) int {
	var b [8]byte
	binary.NativeEndian.PutUint32(b[:], o.Stamping)
	return copy(out, b[:])
}
