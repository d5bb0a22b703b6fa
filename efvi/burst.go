package efvi

// Burst is a run of TCP segments of one connection, one behind the other, in one piece: whoever takes it cuts it up
// (segmentation offload). Each segment gets Head with its own lengths, sequence number and checksums; PSH is the last one's
// alone.
//
//	Head                    Payload[0]  Payload[1]  …
//	| Ethernet | IP | TCP | bytes     | bytes     |
//	           IP   TCP   |   Size   |   Size   | the rest |
type Burst struct {
	Head []byte // as of one segment that holds everything; the checksum field holds the pseudo-header's sum, not complemented
	IP   int    // where that header begins in Head
	TCP  int
	// Payload is in order; with Head it is less than 64 KiB.
	Payload [][]byte
	Size    int // bytes of payload of each segment; the last one may have less
}

// Burster is a VI that takes bursts, if its Info has a MaxBurst.
type Burster interface {
	VI
	// Burst sends a run of segments behind all that was given to Send. When it returns, what b points to is the caller's
	// again. False: nothing of it was sent, and now it had better be sent segment by segment.
	Burst(b *Burst) bool
}
