package efvi

// Clock says whose time a stamp has.
type Clock uint8

const (
	NoClock     Clock = iota // there are no stamps
	KernelClock              // the kernel's CLOCK_TAI, in nanoseconds: taken by software, when the packet had left the queue
	DeviceClock              // the device's, in nanoseconds: how it runs beside the host's is for PTP to say
)

func (c Clock) String() string { return [...]string{"none", "the kernel's", "the device's"}[c] }

// Times is what can be had for the packets of a VI. The zero value is nothing, as on most devices.
type Times struct {
	RX     Clock // ReceivedAt. Of a packet that the device did not stamp, or of a device that only claims to, it says false all the same
	TX     Clock // SentAt, of packets sent with a wish for it
	Launch bool  // the device holds a packet back until its launch time
}

// Timed is a VI that may know when packets were on the wire. SumRoom bytes in front of what it sends are its own.
type Timed interface {
	VI
	// Times tells what can be had: found out when the VI was opened.
	Times() Times
	// ReceivedAt is when the packet of an EventRX came, false if nobody said. It is to be asked before the frame is posted again.
	ReceivedAt(e Event) (ns uint64, ok bool)
	// SendTimed is Send with wishes: to leave at launch, by the device's clock (0: at once; without Times.Launch no other is granted), and
	// to be stamped. False: nothing was sent, as the ring is full or a wish cannot be granted.
	SendTimed(frame, off, n uint32, launch uint64, stamp bool) bool
	// SentAt is when a packet left that was to be stamped: to be asked after the frame's EventTX, with the offset it was sent with. False if
	// nobody said.
	SentAt(frame, off uint32) (ns uint64, ok bool)
}
